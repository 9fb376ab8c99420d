"""Sends the events to the input topic, in a thread of its own: as fast as they go, or at a fixed rate (open loop).

The schedule and the sending are those of `loadtest.offer`: an event's intended time is its record's timestamp, which
the output's record carries on, and a slow service never slows the schedule.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from demo.weather import Events
from loadtest.codecs import JSON
from loadtest.errors import LoadTestError
from loadtest.events import Batch
from loadtest.kafka import Cluster
from loadtest.offer import offer
from loadtest.pace import schedule
from loadtest.partitioner import partition_of

LINGER = {False: 0.010, True: 0.005}  # seconds, by whether there is a rate: then it is part of every latency
BATCH = {False: 2000, True: 100}  # events between two looks at whether to stop


class _Called(Exception):
    """The feed was called off."""


class Feed:
    """Events on their way. `check` tells whether all are sent."""

    def __init__(self, cluster: Cluster, topic: str, batches: list[Batch], rate: float) -> None:
        self._cluster, self._topic, self._batches, self._rate = cluster, topic, batches, rate
        self._stop = threading.Event()
        self._fault: LoadTestError | None = None
        self.late = 0.0  # ms: the most that an event was sent after its time
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def check(self) -> bool:
        """Whether all is sent and acknowledged. Raises EnvironmentFault where the broker did not take it."""
        if self._thread.is_alive():
            return False
        if self._fault is not None:
            raise self._fault
        return True

    def _run(self) -> None:
        def progress(_: int) -> None:
            if self._stop.is_set():
                raise _Called

        writer = self._cluster.writer(linger=LINGER[self._rate > 0])
        try:
            due = schedule(self._rate) if self._rate else None
            self.late = offer(self._batches, writer, self._topic, schedule=due, progress=progress).late
        except _Called:
            return
        except LoadTestError as fault:
            self._fault = fault

    @classmethod
    @contextmanager
    def started(cls, cluster: Cluster, topic: str, batches: list[Batch], rate: float = 0) -> Iterator["Feed"]:
        """A feed that is over when the block ends. rate: events a second, 0 as fast as they go."""
        feed = cls(cluster, topic, batches, rate)
        feed._thread.start()
        try:
            yield feed
        finally:
            feed._stop.set()
            feed._thread.join()


def batches(events: Events, start: int, stop: int, partitions: int, *, paced: bool) -> list[Batch]:
    """Events start..stop, encoded and placed by key as any other producer would."""
    keys = [key.encode() for key in events.keys[start:stop]]
    placed = dict(zip(set(keys), partition_of(list(set(keys)), partitions).tolist(), strict=True))
    values = JSON.values(("value",), events.value[start:stop, np.newaxis], events.time[start:stop])
    size = BATCH[paced]
    return [
        Batch([placed[key] for key in keys[i : i + size]], keys[i : i + size], values[i : i + size])
        for i in range(0, len(keys), size)
    ]
