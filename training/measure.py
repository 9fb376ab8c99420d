"""What is measured on the training part before anything is learned: the constants of scaling."""

import numpy as np
from numpy.typing import NDArray

from export.config import VALUE_LIMIT, Config, Weights
from training.data import Events
from training.naive import mean_changes
from training.splits import TRAIN, Split


def constants(events: Events, split: Split, config: Config) -> Weights:
    """The weights that are not learned but measured on the training part.

    Centre, spread and scale, or the prior, but of symbols; and the typical time from event to event.
    """
    trained = split.part == TRAIN
    found = {} if config.task == "symbol" else _scales(events, trained, config)
    if config.since_last:
        found["typical"] = np.array([_typical(events, trained)])
    return {name: np.asarray(array, np.float32) for name, array in found.items()}


def _scales(events: Events, trained: NDArray[np.bool_], config: Config) -> dict[str, NDArray[np.float64]]:
    streams = [events.values[index[trained[index]]] for index in events.per_stream()]
    streams = [np.clip(values, -VALUE_LIMIT, VALUE_LIMIT) for values in streams if len(values)]
    changes = np.array([mean_changes(values) for values in streams])  # [streams, features]
    if config.scaling == "fixed":
        pooled = np.concatenate(streams)
        center = _or(np.nanmedian, pooled, 0.0)
        spread = np.maximum(_or(np.nanmean, np.abs(pooled - center), 1.0), 1e-9)
        scale = _or(np.nanmean, changes, 1.0)
        scale = np.where(scale > 0, scale, spread)
        return {"center": center, "spread": spread, "scale": scale}
    return {"prior": np.stack([_prior(streams, changes, i) for i in range(changes.shape[1])], axis=1)}


def _typical(events: Events, trained: NDArray[np.bool_]) -> float:
    """The median time from a stream's event to its next one, in milliseconds; those of no time are left out."""
    apart = gaps(events, trained)
    apart = apart[apart > 0]
    return float(np.median(apart)) if len(apart) else 1.0


def gaps(events: Events, trained: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The times from event to event of each stream's training part, all streams', in milliseconds."""
    return np.concatenate([np.diff(events.time[index[trained[index]]]) for index in events.per_stream()])


def _or(measure: object, array: NDArray[np.float64], otherwise: float) -> NDArray[np.float64]:
    """nanmean or nanmedian over the first axis, or a constant where a feature has no value at all."""
    there = np.isfinite(array).any(0)
    filled = np.where(there, array, otherwise)
    result: NDArray[np.float64] = measure(filled, axis=0)  # type: ignore[operator]
    return result


def _prior(streams: list[NDArray[np.float64]], changes: NDArray[np.float64], feature: int) -> tuple[float, float]:
    """(a, b): a stream's scale is a * |first value| + b. Least absolute distance of the logarithms, over a grid."""
    firsts = [values[np.isfinite(values[:, feature]), feature][:1] for values in streams]
    known = [
        (abs(first[0]), change)
        for first, change in zip(firsts, changes[:, feature], strict=True)
        if len(first) and change > 0
    ]
    if not known:
        return 0.01, 1e-3
    first, change = np.array(known).T
    floor = max(float(np.median(change)) * 1e-3, 1e-12)
    grid = [(0.0, float(np.exp(np.median(np.log(change)))))]
    grid += [(a, b) for a in 10.0 ** np.arange(-6, 1.01, 0.25) for b in floor * 10.0 ** np.arange(0, 5.01, 0.5)]
    costs = [np.abs(np.log(a * first + b) - np.log(change)).mean() for a, b in grid]
    a, b = grid[int(np.argmin(costs))]
    return float(a), max(float(b), 1e-12)
