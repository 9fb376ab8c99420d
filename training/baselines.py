"""What the model must beat: the value before, and a linear autoregression of each stream. Knows arrays only.

Both predict event i from the events before it, with missing values forward-filled, and are fitted on the training part.
"""

import numpy as np
from numpy.typing import NDArray

from training.naive import forward_filled

Array = NDArray[np.float64]
ROWS_PER_COEFFICIENT = 3


def persistence(values: Array) -> Array:
    """[T, features]: each event predicted by the newest value before it; NaN before the first."""
    return np.concatenate([np.full_like(values[:1], np.nan), forward_filled(values)[:-1]])


def autoregression(values: Array, trained: int, order: int) -> Array:
    """[T, features]: AR(order) with a constant, each feature by itself, least squares on the first `trained` events.

    Where a stream's training part is too short, the order is lower; where there is no past yet, persistence.
    """
    predicted = persistence(values)
    for feature in range(values.shape[1]):
        _one(values[:, feature], predicted[:, feature], trained, order)
    return predicted


def _one(values: Array, predicted: Array, trained: int, order: int) -> None:
    valid = np.flatnonzero(np.isfinite(values))
    if not len(valid):
        return
    first = int(valid[0])
    series = forward_filled(values[first:, None])[:, 0]
    fitted = trained - first
    order = min(order, fitted // (ROWS_PER_COEFFICIENT + 1) - 1)
    if order < 1:
        return
    past = np.lib.stride_tricks.sliding_window_view(series, order)[:-1]  # [rows, order], oldest first
    there = np.isfinite(values[first + order :])
    rows = there & (np.arange(len(past)) + order < fitted)
    if rows.sum() < ROWS_PER_COEFFICIENT * (order + 1):
        return
    center = series[:fitted].mean()  # a shift that the constant takes up; it keeps the equations well conditioned
    design = np.column_stack([past - center, np.ones(len(past))])
    weights = np.linalg.lstsq(design[rows], series[order:][rows] - center, rcond=None)[0]
    predicted[first + order :] = design @ weights + center
