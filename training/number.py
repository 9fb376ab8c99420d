"""Task `number` for the training loop: windows of prepared streams, the head's loss, the experts' doubts."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from export.config import SEEN_LIMIT
from export.head import OFFSETS
from training import cells
from training.errors import TrainingStopped
from training.lanes import Piece, Window, cut, windows
from training.network import Network, doubt
from training.places import index
from training.prepare import Prepared
from training.recipe import Recipe
from training.task import Groups
from training.unroll import loss, quantile_loss, run, validated

PART = 1 << 16  # evaluations that the experts advise at once
START = {"quantile": [0.0, -0.7, -0.7, 0.0, 0.0], "normal": [0.0, -0.3]}  # of the head, by row
BURN_IN = 512  # events of the training part that lead into the validation part


class Number:
    """The next number of each stream. Losses are the head's, of changes in scales.

    Raises TrainingStopped where there is nothing to learn from.
    """

    def __init__(self, network: Network, prepared: Prepared) -> None:
        there = np.concatenate([[0], prepared.weight.sum(-1).numpy().cumsum(dtype=np.float64)])
        first = prepared.first[:-1]
        until, ends = there[first + prepared.trained], there[first + prepared.known]
        if (until == there[first]).all():
            raise TrainingStopped("no stream has two events in the training part; give longer streams or another split")
        if (until == ends).all():
            raise TrainingStopped(
                "no stream has a value in the validation part and an event before it; give longer streams or another "
                "split"
            )
        self.network = network
        self.prepared = prepared

    def groups(self, recipe: Recipe) -> Groups:
        """The experts were fitted already: they learn slower, and do not decay."""
        fitted = [weight for name, weight in self.network.named_parameters() if name.startswith("linear.")]
        others = [weight for name, weight in self.network.named_parameters() if not name.startswith("linear.")]
        groups: Groups = [{"params": others}]
        if fitted:
            groups.append({"params": fitted, "weight_decay": 0.0, "lr": recipe.learning_rate / 10})
        return groups

    def steps(self, recipe: Recipe) -> int:
        """The windows of a pass whose pieces are not shifted."""
        groups = windows(self._pieces(recipe, 0), recipe.lanes, recipe.tbptt, np.random.default_rng(0))
        return sum(map(len, groups))

    def losses(self, recipe: Recipe, random: np.random.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Of each window; from the second pass on, windows begin elsewhere each time."""
        shift = int(random.integers(0, recipe.tbptt)) if epoch > 1 else 0
        groups = windows(self._pieces(recipe, shift), recipe.lanes, recipe.tbptt, random)
        for _, base, widths, change, weight in run(self.network, self.prepared, groups, recipe.dropout):
            count = weight.sum()
            if count > 0:
                yield loss(self.network, base, widths, change, weight), count

    def validate(self) -> float:
        """Mean loss on the validation part, with the end of the training part as run-up; inf where there is none."""
        total, count = 0.0, 0.0
        for _, base, widths, change, scored, _ in self._validated():
            total += float(loss(self.network, base, widths, change, scored))
            count += float(scored.sum())
        return total / count if count else float("inf")

    def judge(self) -> float:
        """Mean quantile loss on the validation part in each stream's naive errors: one unit for all structures.

        The naive error is the mean absolute change of the training part; streams that have none are left out.
        """
        naive = self._naive()
        total, count = 0.0, 0.0
        for window, base, widths, change, scored, unit in self._validated():
            error = naive[[piece.stream for piece in window.pieces]]
            worth = torch.where(error > 0, unit / error.clip(min=1e-30), 0.0)
            counted = scored * (worth > 0)
            quantiles = base + widths @ torch.from_numpy(OFFSETS)
            total += float(quantile_loss(quantiles, change, counted * worth))
            count += float(counted.sum())
        return total / count if count else float("inf")

    def _naive(self) -> Tensor:
        """[streams, targets]: mean absolute change in the training part, in the user's units; 0 where there is none."""
        prepared = self.prepared
        moved = (prepared.change.abs() * prepared.unit * prepared.weight).double()
        found = torch.zeros(prepared.streams, moved.shape[1])
        for stream, (first, trained) in enumerate(zip(prepared.first[:-1], prepared.trained, strict=True)):
            rows = slice(int(first), int(first + trained))
            found[stream] = (moved[rows].sum(0) / prepared.weight[rows].sum(0).clip(min=1.0)).float()
        return found

    def _validated(self) -> Iterator[tuple[Window, Tensor, Tensor, Tensor, Tensor, Tensor]]:
        """As `unroll.run`, and the unit [steps, pieces, targets]; the weight is 0 outside of the validation part."""
        self.network.eval()
        prepared = self.prepared
        pieces = [
            Piece(i, max(0, int(trained) - BURN_IN), int(known))
            for i, (trained, known) in enumerate(zip(prepared.trained, prepared.known, strict=True))
            if known > trained
        ]
        order = np.random.default_rng(0)
        with torch.no_grad():
            for window, base, widths, change, weight in run(self.network, prepared, windows(pieces, 256, 256, order)):
                unit = prepared.unit[index(prepared.first, window)[0]]
                yield window, base, widths, change, weight * validated(prepared, window), unit

    def record(self) -> None:
        """Bring the doubts up to the experts' present weights. No gradient goes through them."""
        network, prepared = self.network, self.prepared
        if network.config.experts == 1:
            return
        # In float64 the sum before each evaluation, of all streams one after another, less what it was at the stream's
        # first one: that stands in the same part, or in one before it, of whose last stream `begun` is.
        first = np.repeat(prepared.first[:-1], np.diff(prepared.first))
        total = begun = torch.zeros(prepared.doubt.shape[1:], dtype=torch.float64)
        with torch.no_grad():
            for start in range(0, len(first), PART):
                part = slice(start, start + PART)
                error = (prepared.change[part, :, None] - network.advice(prepared.linear(part))).abs()
                error = error.clip(max=SEEN_LIMIT) * prepared.counted[part, :, None]
                around = torch.cat([total[None], total + error.cumsum(0, dtype=torch.float64)])
                own = torch.from_numpy(first[part] - start)
                origin = torch.where((own < 0)[:, None, None], begun, around[own.clip(min=0)])
                prepared.doubt[part] = doubt((around[:-1] - origin).float())
                total, begun = around[-1], origin[-1]

    def _pieces(self, recipe: Recipe, shift: int) -> list[Piece]:
        return cut(self.prepared.trained.tolist(), recipe.lanes, recipe.tbptt, shift)


def initialise(network: Network) -> None:
    """The cells as usual; a head that corrects nothing yet, and whose intervals are about one scale wide."""
    cells.initialise(network.cells)
    network.head.weight.data.mul_(0.3)
    start = START[network.config.head]
    network.head.weight.data[:: len(start)] = 0
    network.head.bias.data = torch.tensor(start).repeat(len(network.config.targets))
    if network.config.experts > 1:
        network.gate.weight.data.mul_(0.1)
        nn.init.zeros_(network.gate.bias)
