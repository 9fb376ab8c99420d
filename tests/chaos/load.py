"""A steady load with everything in it that a service must bear: bad records, gaps, resets, late timestamps."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Producer

from loadtest.events import Batch
from loadtest.synthetic import Synthetic

BAD = (
    b"", b"\xff\xfe", b"no json", b"[1]", b"{}", b'{"value": "warm"}', b'{"value": NaN}', b'{"value": 1e39}',
    b'{"value": 1, "ts": "soon"}', b'{"value": 1},{"value": 2}',
)  # fmt: skip
ODD = (b'{"value": 3e38}', b'{"value": -0.0, "ts": null}', b'{"value": 1e-45, "ts": "2024-01-01"}')  # good, though
SHARES = {"bad": 0.01, "reset": 0.005, "odd": 0.002, "keyless": 0.001, "late": 0.02}
LATEST = 5000  # ms that a late record's timestamp lies in the past, at most


@dataclass(slots=True)
class Records:
    """What is sent, as columns of equal length."""

    partitions: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    ages: list[int]  # ms that the timestamp lies in the past


def spoil(batch: Batch, chance: np.random.Generator) -> Records:
    """Some of the events replaced, by SHARES."""
    size = len(batch)
    records = Records(batch.partitions, list(batch.keys), list(batch.values), [0] * size)
    for what, share in SHARES.items():
        for i in np.flatnonzero(chance.random(size) < share).tolist():
            if what == "bad":
                records.values[i] = BAD[chance.integers(len(BAD))]
            elif what == "reset":
                records.values[i] = None
            elif what == "odd":
                records.values[i] = ODD[chance.integers(len(ODD))]
            elif what == "keyless":
                records.keys[i] = None
            else:
                records.ages[i] = int(chance.integers(LATEST))
    return records


def source(streams: int, partitions: int, seed: int, size: int) -> Iterator[Records]:
    """Records without end, `size` at a time."""
    chance = np.random.default_rng(seed)
    events = Synthetic(streams, partitions=partitions, draw="zipf", exponent=0.5, missing=0.03, seed=seed)
    for batch in events.batches(size):
        yield spoil(batch, chance)


class Load:
    """Sends `rate` records a second from a thread of its own, from `start` to `stop`, whatever the broker does."""

    TICK = 0.02  # seconds

    def __init__(self, servers: str, topic: str, rate: int, streams: int, partitions: int, seed: int) -> None:
        self._topic, self._rate = topic, rate
        self._source = source(streams, partitions, seed, max(1, round(rate * self.TICK)))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.failure: str | None = None  # why it ended before it was told to
        self.sent = 0
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "message.timeout.ms": 0,  # for ever
                "linger.ms": 5,
                "reconnect.backoff.max.ms": 500,
                "log_level": 2,
            }
        )

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Send no more, and wait until all is acknowledged."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
            left = self._producer.flush(timeout)
            if left:
                self.failure = self.failure or f"{left} records were not acknowledged within {timeout:g} s"

    def _run(self) -> None:
        due = time.monotonic()
        try:
            for records in self._source:
                due += self.TICK
                if self._stopping.wait(max(0.0, due - time.monotonic())):
                    return
                self._send(records)
        except Exception as error:
            self.failure = repr(error)

    def _send(self, records: Records) -> None:
        now = time.time_ns() // 1_000_000
        for partition, key, value, age in zip(
            records.partitions, records.keys, records.values, records.ages, strict=True
        ):
            while not self._stopping.is_set():
                try:
                    self._producer.produce(self._topic, value, key, partition, timestamp=now - age)
                    self.sent += 1
                    break
                except BufferError:
                    self._producer.poll(0.1)
        self._producer.poll(0)
