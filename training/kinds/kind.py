"""What a run asks of a task: a structure to begin with, what else may be tried, a recipe, and what follows training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from export.config import Config, Weights
from training.options import TrainOptions
from training.recipe import Recipe
from training.task import Task

Change = Callable[[Config], Config]
T = TypeVar("T", bound=Task)
PATIENCE = 6


@dataclass(frozen=True)
class Variation:
    """A change that may do better than the best structure so far."""

    change: Change
    worth: float = 0.002  # the share of the loss that it must save


class Kind(Protocol[T]):
    """One task for one set of events."""

    facts: dict[str, Any]  # what the signature says beside the config
    notes: list[str]  # what the user should know, a line each
    config: Config  # the structure to begin with
    threads: int  # of PyTorch, where the user names no number

    def variations(self) -> list[Variation]:
        """What is tried, one after another, each on the best structure so far; nothing that the options settle."""

    def recipe(self, config: Config) -> Recipe:
        """How a network of this structure is trained."""

    def task(self, config: Config, trial: bool) -> T:
        """A fresh network and its data; of a trial, no more data than tells structures apart."""

    def judge(self, task: T) -> float:
        """The validation loss of a trained task, in a unit that all structures share."""

    def finish(self, task: T) -> tuple[Config, Weights]:
        """The model file's: of the trained network, and of what is fitted after training."""

    def name(self, config: Config) -> str:
        """What distinguishes a structure from others that are tried, in words."""


def recipe(options: TrainOptions, **defaults: Any) -> Recipe:
    """The options' recipe; what they leave open is as the task has it."""
    asked = {
        "epochs": options.epochs,
        "tbptt": options.tbptt,
        "lanes": options.lanes,
        "learning_rate": options.learning_rate,
        "weight_decay": options.weight_decay,
        "schedule": options.schedule,
        "dropout": options.dropout,
        "patience": options.patience,
        "average": options.average,
    }
    return Recipe(
        **{"patience": PATIENCE} | defaults | {name: value for name, value in asked.items() if value is not None},
        optimizer=options.optimizer,
        momentum=options.momentum,
        clipping=options.clipping,
        clip=options.clip,
        seconds=options.budget * 60,
        seed=options.seed,
    )
