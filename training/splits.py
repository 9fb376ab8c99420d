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
    """Each event's part, and the times at which the parts begin, in milliseconds, where they are cut by time."""

    part: NDArray[np.int8]  # [events] TRAIN, VALID or TEST
    valid: int | None
    test: int | None


def split(events: Events, train_share: float, valid_share: float) -> Split:
    """Shares of the events in time order; events of one time stay in one part.

    Raises DataError where a part would be empty.
    """
    result = split_at(events, *cut_times(events, train_share, valid_share))
    counts = np.bincount(result.part, minlength=3)
    if (counts == 0).any():
        raise DataError(
            f"{len(events)} events cannot be split by time into training, validation and test ({counts[TRAIN]}, "
            f"{counts[VALID]} and {counts[TEST]} events); give more events or other shares"
        )
    return result


def cut_times(events: Events, train_share: float, valid_share: float) -> tuple[int, int]:
    """The times at which validation and test begin, by shares of the events in time order."""
    valid, test = (events.time[int(len(events) * share)] for share in (train_share, train_share + valid_share))
    return int(valid), int(test)


def split_at(events: Events, valid: int, test: int) -> Split:
    """Training is all before the time `valid`, validation before `test`, the test part the rest."""
    part = ((events.time >= valid).astype(np.int8) + (events.time >= test)).astype(np.int8)
    return Split(part, valid, test)


def check_values(events: Events, split: Split) -> None:
    """Raise DataError where there is nothing to learn of a feature, or nothing to validate by."""
    part = split.part
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
