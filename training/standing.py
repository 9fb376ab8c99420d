"""Where training stands at the end of an epoch: all that it goes on from. Knows neither torch nor files."""

from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from training.progress import Row

Tensors = dict[str, NDArray[Any]]
Stopped = Literal["", "epochs", "patience", "time", "invalid"]


@dataclass
class Standing:
    """Numbers and rows; tensors go beside it."""

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = inf
    halvings: int = 0  # of the step, by schedule plateau
    averaged: int = 0  # steps that the average has seen
    seconds: float = 0.0
    stopped: Stopped = ""  # "" while it goes on
    message: str = ""  # of "invalid": what happened, in one line
    random: dict[str, Any] = field(default_factory=dict)  # state of the numpy generator that the task's passes use
    rows: list[Row] = field(default_factory=list)  # of all epochs


class Checkpointer(Protocol):
    """Keeps where training stands, whole or not at all."""

    def load(self) -> tuple[Standing, Tensors] | None:
        """What was saved last, if anything."""

    def save(self, standing: Standing, tensors: Tensors) -> None:
        """Keep this in place of what was saved last."""
