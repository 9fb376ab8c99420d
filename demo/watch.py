"""Reads the output topic while the service writes it, in a thread of its own: what has arrived, when, how late."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from demo.tally import Line, Tally
from demo.topics import PARTITIONS, decode
from loadtest.errors import LoadTestError
from loadtest.kafka import Cluster

MOST = 20_000  # records of one read
PAUSE = 0.1  # seconds that a read waits while there is nothing


class Watch:
    """What has arrived so far. read_committed, so nothing counts before its transaction is through."""

    def __init__(self, cluster: Cluster, topic: str, tally: Tally) -> None:
        self._cluster, self._topic, self._tally = cluster, topic, tally
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._fault: Exception | None = None
        self._latencies: list[NDArray[np.float64]] = []
        self.last = 0.0  # moment of the last arrival, seconds of time.time
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    @property
    def count(self) -> int:
        """Predictions that have arrived. Raises what went wrong in the reading."""
        if self._fault is not None:
            raise self._fault
        return self._tally.count

    def lines(self) -> dict[str, Line]:
        """Every stream as of now; a copy."""
        with self._lock:
            return {key: Line(**vars(line)) for key, line in self._tally.lines.items()}

    @property
    def gain(self) -> float | None:
        """See Tally."""
        with self._lock:
            return self._tally.gain

    def latencies(self, since: int) -> NDArray[np.float64]:
        """Milliseconds from each event's intended time to its prediction's arrival, the first `since` left out."""
        with self._lock:
            return np.concatenate([np.zeros(0), *self._latencies])[since:]

    def _run(self) -> None:
        reader = self._cluster.reader(self._topic)
        try:
            reader.assign(dict.fromkeys(range(PARTITIONS), 0))
            while not self._stop.is_set():
                records = reader.poll(MOST, PAUSE)
                now = time.time()
                if not len(records):
                    continue
                outputs = [decode(value or b"") for value in records.values]
                with self._lock:
                    for key, output in zip(records.keys, outputs, strict=True):
                        self._tally.take((key or b"").decode(), output)
                    self._latencies.append(now * 1000 - np.array(records.timestamps, np.float64))
                    self.last = now
        except (LoadTestError, ValueError) as fault:  # ValueError: not an output, msgspec's error is one
            self._fault = fault
        finally:
            reader.close()

    @classmethod
    @contextmanager
    def started(cls, cluster: Cluster, topic: str, tally: Tally) -> Iterator["Watch"]:
        """A watch that is over when the block ends."""
        watch = cls(cluster, topic, tally)
        watch._thread.start()
        try:
            yield watch
        finally:
            watch._stop.set()
            watch._thread.join()
