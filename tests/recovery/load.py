"""A steady load, and a reader that watches what becomes visible: each on a thread of its own."""

import itertools
import threading
import time
from collections import defaultdict
from types import TracebackType
from typing import Any, Self

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.service import readings

TICK = 0.05  # seconds
SOON = 500  # ms; a broker that is back is seen at once, not up to 30 s later


class _Thread:
    """Works from `__enter__` to `__exit__`, which raises what the thread raised."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._raised: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(90)
        if kind is None:
            assert not self._thread.is_alive(), f"{type(self).__name__} does not end"
            if self._raised is not None:
                raise self._raised

    def _guarded(self) -> None:
        try:
            self.work()
        except BaseException as raised:
            self._raised = raised

    def work(self) -> None:
        raise NotImplementedError


class Feed(_Thread):
    """Events to all streams in turn, at a steady pace (events/s). `sent`: how many."""

    def __init__(self, servers: str, topic: str, *, streams: int, pace: int, first: int = 0) -> None:
        super().__init__()
        self._servers, self._topic, self._streams = servers, topic, streams
        self._tick = max(1, round(pace * TICK))
        self.sent = first

    def work(self) -> None:
        producer = KafkaProducer(
            bootstrap_servers=self._servers, acks="all", delivery_timeout_ms=120_000, reconnect_backoff_max_ms=SOON
        )
        waiting = []
        while not self._stopping.wait(TICK):
            for key, value in readings(self._tick, self._streams, first=self.sent):
                waiting.append(producer.send(self._topic, key=key, value=value))
            self.sent += self._tick
        producer.flush(90)
        for one in waiting:
            one.get(0)
        producer.close()


class Watch(_Thread):
    """What a read_committed reader of a topic has seen. `when`: partition -> the moments of its records."""

    def __init__(self, servers: str, topic: str) -> None:
        super().__init__()
        self._servers, self._topic = servers, topic
        self.when: dict[int, list[float]] = defaultdict(list)

    @property
    def seen(self) -> int:
        return sum(map(len, list(self.when.values())))

    def gap(self, partition: int, first: float, last: float) -> float:
        """The longest time between `first` and `last` in which nothing of a partition appeared, seconds."""
        moments = [first, *(t for t in self.when[partition] if first < t < last), last]
        return max(b - a for a, b in itertools.pairwise(moments))

    def work(self) -> None:
        consumer: Any = KafkaConsumer(
            bootstrap_servers=self._servers, isolation_level="read_committed", auto_offset_reset="earliest",
            reconnect_backoff_max_ms=SOON,
        )  # fmt: skip
        while not self._stopping.is_set() and not consumer.partitions_for_topic(self._topic):
            self._stopping.wait(TICK)
        consumer.assign([TopicPartition(self._topic, p) for p in sorted(consumer.partitions_for_topic(self._topic))])
        while not self._stopping.is_set():
            for tp, records in consumer.poll(100).items():
                self.when[tp.partition] += [time.monotonic()] * len(records)
        consumer.close()
