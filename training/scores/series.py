"""The numbers that are scored, laid out for arithmetic: each target of each stream, one after another, in time order.

Knows events and their parts, nothing of models. A number's past is the newest value before it in its own stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data import Events
from training.splits import TEST, TRAIN, Split

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Series:
    """Columns of equal length over all numbers; series i is numbers first[i] to first[i + 1]."""

    names: list[str]  # [series]
    first: Ints  # [series + 1]
    of: Ints  # [numbers] its series
    event: Ints  # [numbers] its event
    target: Ints  # [numbers] its target
    part: NDArray[np.int8]  # [numbers]
    values: Array  # [numbers]; NaN where missing
    filled: Array  # [numbers] the newest value so far, this one included; NaN before the first
    past: Array  # [numbers] the newest value before this one, which is what persistence predicts; NaN before the first
    scale: Array  # [series] the training part's one-step naive error, > 0; NaN where it has none

    @property
    def trained(self) -> Ints:
        """[series]: numbers of the training part, which come first."""
        return np.bincount(self.of[self.part == TRAIN], minlength=len(self.names)).astype(np.int64)

    @property
    def scored(self) -> Bools:
        """[numbers]: of the test part, there, and with a past."""
        found: Bools = (self.part == TEST) & np.isfinite(self.values) & np.isfinite(self.past)
        return found


def names_of(keys: Sequence[bytes]) -> list[str]:
    """The streams' keys as text that can be shown."""
    texts = [key.decode(errors="backslashreplace") for key in keys]
    return [text if text.isprintable() else text.encode("unicode_escape").decode() for text in texts]


def lay_out(events: Events, split: Split, targets: Sequence[str]) -> Series:
    """The numbers of these features; a series has its stream's name, of several targets `stream/target`."""
    order, bounds = events.by_stream()
    count, total = len(events.keys), len(order)
    columns = [events.features.index(target) for target in targets]
    names = names_of(events.keys)
    first = np.concatenate([bounds[:-1] + i * total for i in range(len(columns))] + [[total * len(columns)]])
    of = np.repeat(np.arange(count * len(columns)), np.diff(first))
    values = events.values[order][:, columns].T.ravel()
    filled = fill(values, first[of])
    past = np.concatenate([[np.nan], filled[:-1]])
    past[first[:-1][np.diff(first) > 0]] = np.nan
    part = np.tile(split.part[order], len(columns))
    return Series(
        names=[f"{name}/{target}" for target in targets for name in names] if len(targets) > 1 else names,
        first=first,
        of=of,
        event=np.tile(order, len(columns)),
        target=np.repeat(np.arange(len(columns)), total),
        part=part,
        values=values,
        filled=filled,
        past=past,
        scale=_scale(values, past, part, of, count * len(columns)),
    )


def fill(values: Array, start: Ints) -> Array:
    """[numbers] with the newest value in place of a missing one. start: [numbers] the first number of its series."""
    newest = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), -1))
    return np.where(newest >= start, values[newest], np.nan)


def _scale(values: Array, past: Array, part: NDArray[np.int8], of: Ints, count: int) -> Array:
    """The mean absolute change from the newest value to each one that is there (Hyndman and Koehler 2006)."""
    rows = (part == TRAIN) & np.isfinite(values) & np.isfinite(past)
    sums = np.bincount(of[rows], np.abs(values[rows] - past[rows]), count)
    means = sums / np.maximum(np.bincount(of[rows], minlength=count), 1)
    return np.where(means > 0, means, np.nan)
