"""The training loop: windows of truncated back-propagation, early stopping, averaged weights. Knows no files.

Truncated back-propagation with carried state (Williams and Peng 1990); AdamW (Loshchilov and Hutter 2019); the weights
that are scored and kept are the exponential moving average of those that are stepped (Polyak and Juditsky 1992).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from export.config import SEEN_LIMIT
from export.head import OFFSETS
from training.errors import TrainingStopped
from training.lanes import Piece, cut, windows
from training.network import Network, doubt
from training.prepare import Prepared
from training.recipe import Recipe
from training.unroll import quantile_loss, run, validated

AVERAGE = 0.99
CLIP = 1.0  # norm of the gradient over all weights
SLOWER_AFTER = 3  # passes without a better score until the step is halved
PART = 1 << 16  # evaluations that the experts advise at once
BURN_IN = 512  # events of the training part that lead into the validation part

Progress = Callable[[dict[str, float | int | str]], None]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Outcome:
    """How training went."""

    epochs: int
    best_epoch: int
    best_loss: float
    seconds: float
    stopped: str  # "epochs", "patience" or "time"


def train(
    network: Network, prepared: Prepared, recipe: Recipe, report: Progress, clock: Clock = time.monotonic
) -> Outcome:
    """Fit the network; it ends with the best weights. Scores are quantile losses in scales.

    Raises TrainingStopped where there is nothing to learn from, or a loss is not finite.
    """
    if prepared.trained.sum() == 0:
        raise TrainingStopped("no stream has two events in the training part; give longer streams or another split")
    random = np.random.default_rng(recipe.seed)
    optimizer = torch.optim.AdamW(_groups(network, recipe), lr=recipe.learning_rate)
    average = Average(network)
    start, best, best_epoch, best_weights = clock(), float("inf"), 0, network.weights()
    stopped, epoch = "epochs", 0
    for epoch in range(1, recipe.epochs + 1):
        began = clock()
        shift = int(random.integers(0, recipe.tbptt)) if epoch > 1 else 0
        pieces = cut(prepared.trained.tolist(), recipe.lanes, recipe.tbptt, shift)
        network.train()
        total = count = 0.0
        for loss, weight in _losses(network, prepared, pieces, recipe, random):
            if not torch.isfinite(loss):
                raise TrainingStopped(
                    f"the loss became {loss.item()} in epoch {epoch} with --learning-rate {recipe.learning_rate:g}; "
                    "try a tenth of it"
                )
            optimizer.zero_grad()
            (loss / weight).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimizer.step()
            average.update()
            total, count = total + loss.item(), count + weight.item()
            if clock() - start > recipe.seconds:
                stopped = "time"
                break
        with average:
            record(network, prepared)
            score = validate(network, prepared)
            if score < best:
                best, best_epoch, best_weights = score, epoch, network.weights()
        now = clock()
        report(
            {
                "epoch": epoch,
                "epochs": recipe.epochs,
                "seconds": round(now - start, 3),
                "train_loss": total / max(count, 1),
                "valid_loss": score,
                "best_epoch": best_epoch,
                "events_per_second": round(count / max(now - began, 1e-9)),
                "learning_rate": optimizer.param_groups[0]["lr"],
            }
        )
        waited = epoch - best_epoch
        if stopped == "time":
            break
        if waited >= recipe.patience:
            stopped = "patience"
            break
        if waited and waited % SLOWER_AFTER == 0:
            for group in optimizer.param_groups:
                group["lr"] /= 2
    if not np.isfinite(best):
        raise TrainingStopped("no validation score was finite; try a smaller --learning-rate")
    network.load(best_weights)
    record(network, prepared)
    return Outcome(epoch, best_epoch, best, clock() - start, stopped)


def initialise(network: Network) -> None:
    """Xavier and orthogonal weights, forget gates open, a narrow head (Glorot 2010; Saxe 2014; Jozefowicz 2015)."""
    hidden = network.config.hidden
    for name, weight in network.cells.named_parameters():
        if "bias" in name:
            nn.init.zeros_(weight)
            if "bias_ih" in name:
                nn.init.ones_(weight.data[hidden : 2 * hidden])
        elif "weight_hh" in name:
            for gate in torch.split(weight.data, hidden):
                nn.init.orthogonal_(gate)
        else:
            nn.init.xavier_uniform_(weight)
    network.head.weight.data.mul_(0.3)
    network.head.bias.data = torch.tensor([0.0, -0.7, -0.7, 0.0, 0.0]).repeat(len(network.config.targets))
    if network.config.experts > 1:
        network.gate.weight.data.mul_(0.1)
        nn.init.zeros_(network.gate.bias)


class Average:
    """An exponential moving average of the weights; inside `with` the network has it in place of its own."""

    def __init__(self, network: Network) -> None:
        self.parameters = list(network.parameters())
        self.kept = [parameter.data.clone() for parameter in self.parameters]
        self.steps = 0

    def update(self) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        decay = min(AVERAGE, self.steps / (10 + self.steps))
        for kept, parameter in zip(self.kept, self.parameters, strict=True):
            kept.mul_(decay).add_(parameter.data, alpha=1 - decay)

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *_: object) -> None:
        self._swap()

    def _swap(self) -> None:
        for i, parameter in enumerate(self.parameters):
            self.kept[i], parameter.data = parameter.data, self.kept[i]


def record(network: Network, prepared: Prepared) -> None:
    """Bring the doubts up to the experts' present weights. No gradient goes through them."""
    if network.config.experts == 1:
        return
    # The sum before each evaluation, all streams at once in float64, less what it was at the stream's first one.
    first = torch.from_numpy(np.repeat(prepared.first[:-1], np.diff(prepared.first)))
    with torch.no_grad():
        advice = torch.cat([network.advice(prepared.linear(slice(i, i + PART))) for i in range(0, len(first), PART)])
        error = (prepared.change[..., None] - advice).abs().clip(max=SEEN_LIMIT)
        error *= prepared.counted[..., None]
        total = torch.cat([torch.zeros(1, *error.shape[1:]), error[:-1]]).cumsum(0, dtype=torch.float64)
        prepared.doubt = doubt((total - total[first]).float())


def validate(network: Network, prepared: Prepared) -> float:
    """Mean quantile loss on the validation part, with the end of the training part as run-up."""
    network.eval()
    pieces = [
        Piece(i, max(0, int(trained) - BURN_IN), int(known))
        for i, (trained, known) in enumerate(zip(prepared.trained, prepared.known, strict=True))
        if known > trained
    ]
    total, count = 0.0, 0.0
    order = np.random.default_rng(0)
    with torch.no_grad():
        for window, base, widths, change, weight in run(network, prepared, windows(pieces, 256, 256, order)):
            scored = weight * validated(prepared, window)
            quantiles = base + widths @ torch.from_numpy(OFFSETS)
            total += float(quantile_loss(quantiles, change, scored))
            count += float(scored.sum())
    return total / count if count else float("inf")


def _losses(
    network: Network, prepared: Prepared, pieces: list[Piece], recipe: Recipe, random: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    groups = windows(pieces, recipe.lanes, recipe.tbptt, random)
    for _, base, widths, change, weight in run(network, prepared, groups, recipe.dropout):
        count = weight.sum()
        if count > 0:
            yield quantile_loss(base + widths @ torch.from_numpy(OFFSETS), change, weight), count


def _groups(network: Network, recipe: Recipe) -> list[dict[str, object]]:
    """The experts were fitted already: they learn slower, and do not decay."""
    fitted = [weight for name, weight in network.named_parameters() if name.startswith("linear.")]
    others = [weight for name, weight in network.named_parameters() if not name.startswith("linear.")]
    groups: list[dict[str, object]] = [{"params": others, "weight_decay": recipe.weight_decay}]
    if fitted:
        groups.append({"params": fitted, "weight_decay": 0.0, "lr": recipe.learning_rate / 10})
    return groups
