"""A small network without state as a rival: one hidden layer over the last values. Knows series and torch.

All series train one network; each window is seen relative to its last value, in units of its own spread, so that series
of any size can share the weights. It is fitted on the training part and stopped by the validation part.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from training.scores.series import Array, Ints, Series
from training.scores.threads import one_thread
from training.splits import TRAIN, VALID

WINDOW = 48  # values, where the training parts are long enough
HIDDEN = 64
LANES = 512  # windows that are stepped together
STEPS = (500, 4000)  # of the optimizer, at least and at most: seconds, whatever the data's size
PASSES = 60  # over the training part, within these bounds
LOOK = 100  # steps between two looks at the validation part
PATIENCE = 8  # looks without a better score
EXAMPLES = 1 << 18  # windows of the training part; of the validation part a quarter
LEARNING_RATE = 3e-3
FAR = 10.0  # of an error's weight, and of what is seen and learned, in spreads
BLOCK = 1 << 15  # windows that are predicted at once


@dataclass(frozen=True)
class Windows:
    """What is seen before a number, in spreads from the newest value."""

    seen: Tensor  # [windows, width]
    newest: Array  # [windows]
    spread: Array  # [windows]; 0: the window is constant


class Network(nn.Module):
    """[windows, width] -> [windows]: the step from the newest value, in spreads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, HIDDEN), nn.Linear(HIDDEN, 1)
        self.outer.weight.data.mul_(0.1)

    def forward(self, seen: Tensor) -> Tensor:
        step: Tensor = self.outer(nn.functional.gelu(self.inner(seen)))
        return step[:, 0]


def width_for(series: Series) -> int:
    """Values of a window: a quarter of the median training part, and no more than WINDOW."""
    trained = series.trained
    return int(np.clip(np.median(trained[trained > 0]) // 4, 1, WINDOW)) if trained.any() else 1


@one_thread()
def predict(series: Series, rows: Ints, width: int, seed: int) -> Array:
    """[rows]: the network's prediction of these numbers; persistence where there is nothing to learn from."""
    there = np.isfinite(series.values) & np.isfinite(series.past) & np.isfinite(series.scale[series.of])
    random = np.random.default_rng(seed)
    fitted = _some(np.flatnonzero(there & (series.part == TRAIN)), EXAMPLES, random)
    checked = _some(np.flatnonzero(there & (series.part == VALID)), EXAMPLES // 4, random)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(width)
    if not len(fitted) or not len(checked):
        return series.past[rows]
    _fit(network, _examples(series, fitted, width), _examples(series, checked, width), random)
    predicted = np.empty(len(rows))
    with torch.no_grad():
        for start in range(0, len(rows), BLOCK):
            windows = _windows(series, rows[start : start + BLOCK], width)
            step = network.forward(windows.seen).double().numpy()
            predicted[start : start + BLOCK] = windows.newest + windows.spread * step
    return predicted


def _some(rows: Ints, most: int, random: np.random.Generator) -> Ints:
    return rows if len(rows) <= most else np.sort(random.choice(rows, most, replace=False))


def _windows(series: Series, rows: Ints, width: int) -> Windows:
    """Where a series has fewer values before a number, its first value fills the window's beginning."""
    valid = np.isfinite(series.values)
    begin = series.first[series.of[rows]]
    ahead = np.concatenate([[0], np.cumsum(valid)])
    beginnings = np.searchsorted(ahead, ahead[begin] + 1) - 1  # each series' first value that is there
    index = np.maximum(rows[:, None] + np.arange(-width, 0), beginnings[:, None])
    values = series.filled[index]
    newest = values[:, -1]
    spread = np.abs(values - values.mean(1, keepdims=True)).mean(1)
    unit = np.where(spread > 0, spread, 1)
    seen = ((values - newest[:, None]) / unit[:, None]).clip(-FAR, FAR)
    return Windows(torch.from_numpy(seen.astype(np.float32)), newest, spread)


def _examples(series: Series, rows: Ints, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """What is seen [examples, width], the step to the number in spreads, and what an error of one spread weighs."""
    windows = _windows(series, rows, width)
    unit = np.where(windows.spread > 0, windows.spread, 1)
    step = ((series.values[rows] - windows.newest) / unit).clip(-FAR, FAR)
    weight = (windows.spread / series.scale[series.of[rows]]).clip(0, FAR)  # in the units of MASE
    return windows.seen, torch.from_numpy(step.astype(np.float32)), torch.from_numpy(weight.astype(np.float32))


def _fit(
    network: Network,
    fitted: tuple[Tensor, Tensor, Tensor],
    checked: tuple[Tensor, Tensor, Tensor],
    random: np.random.Generator,
) -> None:
    """Least absolute errors by Adam; the weights end as they were at the best look at the validation part."""
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    steps = int(np.clip(PASSES * len(fitted[0]) // LANES, *STEPS))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, best_step, kept = float("inf"), 0, {name: w.clone() for name, w in network.state_dict().items()}
    for step in range(1, steps + 1):
        rows = torch.from_numpy(random.integers(0, len(fitted[0]), LANES))
        loss = _loss(network, *(column[rows] for column in fitted))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % LOOK == 0:
            with torch.no_grad():
                score = float(_loss(network, *checked))
            if score < best:
                best, best_step, kept = score, step, {name: w.clone() for name, w in network.state_dict().items()}
            elif step - best_step >= PATIENCE * LOOK:
                break
    network.load_state_dict(kept)


def _loss(network: Network, seen: Tensor, step: Tensor, weight: Tensor) -> Tensor:
    return ((network.forward(seen) - step).abs() * weight).mean()
