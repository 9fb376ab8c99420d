"""Forward fill and the one-step naive error, the measure of all scores. Knows arrays only, never torch."""

import numpy as np
from numpy.typing import NDArray


def forward_filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[T, features] with the newest value there was in place of a missing one; NaN before the first."""
    valid = np.isfinite(values)
    index = np.maximum.accumulate(np.where(valid, np.arange(len(values))[:, None], 0), axis=0)
    return np.take_along_axis(values, index, axis=0)


def mean_changes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[features]: the mean absolute change from the newest value to each one that is there; NaN where there is none.

    It is the one-step naive error, the scale of MASE (Hyndman and Koehler 2006).
    """
    filled = forward_filled(values)
    there = np.isfinite(values[1:]) & np.isfinite(filled[:-1])
    change = np.where(there, np.abs(filled[1:] - filled[:-1]), 0).sum(0)
    return np.where(there.any(0), change / np.maximum(there.sum(0), 1), np.nan)
