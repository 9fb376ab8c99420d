"""Whose the next event is: a law makes streams of random numbers. When events come is `pace`'s concern."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from engine.columns import Ints
from loadtest.events import Doubles

Draw = Literal["uniform", "zipf", "hot", "growing"]
Law = Callable[[Ints, Doubles], Ints]  # numbers of events, a draw from 0 to 1 for each -> the stream of each


def law(draw: Draw, streams: int, *, exponent: float = 1.1, hot_share: float = 0.5, new_streams: float = 0.01) -> Law:
    """exponent: of Zipf's law. hot_share: of all events that belong to stream 0. new_streams: share of all events that
    are the first of a stream; then `streams` is how many there are at the beginning."""
    if draw == "zipf":
        return _zipf(streams, exponent)
    if draw == "hot":
        return _hot(streams, hot_share)
    if draw == "growing":
        return _growing(streams, new_streams)
    return lambda _, draws: _of(draws, streams)


def _of(draws: Doubles, streams: int | Ints) -> Ints:
    """Evenly."""
    chosen: Ints = np.minimum((draws * streams).astype(np.int64), streams - 1)
    return chosen


def _zipf(streams: int, exponent: float) -> Law:
    """The k-th stream's share is proportional to k ** -exponent."""
    weights = np.arange(1, streams + 1, dtype=np.float64) ** -exponent
    shares = np.cumsum(weights) / weights.sum()
    return lambda _, draws: np.minimum(np.searchsorted(shares, draws, side="right"), streams - 1)


def _hot(streams: int, share: float) -> Law:
    def who(_: Ints, draws: Doubles) -> Ints:
        rest = np.maximum(draws - share, 0.0) / max(1.0 - share, 1e-9)
        return np.where((draws < share) | (streams == 1), 0, 1 + _of(rest, max(1, streams - 1)))

    return who


def _growing(streams: int, share: float) -> Law:
    def who(numbers: Ints, draws: Doubles) -> Ints:
        before = streams + np.floor(numbers * share).astype(np.int64)
        after = streams + np.floor((numbers + 1) * share).astype(np.int64)
        return np.where(after > before, before, _of(draws, before))

    return who
