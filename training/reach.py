"""A stream's own factor of its intervals: the arithmetic of `export.reach`, on tensors and on arrays."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.config import BLOCK, FACTOR, FAR, PATIENCE

Array = NDArray[np.float64]


def factors(distance: Tensor, widths: Tensor, mask: Tensor, usual: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """The factor around each event, [T + 1, batch, targets], and the next state `reach`.

    distance [T, batch, targets, 1] of the values from the median before, widths [T, batch, targets, 4] of the interval
    before, both in one unit; mask [T, batch, targets]; before [batch, targets, 4].
    """
    begun, position, weight, total = before.movedim(-1, 0)
    known = fold(begun, mask).clip(0, 1)
    counted = mask * known[:-1]
    places = fold(position, counted)
    block = (places / BLOCK).floor()
    power = 2.0**block
    error = errors(distance, widths)
    counts = counted * power[:-1]
    weights = fold(weight, counts) / power
    totals = fold(total, counts * error) / power
    following = torch.stack([known[-1], places[-1] - block[-1] * BLOCK, weights[-1], totals[-1]], -1)
    factor = (totals + usual * PATIENCE) / ((weights + PATIENCE) * usual)
    return factor.clip(*FACTOR), following


def errors(distance: Tensor, widths: Tensor) -> Tensor:
    """How far each value came in its interval: 1 at its end. Shapes as in `factors`, [..., targets]."""
    reach = widths[..., :2] + widths[..., 2:]
    return (torch.cat([distance, -distance], -1) / reach).amax(-1).clip(0, FAR)


def followed(error: Array, there: NDArray[np.bool_], usual: float) -> Array:
    """[events]: one stream's factor before each of its errors, where there is one."""
    before = np.empty(len(error))
    found, weight, total = error[there], 0.0, 0.0
    kept = np.empty(len(found))
    for start in range(0, len(found), BLOCK):
        part = found[start : start + BLOCK]
        sums = total + np.concatenate([[0.0], part.cumsum()])
        counts = weight + np.arange(len(part) + 1)
        kept[start : start + len(part)] = (sums[:-1] + usual * PATIENCE) / ((counts[:-1] + PATIENCE) * usual)
        total, weight = sums[-1] / 2, counts[-1] / 2
    before[there] = np.clip(kept, *FACTOR)
    before[~there] = 1.0
    return before


def fold(before: Tensor, increments: Tensor) -> Tensor:
    """Running sums around each event, one after another in float32 as the graph's CumSum; torch's adds in float64."""
    return torch.from_numpy(np.add.accumulate(torch.cat([before[None], increments]).numpy(), axis=0))
