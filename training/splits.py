"""Cuts events into a training, a validation and a test part by time. Knows events, nothing of networks.

A part is decided by an event's own time alone, for all streams at once, so no stream's future is in another's training.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data import Events
from training.errors import DataError

TRAIN, VALID, TEST = 0, 1, 2


@dataclass(frozen=True)
class Split:
    """Training is all before `valid` (milliseconds), validation before `test`, the test part the rest."""

    valid: int
    test: int

    def part(self, time: NDArray[np.int64]) -> NDArray[np.int8]:
        """TRAIN, VALID or TEST for each time."""
        return ((time >= self.valid).astype(np.int8) + (time >= self.test)).astype(np.int8)


def split(events: Events, train_share: float, valid_share: float) -> Split:
    """Shares of the events in time order; events of one time stay in one part.

    Raises DataError where a part would be empty.
    """
    valid, test = (events.time[int(len(events) * share)] for share in (train_share, train_share + valid_share))
    result = Split(int(valid), int(test))
    counts = np.bincount(result.part(events.time), minlength=3)
    if (counts == 0).any():
        raise DataError(
            f"{len(events)} events cannot be split by time into training, validation and test ({counts[TRAIN]}, "
            f"{counts[VALID]} and {counts[TEST]} events); give more events or other shares"
        )
    return result


def check_values(events: Events, split: Split) -> None:
    """Raise DataError where there is nothing to learn of a feature, or nothing to validate by."""
    part = split.part(events.time)
    there = np.isfinite(events.values)
    for name, column in zip(events.features, there.T, strict=True):
        if not column.any():
            raise DataError(
                f"--value {name}: all {len(column)} values are missing; mend the data, or name another column"
            )
        if not column[part == TRAIN].any():
            raise DataError(
                f"--value {name}: all {(part == TRAIN).sum()} values of the training part are missing, {column.sum()} "
                "later ones are there; leave out the time before them, or give a larger --train-share"
            )
    if not there[part == VALID].any():
        raise DataError(
            f"--value {' '.join(events.features)}: all {(part == VALID).sum()} values of the validation part are "
            "missing; mend the data, or give another --train-share or --valid-share"
        )
