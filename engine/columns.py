"""What flows into the engine and out of it: columns of equal length, never one object per event."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

HOUR = 3_600_000  # milliseconds


@dataclass(slots=True)
class Columns:
    """Events of one or more partitions, in offset order within each partition."""

    runs: list[tuple[int, int, int]]  # (partition, first event, one past the last event), covering all events
    keys: list[bytes]
    offset: Ints  # [events]
    time: Ints  # [events] milliseconds since the epoch, as the event tells it
    timestamp: Ints  # [events] of the record, milliseconds since the epoch
    x: Floats  # [events, features]; 0 where the value is missing
    mask: Floats  # [events, features]; 1 where the value is there
    reset: Bools | None = None  # [events]; True: not a value but an order to forget the stream. None: no such event
    poison: Bools | None = None  # [events]; of those in `reset`: an event that cannot be read, no order. None: no such

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(slots=True)
class Outcome:
    """What became of each event. Rows of events that were not stepped (resets, refusals) hold nothing of meaning."""

    step: Ints  # [events] the stream's events since its cold start, this one included
    predicted: Floats  # [events, *signature.output_shape] of the stream's next event: its quantiles or probabilities
    surprise: Floats  # [events, targets]; NaN where there is none: a stream's first event, a missing value, a class
    stepped: Bools  # [events]
    refused: dict[int, str] = field(default_factory=dict)  # event -> why the network could not step it
    frozen: dict[int, str] = field(default_factory=dict)  # event of a frozen stream -> since when that is so


def with_clock(columns: Columns) -> Columns:
    """The same with each event's time, as `clock` has it, after its features."""
    times = clock(columns.time)
    return replace(columns, x=np.hstack([columns.x, times]), mask=np.hstack([columns.mask, np.ones_like(times)]))


def clock(time: Ints) -> Floats:
    """[..., 2] of times in milliseconds: whole hours since 1970, and the milliseconds beyond them.

    Both are exact in float32 up to the year 3883.
    """
    return np.stack(np.divmod(time, HOUR), axis=-1).astype(np.float32)


def concatenate(parts: list[Columns]) -> Columns:
    """Several batches of columns as one."""
    runs, shift = [], 0
    for part in parts:
        runs += [(partition, start + shift, stop + shift) for partition, start, stop in part.runs]
        shift += len(part)
    resets = [np.zeros(len(part), np.bool_) if part.reset is None else part.reset for part in parts]
    poison = [np.zeros(len(part), np.bool_) if part.poison is None else part.poison for part in parts]
    return Columns(
        runs=runs,
        keys=[key for part in parts for key in part.keys],
        offset=np.concatenate([part.offset for part in parts]),
        time=np.concatenate([part.time for part in parts]),
        timestamp=np.concatenate([part.timestamp for part in parts]),
        x=np.concatenate([part.x for part in parts]),
        mask=np.concatenate([part.mask for part in parts]),
        reset=np.concatenate(resets) if any(part.reset is not None for part in parts) else None,
        poison=np.concatenate(poison) if any(part.poison is not None for part in parts) else None,
    )
