"""The training loop: windows of truncated back-propagation, early stopping, averaged weights. Knows no files.

Truncated back-propagation with carried state (Williams and Peng 1990); AdamW (Loshchilov and Hutter 2019); the weights
that are scored and kept are the exponential moving average of those that are stepped (Polyak and Juditsky 1992).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from training.errors import TrainingStopped
from training.recipe import Recipe
from training.task import Task, Trained

AVERAGE = 0.99
CLIP = 1.0  # norm of the gradient over all weights
SLOWER_AFTER = 3  # passes without a better score until the step is halved

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


def train(task: Task, recipe: Recipe, report: Progress, clock: Clock = time.monotonic) -> Outcome:
    """Fit the task's network; it ends with the best weights. Raises TrainingStopped where a loss is not finite."""
    network = task.network
    random = np.random.default_rng(recipe.seed)
    optimizer = torch.optim.AdamW(task.groups(recipe), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    average = Average(network)
    start, best, best_epoch, best_weights = clock(), float("inf"), 0, network.weights()
    stopped, epoch = "epochs", 0
    for epoch in range(1, recipe.epochs + 1):
        began = clock()
        network.train()
        total = count = 0.0
        for loss, weight in task.losses(recipe, random, epoch):
            if not torch.isfinite(loss):
                raise TrainingStopped(
                    f"the loss became {loss.item()} in epoch {epoch} with --learning-rate {recipe.learning_rate:g}; "
                    "try a tenth of it"
                )
            optimizer.zero_grad()
            (loss / weight).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_([weight for _, weight in network.named_parameters()], CLIP)
            optimizer.step()
            average.update()
            total, count = total + loss.item(), count + weight.item()
            if clock() - start > recipe.seconds:
                stopped = "time"
                break
        with average:
            task.record()
            score = task.validate()
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
    task.record()
    return Outcome(epoch, best_epoch, best, clock() - start, stopped)


class Average:
    """An exponential moving average of the weights; inside `with` the network has it in place of its own."""

    def __init__(self, network: Trained) -> None:
        self.parameters = [weight for _, weight in network.named_parameters()]
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
