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


def ticks(first: int, events: int, rate: float) -> Ints:
    """When events first, first + 1, ... are due, in milliseconds after the start."""
    due: Ints = np.floor(np.arange(first, first + events) * (1000.0 / rate)).astype(np.int64)
    return due


def chunk_size(rate: float) -> int:
    """How many events are made ahead: at most 10 ms of them, so that making them delays none by more."""
    return MAX_CHUNK if not rate else max(1, min(MAX_CHUNK, round(rate / 100)))


def offer(
    batches: Iterable[Batch],
    writer: Writer,
    topic: str,
    *,
    rate: float = 0.0,
    events: int | None = None,
    seconds: float | None = None,
    clock: Clock | None = None,
    progress: Progress | None = None,
    flush_timeout: float = 60.0,
) -> Offered:
    """Send batches, at `rate` events a second or as fast as they go (0), until they or events or seconds are over."""
    clock = clock or WallClock()
    start = int(clock.now()) + 1
    end = None if seconds is None else start + seconds * 1000
    offered = Offered(started=start)
    if rate and seconds is not None:
        scheduled = int(np.ceil(rate * seconds))
        events = scheduled if events is None else min(events, scheduled)
    for batch in batches:
        if events is not None and offered.events + len(batch) > events:
            batch = _cut(batch, 0, events - offered.events)
        if not len(batch) or (not rate and end is not None and clock.now() >= end):
            break
        if rate:
            due = start + ticks(offered.events, len(batch), rate)
            offered.late = max(offered.late, _paced(batch, due, writer, topic, clock))
        else:
            now = int(clock.now())
            writer.send(topic, batch.partitions, batch.keys, batch.values, [now] * len(batch))
        offered.events += len(batch)
        if progress is not None:
            progress(offered.events)
    writer.flush(flush_timeout)
    offered.seconds = (clock.now() - start) / 1000
    return offered


def _paced(batch: Batch, due: Ints, writer: Writer, topic: str, clock: Clock) -> float:
    """Send each event when it is due; the most that one was late, in ms."""
    at, late = 0, 0.0
    while at < len(batch):
        now = clock.now()
        until = int(np.searchsorted(due, now, side="right"))
        if until > at:
            late = max(late, now - float(due[at]))
            part = _cut(batch, at, until)
            writer.send(topic, part.partitions, part.keys, part.values, due[at:until].tolist())
            at = until
        else:
            clock.wait(float(due[at]))
    return late


def _cut(batch: Batch, start: int, stop: int) -> Batch:
    if start == 0 and stop >= len(batch):
        return batch
    return Batch(batch.partitions[start:stop], batch.keys[start:stop], batch.values[start:stop])
