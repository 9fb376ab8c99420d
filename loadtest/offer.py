"""Offers events: when each one is due, and the loop that sends it then. The service's pace never slows the schedule.

An event's intended time is the record's timestamp. That needs no book-keeping between the sender and the follower,
costs no memory however long the test is, and outlives both; and the outputs carry it, because an output's timestamp is
its input record's. A record's timestamp has whole milliseconds, so the schedule has too: events are due on the ticks
of a clock of 1 ms, several on one tick where the rate is higher, and nothing is rounded away.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.columns import Ints
from loadtest.events import Batch
from loadtest.pace import Schedule
from loadtest.port import Writer

MAX_CHUNK = 8192
Progress = Callable[[int], None]  # events offered so far


class Clock(Protocol):
    """Wall time, the same for the sender and the follower."""

    def now(self) -> float:
        """Milliseconds since the epoch."""

    def wait(self, until: float) -> None:
        """Return when it is `until`, in milliseconds since the epoch, or soon after."""


class WallClock:
    """The machine's clock."""

    def now(self) -> float:
        """See Clock."""
        return time.time() * 1000

    def wait(self, until: float) -> None:
        """See Clock."""
        time.sleep(max(0.0, (until - self.now()) / 1000))


@dataclass(slots=True)
class Offered:
    """What was sent."""

    events: int = 0
    seconds: float = 0.0
    started: int = 0  # ms since the epoch: the first intended time
    late: float = 0.0  # ms: the most that an event was sent after its time. It is part of the latencies
    silent: int = 0  # of the events: those that must have no output


def chunk_size(rate: float) -> int:
    """How many events are made ahead: at most 10 ms of them, so that making them delays none by more."""
    return MAX_CHUNK if not rate else max(1, min(MAX_CHUNK, round(rate / 100)))


def offer(
    batches: Iterable[Batch],
    writer: Writer,
    topic: str,
    *,
    schedule: Schedule | None = None,
    events: int | None = None,
    seconds: float | None = None,
    first: int = 0,
    start: int | None = None,
    clock: Clock | None = None,
    progress: Progress | None = None,
    flush_timeout: float = 60.0,
) -> Offered:
    """Send batches, on schedule or as fast as they go, until they or events or seconds are over.

    events: how many numbers count, from `first` on, of whomever they are. start: ms since the epoch, now by default.
    """
    clock = clock or WallClock()
    offered = Offered(started=int(clock.now()) + 1 if start is None else start)
    until = np.inf if seconds is None else seconds * 1000
    begun = 0
    for batch in batches:
        index = begun + np.arange(len(batch)) if batch.index is None else batch.index - first
        begun = begun + len(batch) if batch.stop is None else batch.stop - first
        if events is not None:
            batch, index = _before(batch, index, events)
        if schedule is not None:
            due = schedule(index)
            batch, due = _before(batch, due, until)
            offered.late = max(offered.late, _paced(batch, offered.started + due, writer, topic, clock))
        elif clock.now() - offered.started < until:
            writer.send(topic, batch.partitions, batch.keys, batch.values, [int(clock.now())] * len(batch))
        else:
            break
        offered.events += len(batch)
        offered.silent += 0 if batch.silent is None else int(batch.silent.sum())
        if progress is not None:
            progress(offered.events)
        if events is not None and begun >= events:
            break
        if schedule is not None and schedule(np.array([begun]))[0] >= until:
            break
    writer.flush(flush_timeout)
    offered.seconds = (clock.now() - offered.started) / 1000
    return offered


def _before(batch: Batch, column: Ints, limit: float) -> tuple[Batch, Ints]:
    """Both up to where the column of the batch, which ascends, reaches the limit."""
    stop = int(np.searchsorted(column, limit, side="left"))
    return batch.cut(0, stop), column[:stop]


def _paced(batch: Batch, due: Ints, writer: Writer, topic: str, clock: Clock) -> float:
    """Send each event when it is due; the most that one was late, in ms."""
    at, late = 0, 0.0
    while at < len(batch):
        now = clock.now()
        until = int(np.searchsorted(due, now, side="right"))
        if until > at:
            late = max(late, now - float(due[at]))
            part = batch.cut(at, until)
            writer.send(topic, part.partitions, part.keys, part.values, due[at:until].tolist())
            at = until
        else:
            clock.wait(float(due[at]))
    return late
