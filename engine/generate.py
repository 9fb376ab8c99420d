"""Draws what a stream of symbols could go on with, one step of the network for each. Pure: randomness comes in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from engine.model import Model


class GenerateError(Exception):
    """What was asked for cannot be drawn; the message is one line that names the option and the mend."""

    exit_code = 2


@dataclass(frozen=True)
class Choice:
    """How the next symbol is drawn; the three hold together. The default draws as the model predicts.

    temperature: the logits are divided by it; 0: always the likeliest. top_k: only so many of the likeliest. top_p:
    only the likeliest ones that together have this probability (Holtzman et al. 2020).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def check(self) -> None:
        """Raise GenerateError where a number makes no sense."""
        if not 0 <= self.temperature < inf:
            raise GenerateError(f"--temperature {self.temperature:g}: must be at least 0, and finite")
        if self.top_k is not None and self.top_k < 1:
            raise GenerateError(f"--top-k {self.top_k}: must be at least 1")
        if not 0 < self.top_p <= 1:
            raise GenerateError(f"--top-p {self.top_p:g}: must be greater than 0 and at most 1")

    def draw(self, probabilities: NDArray[np.float32], random: np.random.Generator) -> int:
        """An index into the probabilities, [symbols]; never 0, the symbol that stands for all unknown ones."""
        order = np.argsort(-probabilities[1:], kind="stable")[: self.top_k] + 1
        if self.temperature == 0:
            return int(order[0])
        with np.errstate(divide="ignore"):
            logits = np.log(probabilities[order].astype(np.float64)) / self.temperature
        weights = np.exp(logits - logits[0])
        total = weights.cumsum() / weights.sum()
        kept = int(np.searchsorted(total, self.top_p)) + 1  # the one that reaches top_p is the last
        point = random.random() * total[min(kept, len(total)) - 1]
        return int(order[min(np.searchsorted(total, point, side="right"), kept - 1, len(total) - 1)])


def split(text: str, unit: str) -> list[str]:
    """A text as the symbols of a model; unit: the signature's `text`. Lines, where it has none."""
    if unit == "characters":
        return list(text)
    if unit == "bytes":
        return [f"{byte:02x}" for byte in text.encode()]
    return text.split() if unit == "words" else text.splitlines()


def join(symbols: Sequence[str], unit: str) -> bytes:
    """The inverse of `split`."""
    if unit == "bytes":
        return bytes.fromhex("".join(symbols))
    return {"characters": "", "words": " "}.get(unit, "\n").join(symbols).encode()


def generate(model: Model, prompt: Sequence[str], choice: Choice, random: np.random.Generator) -> Iterator[str]:
    """Symbols that follow a prompt, without end. What the model does not know of the prompt is the unknown symbol.

    Raises GenerateError: the model predicts no symbols, or goes by a clock; the prompt is empty.
    """
    signature = model.signature
    if signature.task != "symbol":
        raise GenerateError(f"--model: its task is {signature.task}; only a model of task symbol generates")
    if signature.clock:
        raise GenerateError("--model: goes by the time of events, which generated ones have not; train without a clock")
    if not prompt:
        raise GenerateError("--prompt: is empty; give at least one symbol to begin with")
    choice.check()
    place = {symbol: i for i, symbol in enumerate(signature.symbols)}
    given = np.array([place.get(symbol, 0) for symbol in prompt], np.float32).reshape(-1, 1, 1)
    return _symbols(model, given, choice, random)


def _symbols(model: Model, given: NDArray[np.float32], choice: Choice, random: np.random.Generator) -> Iterator[str]:
    rows = np.zeros((1, model.row_width), np.float32)
    for first in range(0, len(given), model.most_events):
        part = given[first : first + model.most_events]
        rows, predicted, _ = model.step(rows, part, np.ones_like(part))
    while True:
        drawn = choice.draw(predicted[-1, 0, 0], random)
        yield model.signature.symbols[drawn]
        one = np.full((1, 1, 1), drawn, np.float32)
        rows, predicted, _ = model.step(rows, one, np.ones_like(one))
