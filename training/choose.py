"""Chooses between structures on the validation part: each is trained for a few epochs, as the best one will be for all.

One change after another is tried on the best structure so far, and stays where it saves enough of the loss. What there
is no time for is not tried; how far trials went is said.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec
import torch

from export.config import Config
from export.file import write
from training import trainer
from training.errors import TrainingStopped
from training.kinds import Kind
from training.progress import silent

EPOCHS = 8  # of a trial
SHARE = 0.4  # of the time budget that all trials may take
CHOICES = "choices.json"


class Choice(msgspec.Struct, frozen=True):
    """One structure that was tried."""

    name: str
    valid_loss: float
    chosen: bool
    why: str


@dataclass
class Chosen:
    """What the trials found."""

    config: Config
    choices: list[Choice] = field(default_factory=list)
    seconds: float = 0.0  # that the trials took


class _Kept(msgspec.Struct):
    made_of: dict[str, Any]
    config: Config
    choices: list[Choice]
    seconds: float


def choose(
    kind: Kind[Any], seed: int, say: Callable[[str], None] = silent, clock: trainer.Clock = time.monotonic
) -> Chosen:
    """Try the kind's variations. Nothing is tried where there are none."""
    variations = kind.variations()
    if not variations:
        return Chosen(kind.config)
    best = kind.config
    began = clock()
    end = began + SHARE * kind.recipe(best).seconds
    loss, epochs = _loss(kind, best, seed, 1 + len(variations))
    say(f"trying {kind.name(best)}: validation {loss:.4f}")
    tried, passes, late = [(best, loss)], [epochs], False
    reason = "Nothing that was tried did better"
    for variation in variations:
        other = variation.change(best)
        if any(other == config for config, _ in tried):
            continue
        if late := clock() > end:
            break
        found, epochs = _loss(kind, other, seed, 1 + len(variations))
        say(f"trying {kind.name(other)}: validation {found:.4f}")
        tried.append((other, found))
        passes.append(epochs)
        if found < loss * (1 - variation.worth):
            reason = f"It saves {1 - found / loss:.1%} of the loss of {kind.name(best)}"
            best, loss = other, found
    told = f"{min(passes)} to {max(passes)}" if min(passes) < max(passes) else f"{passes[0]}"
    told += " epoch" if told == "1" else " epochs"
    why = f"{reason}, on the validation part after {told}{'; there was no time to try more' if late else ''}."
    counted = [(c, found) for c, found in tried if isfinite(found)]  # the others went out of hand
    choices = [Choice(kind.name(c), found, c == best, why if c == best else "") for c, found in counted]
    return Chosen(best, choices, clock() - began)


def _loss(kind: Kind[Any], config: Config, seed: int, trials: int) -> tuple[float, int]:
    """The loss of a trial, and how many epochs it had."""
    torch.manual_seed(seed)
    whole = kind.recipe(config)
    recipe = replace(whole, epochs=min(EPOCHS, whole.epochs), patience=EPOCHS, seconds=whole.seconds * SHARE / trials)
    task = kind.task(config, trial=True)
    try:
        outcome = trainer.train(task, recipe, silent)
    except TrainingStopped:
        return float("inf"), 1
    return kind.judge(task), outcome.epochs


def keep(folder: Path, chosen: Chosen, made_of: dict[str, Any]) -> None:
    """Write what was chosen, for a run that goes on."""
    kept = _Kept(made_of, chosen.config, chosen.choices, chosen.seconds)
    write(folder / CHOICES, msgspec.json.format(msgspec.json.encode(kept), indent=2))


def kept(folder: Path, made_of: dict[str, Any]) -> Chosen | None:
    """What a run of the same options and data has chosen; None where there is nothing usable."""
    try:
        found = msgspec.json.decode((folder / CHOICES).read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return None
    return Chosen(found.config, found.choices, found.seconds) if found.made_of == made_of else None
