"""What the training loop needs of a task: passes over the training part, and a score. Knows no task and no file."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from export.config import Weights
from training.recipe import Recipe

Groups = list[dict[str, Any]]  # an optimizer's parameter groups: "params", and what differs from the recipe


class Trained(Protocol):
    """A network, an nn.Module: what is stepped, and what is kept of it."""

    def weights(self) -> Weights:
        """All weights and constants, copied, as `Config.shapes` names them."""

    def load(self, weights: Weights) -> object:
        """Take over weights."""

    def train(self, mode: bool = True) -> object:
        """From now on dropout hides outputs."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """What is stepped: cells named as torch names them, the rest as LAYER.weight and LAYER.bias."""


class Task(Protocol):
    """A network and the data that it learns from.

    Between two passes a task keeps nothing that does not follow from its data, the recipe, `epoch` and the weights: a
    run that was killed goes on from the end of a pass, with the random numbers as they were there.
    """

    @property
    def network(self) -> Trained:
        """What is trained."""

    def groups(self, recipe: Recipe) -> Groups:
        """The optimizer's parameter groups."""

    def steps(self, recipe: Recipe) -> int:
        """How many windows one pass has, nearly: schedules and the time left go by it."""

    def losses(self, recipe: Recipe, random: np.random.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the training part: of each window the sum of its losses, with gradient, and how many they are.

        Each window is stepped before the next one is asked for; state is carried from one to the next, detached.
        """

    def validate(self) -> float:
        """The mean loss on the validation part; leaves the network out of training mode."""

    def record(self) -> None:
        """Bring up to date what follows the weights; called before each score, and at the end."""
