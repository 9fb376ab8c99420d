"""The training loop, whatever the task: steps, scores, early stopping. Knows no files.

Truncated back-propagation with carried state (Williams and Peng 1990). Where weights are averaged, the average is what
is scored and kept.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np
import torch
from torch import Tensor

from export.config import Weights
from training.averaging import Average
from training.clipping import Clipper
from training.errors import TrainingStopped
from training.optimizers import factor, optimizer
from training.progress import Progress, Row, silent
from training.recipe import Recipe
from training.standing import Checkpointer, Standing, Stopped, Tensors
from training.task import Task

AHEAD = 0.05  # of the time budget, that the clock must be ahead of the steps to count
SLOWER_AFTER = 3  # passes without a better score until schedule plateau halves the step

Clock = Callable[[], float]


@dataclass(frozen=True)
class Outcome:
    """How training went."""

    epochs: int
    best_epoch: int
    best_loss: float
    seconds: float
    stopped: Stopped
    message: str  # of "invalid": what happened, in one line


def train(
    task: Task,
    recipe: Recipe,
    report: Progress,
    clock: Clock = time.monotonic,
    checkpointer: Checkpointer | None = None,
    within: Progress = silent,
) -> Outcome:
    """Fit the task's network; it ends with the best weights.

    report gets a row at the end of each epoch, within one after each step. The checkpointer saves at the end of each
    epoch; where it holds something already, training goes on from there to the same weights, and reports the epochs
    that were once more. Raises TrainingStopped where a loss or a score is not finite before there is a good one.
    """
    with _repeatable():
        loop = _Loop(task, recipe, clock, within)
        saved = checkpointer.load() if checkpointer else None
        if saved:
            loop.restore(*saved)
            for earlier in loop.now.rows:
                report(earlier)
        while not loop.now.stopped:
            row = loop.epoch()
            if checkpointer:
                checkpointer.save(loop.now, loop.tensors())
            if row is not None:
                report(row)
        task.network.load(loop.best)
        task.record()
    now = loop.now
    return Outcome(now.epoch, now.best_epoch, now.best_loss, now.seconds, now.stopped, now.message)


@contextmanager
def _repeatable() -> Iterator[None]:
    """Only algorithms that give the same bits each time. On a processor they cost nothing."""
    switches = torch.utils.deterministic
    mode, fill = torch.get_deterministic_debug_mode(), switches.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_deterministic_debug_mode("error")
    switches.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        switches.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


class _Loop:
    """The parts that are stepped, and where they stand."""

    def __init__(self, task: Task, recipe: Recipe, clock: Clock, within: Progress) -> None:
        self.task, self.recipe, self.clock, self.within = task, recipe, clock, within
        named = list(task.network.named_parameters())
        self.optimizer = optimizer(task.groups(recipe), recipe)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.clip = Clipper(named, recipe.clipping, recipe.clip)
        self.average = Average([weight for _, weight in named], recipe.average)
        self.random = np.random.default_rng(recipe.seed)
        self.steps = max(1, task.steps(recipe))
        self.best: Weights = task.network.weights()
        self.now = Standing()
        self.began, self.before = clock(), 0.0  # of this process, and the epochs' seconds before it
        self.done = 0.0  # epochs in this process

    def epoch(self) -> Row | None:
        """One pass, its score, and whether there is another one. Gives the epoch's row, None where it is invalid."""
        now, recipe = self.now, self.recipe
        now.epoch += 1
        began = self.clock()
        loss, count = self._pass()
        spent = self.clock() - began
        score = nan if now.stopped == "invalid" else self._score()
        now.seconds = self._seconds()
        now.averaged, now.random = self.average.steps, dict(self.random.bit_generator.state)
        if now.stopped == "invalid":
            return None
        waited = now.epoch - now.best_epoch
        if not now.stopped and waited >= recipe.patience:
            now.stopped = "patience"
        if not now.stopped and now.epoch >= recipe.epochs:
            now.stopped = "epochs"
        if waited and waited % SLOWER_AFTER == 0:
            now.halvings += 1
        self.done += 1
        row: Row = {
            "epoch": now.epoch,
            "epochs": recipe.epochs,
            "seconds": round(now.seconds, 3),
            "train_loss": loss / max(count, 1),
            "valid_loss": score,
            "best_loss": now.best_loss,
            "best_epoch": now.best_epoch,
            "events_per_second": round(count / max(spent, 1e-9)),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "left_seconds": 0.0 if now.stopped else round(self._left(0.0), 3),
        }
        now.rows.append(row)
        return row

    def _pass(self) -> tuple[float, float]:
        """Step through all windows: the sum of losses, and how many they were."""
        now, recipe = self.now, self.recipe
        total = events = 0.0
        began = self.clock()
        self.task.network.train()
        for step, (loss, count) in enumerate(self.task.losses(recipe, self.random, now.epoch), 1):
            value, number = loss.item(), float(count)
            if not isfinite(value):
                self._invalid(f"the loss became {value}")
                break
            share = min(1.0, step / self.steps)
            # Where the clock will end training, the schedule falls by the clock; else it goes by steps alone.
            done = max((now.epoch - 1 + share) / recipe.epochs, self._seconds() / recipe.seconds - AHEAD)
            scale = factor(recipe, min(1.0, done), now.halvings)
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * scale
            self.optimizer.zero_grad()
            (loss / count).backward()  # type: ignore[no-untyped-call]
            self.clip()
            self.optimizer.step()
            self.average.update()
            total, events = total + value, events + number
            seconds = self._seconds()
            self.within(
                {
                    "epoch": now.epoch,
                    "epochs": recipe.epochs,
                    "share": share,
                    "seconds": seconds,
                    "train_loss": total / events,
                    "events_per_second": events / max(self.clock() - began, 1e-9),
                    "left_seconds": self._left(share),
                }
            )
            if seconds > recipe.seconds:
                now.stopped = "time"
                break
        return total, events

    def _score(self) -> float:
        """Of the averaged weights on the validation part; they are kept where they are the best so far."""
        now = self.now
        with self.average:
            self.task.record()
            score = self.task.validate()
            if not isfinite(score):
                self._invalid(f"the validation score became {score}")
            elif score < now.best_loss:
                now.best_loss, now.best_epoch, self.best = score, now.epoch, self.task.network.weights()
        return score

    def _invalid(self, what: str) -> None:
        now, told = self.now, f"{what} in epoch {self.now.epoch} with --learning-rate {self.recipe.learning_rate:g}"
        if not now.best_epoch:
            raise TrainingStopped(f"{told}; try a tenth of it")
        now.stopped, now.message = "invalid", told

    def _seconds(self) -> float:
        return self.before + self.clock() - self.began

    def _left(self, share: float) -> float:
        """Seconds until the last epoch or the end of the time budget; share: of the running epoch."""
        gone = self.done + share
        each = (self.clock() - self.began) / max(gone, 1e-9)
        epochs = self.recipe.epochs - self.now.epoch + (1 - share if share else 0)
        return max(0.0, min(epochs * each, self.recipe.seconds - self._seconds()))

    def tensors(self) -> Tensors:
        """What goes with the standing; of a run that is over, the best weights only."""
        found: Tensors = {f"best.{name}": array for name, array in self.best.items()}
        if self.now.stopped:
            return found
        found |= {f"network.{name}": array for name, array in self.task.network.weights().items()}
        found |= {f"average.{i}": tensor.numpy() for i, tensor in enumerate(self.average.kept)}
        for i, values in self.optimizer.state_dict()["state"].items():
            found |= {f"optimizer.{i}.{name}": v.numpy() for name, v in values.items() if isinstance(v, Tensor)}
        return found | {"random": torch.get_rng_state().numpy()}

    def restore(self, standing: Standing, tensors: Tensors) -> None:
        """Be where the standing and its tensors say."""
        self.now, self.before = standing, standing.seconds
        self.best = _under(tensors, "best")
        if standing.stopped:
            return
        self.task.network.load(_under(tensors, "network"))
        kept = _under(tensors, "average")
        self.average.kept = [torch.from_numpy(kept[str(i)].copy()) for i in range(len(kept))]
        self.average.steps = standing.averaged
        state: dict[int, dict[str, Tensor]] = {}
        for name, array in _under(tensors, "optimizer").items():
            index, _, kind = name.partition(".")
            state.setdefault(int(index), {})[kind] = torch.from_numpy(array.copy())
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        self.random.bit_generator.state = standing.random
        with self.average:
            self.task.record()  # as it was scored
        torch.set_rng_state(torch.from_numpy(tensors["random"].copy()))


def _under(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(f"{prefix}."): a for name, a in tensors.items() if name.startswith(f"{prefix}.")}
