"""Task `class` for the training loop: cross-entropy at each event, or at the end of each sequence.

Knows indexes of classes, not what they are called.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from training import cells, places
from training.classify_data import Labelled
from training.classify_network import ClassNetwork
from training.dropout import dropout as hide
from training.errors import TrainingStopped
from training.lanes import Piece, Window, cut, windows
from training.places import scored, shuffled, validation
from training.recipe import Recipe
from training.task import Groups

STEPS = 32  # of a pass over sequences, where there are so many: a few hundred sequences must not be a few steps


class Class:
    """The class of each event or of each sequence. Losses are nats.

    Raises TrainingStopped where there is nothing to learn from.
    """

    def __init__(self, network: ClassNetwork, labelled: Labelled) -> None:
        if not any(labelled.weight[a : a + n].any() for a, n in zip(labelled.first, labelled.trained, strict=False)):
            raise TrainingStopped("no event of the training part has a class; give labels, or another split")
        self.network = network
        self.labelled = labelled

    def groups(self, recipe: Recipe) -> Groups:  # noqa: ARG002 - the protocol's
        """All alike."""
        return [{"params": list(self.network.parameters())}]

    def steps(self, recipe: Recipe) -> int:
        """The groups of sequences of a pass, or the windows of one whose pieces are not shifted."""
        groups = list(self._groups(recipe, 0, np.random.default_rng(0)))
        return len(groups) if self._whole else sum(map(len, groups))

    def losses(self, recipe: Recipe, random: np.random.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Of each window, which begin elsewhere from the second pass on; of sequences, of some side by side."""
        shift = int(random.integers(0, recipe.tbptt)) if epoch > 1 and not self._whole else 0
        for group in self._groups(recipe, shift, random):
            found = (nats for _, _, nats in self._run(group, recipe.dropout, recipe.tbptt))
            for nats in [torch.cat(list(found))] if self._whole else found:
                if len(nats):
                    yield nats.sum(), torch.tensor(float(len(nats)))

    def validate(self) -> float:
        """Mean nats on the validation part; inf where there is none."""
        self.network.eval()
        total = count = 0.0
        with torch.no_grad():
            for group in validation(self.labelled.trained, self.labelled.known, self._whole):
                for window, place, nats in self._run(group):
                    counted = scored(window)[place]
                    total += float((nats * counted).sum())
                    count += float(counted.sum())
        return total / count if count else float("inf")

    def record(self) -> None:
        """Nothing follows the weights."""

    @property
    def _whole(self) -> bool:
        return self.labelled.per == "sequence"

    def _groups(self, recipe: Recipe, shift: int, random: np.random.Generator) -> Iterator[list[Window]]:
        trained, lanes = self.labelled.trained, recipe.lanes
        if self._whole:
            pieces = [Piece(stream, 0, int(length)) for stream, length in enumerate(trained) if length]
            lanes = min(lanes, max(1, len(pieces) // STEPS))
        else:
            pieces = cut(trained.tolist(), lanes, recipe.tbptt, shift)
        return windows(shuffled(pieces, random), lanes, recipe.tbptt, random)

    def _run(self, group: list[Window], dropout: float = 0.0, back: int = 0) -> Iterator[tuple[Window, Tensor, Tensor]]:
        """Pieces side by side from the cold state, carried from window to window.

        Yields window, where a class is to be known [steps, pieces], and the nats there, [how many]. The state is
        detached; of sequences, which must remember their beginning at their end, what lies more than `back` events, to
        twice as many, before the end of the shortest is stepped without gradient.
        """
        network, labelled = self.network, self.labelled
        state = network.cells.cold(len(group[0].pieces))
        apart = len(group[0].pieces[-1]) - back if self._whole else 0
        for window in group:
            state = tuple(part[:, : len(window.pieces)].contiguous() for part in state)
            index, there = places.index(labelled.first, window)
            place = (labelled.weight[index] * there) > 0
            with torch.set_grad_enabled(torch.is_grad_enabled() and window.start + window.steps > apart):
                seen = hide(labelled.seen[index], dropout / 2)
                y, state = network.cells(seen, state, dropout)
                logits = network.head(hide(y[place], dropout))
                nats = nn.functional.cross_entropy(logits, labelled.label[index][place], reduction="none")
            yield window, place, nats
            if not self._whole:
                state = tuple(part.detach() for part in state)


def initialise(network: ClassNetwork) -> None:
    """A fresh network that finds every class as likely as another, nearly."""
    cells.initialise(network.cells)
    network.head.weight.data.mul_(0.3)
    nn.init.zeros_(network.head.bias)
