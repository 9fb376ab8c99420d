"""What is a task's own in a run."""

from collections.abc import Callable
from typing import Any

from training.data import Events
from training.kinds.classes import Classes
from training.kinds.kind import Kind
from training.kinds.numbers import Numbers
from training.kinds.symbols import Symbols
from training.options import TrainOptions
from training.splits import Split

KINDS: dict[str, Callable[[Events, Split, TrainOptions], Kind[Any]]] = {
    "number": Numbers,
    "symbol": Symbols,
    "class": Classes,
}


def kind(events: Events, parts: Split, options: TrainOptions) -> Kind[Any]:
    """The kind of the options' task, for this data. Raises TrainingError where they do not go together."""
    return KINDS[options.what](events, parts, options)


__all__ = ["Kind", "kind"]
