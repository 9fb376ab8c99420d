"""Task `symbol` for the training loop: windows over streams of symbols, cross-entropy, the network's measures.

Knows indexes, not what they stand for.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from export.config import Config
from training import places
from training.errors import TrainingError, TrainingStopped
from training.lanes import Piece, Window, cut, windows
from training.places import scored, shuffled, validation
from training.recall import Told, counted
from training.recipe import Recipe
from training.symbol_data import Text
from training.symbol_network import SymbolNetwork
from training.task import Groups

UNITS = 8  # hidden is a multiple of this
BETAS = (0.9, 0.99)


class Symbol:
    """The next symbol of each stream. Losses are nats.

    Raises TrainingStopped where there is nothing to learn from.
    """

    def __init__(self, network: SymbolNetwork, text: Text) -> None:
        if text.trained.sum() == 0:
            raise TrainingStopped("no stream has two events in the training part; give longer streams or another split")
        self.network = network
        self.text = text

    def groups(self, recipe: Recipe) -> Groups:
        """All alike; Adam's mean square forgets faster than is usual."""
        betas = {"betas": BETAS} if recipe.optimizer in ("adam", "adamw") else {}
        return [{"params": list(self.network.parameters()), **betas}]

    def steps(self, recipe: Recipe) -> int:
        """The windows of a pass whose pieces are not shifted."""
        return sum(map(len, windows(self._pieces(recipe, 0), recipe.lanes, recipe.tbptt, np.random.default_rng(0))))

    def losses(self, recipe: Recipe, random: np.random.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Of each window; from the second pass on, windows begin elsewhere each time."""
        shift = int(random.integers(0, recipe.tbptt)) if epoch > 1 else 0
        groups = windows(shuffled(self._pieces(recipe, shift), random), recipe.lanes, recipe.tbptt, random)
        for window, index, logits, weight in self._run(groups, recipe.dropout):
            begun, begins = self._beginnings(window)
            count = weight.sum() + begins
            if count > 0:
                yield (self._nats(logits, index) * weight).sum() + begun, count

    def validate(self) -> float:
        """Mean nats on the validation part, with a run-up; inf where there is none."""
        total = count = 0.0
        for nats, weight, _, _ in self._validated():
            total += float((nats * weight).sum())
            count += float(weight.sum())
        return total / count if count else float("inf")

    def told(self, memory: int) -> Told | None:
        """What is known of the validation part's events, by the network and by a memory of so many symbols; None: it
        has none."""
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        for nats, weight, index, top in self._validated():
            here = weight > 0
            parts.append((index[here] + 1, -nats[here].double(), top[here].double()))
        event, chance, top = (torch.cat(part) for part in zip(*parts, strict=True)) if parts else [torch.empty(0)] * 3
        if not len(event):
            return None
        text = self.text
        symbol = torch.where(text.there > 0, text.symbol, -1).numpy()
        hits, total = counted(symbol, np.repeat(np.arange(len(text.trained)), np.diff(text.first)), memory)
        return Told(chance, top, *(torch.from_numpy(count)[event].double() for count in (hits, total)))

    def record(self) -> None:
        """Nothing follows the weights."""

    def _validated(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Of each window of the validation part nats, weight, event and the largest probability, [steps, pieces]."""
        self.network.eval()
        with torch.no_grad():
            for window, index, logits, weight in self._run(validation(self.text.trained, self.text.known), 0.0):
                top = (logits.amax(-1) - logits.logsumexp(-1)).exp()
                yield self._nats(logits, index), weight * scored(window), index, top

    def _run(self, groups: Iterator[list[Window]], dropout: float) -> Iterator[tuple[Window, Tensor, Tensor, Tensor]]:
        """Groups of pieces side by side from the cold state, carried from window to window, detached.

        Yields window, events [steps, pieces], and of the next symbols logits [.., symbols] and weight.
        """
        network, text = self.network, self.text
        for group in groups:
            state = network.cells.cold(len(group[0].pieces))
            for window in group:
                state = tuple(part.detach()[:, : len(window.pieces)].contiguous() for part in state)
                index, weight = places.index(text.first, window)
                hidden, state = network.hidden(text.symbol[index], text.there[index], text.time[index], state, dropout)
                yield window, index, network.head(hidden), weight * text.there[index + 1]

    def _nats(self, logits: Tensor, index: Tensor) -> Tensor:
        """Of the symbols after these events, [steps, pieces]."""
        following = self.text.symbol[index + 1].flatten()
        return nn.functional.cross_entropy(logits.flatten(0, 1), following, reduction="none").view_as(index)

    def _beginnings(self, window: Window) -> tuple[Tensor, Tensor]:
        """The loss of the first symbols of the streams that begin here, which the cold state predicts; and how many."""
        first = [int(self.text.first[p.stream]) for p in window.pieces if p.first + window.start == 0]
        there = self.text.there[first]
        cold = self.network.head(torch.zeros(len(first), self.network.config.hidden))
        nats = nn.functional.cross_entropy(cold, self.text.symbol[first], reduction="none")
        return (nats * there).sum(), there.sum()

    def _pieces(self, recipe: Recipe, shift: int) -> list[Piece]:
        return cut(self.text.trained.tolist(), recipe.lanes, recipe.tbptt, shift)


def parameters(config: Config) -> int:
    """How many weights a network has."""
    return sum(prod(shape) for shape in config.shapes().values())


def embedding(symbols: int) -> int:
    """Columns that a symbol becomes: about four times the root of how many there are, 8 to 64."""
    return int(np.clip(round(4 * symbols**0.5 / UNITS) * UNITS, UNITS, 64))


def fitted(config: Config, most: int) -> Config:
    """The config with as many units as keep the network within so many weights. Raises TrainingError."""
    config = replace(config, hidden=UNITS)
    if parameters(config) > most:
        raise TrainingError(
            f"--max-parameters {most}: {config.outcomes} symbols with {UNITS} units take {parameters(config)}; give "
            "more, or a smaller --vocabulary"
        )
    while parameters(wider := replace(config, hidden=config.hidden + UNITS)) <= most:
        config = wider
    return config
