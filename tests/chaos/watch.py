"""What a reader of the output sees while it happens: how long it hears nothing, and how far the service is."""

import threading
import time
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka import admin as confluent_admin

admin: Any = confluent_admin  # its types leave out half of what it has


class Silence:
    """The longest time before an output, of all partitions together and of each. Seconds; time comes in."""

    def __init__(self, partitions: int, now: float) -> None:
        self._last = dict.fromkeys(range(partitions), now)
        self.worst = 0.0  # without any output
        self.worst_of_one = 0.0  # without an output of some partition

    def now(self, now: float) -> float:
        """Since the last output."""
        return now - max(self._last.values())

    def heard(self, partition: int, now: float) -> None:
        """An output came."""
        self.worst = max(self.worst, now - max(self._last.values()))
        self.worst_of_one = max(self.worst_of_one, now - self._last[partition])
        self._last[partition] = now


class Watch:
    """Reads an output topic, read_committed, in a thread of its own, and forgets what it reads."""

    def __init__(self, servers: str, topic: str, partitions: int) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "chaos-watch",  # librdkafka wants one; nothing is subscribed or committed
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.max.ms": 500,
                "log_level": 2,
            }
        )
        self._consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
        self.silence = Silence(partitions, time.monotonic())
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.seen = 0
        self.failure: str | None = None  # why it ended before it was told to

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        if self._thread.is_alive():
            self._stopping.set()
            self._thread.join(30)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                messages = self._consumer.consume(5000, 0.05)
                now = time.monotonic()
                good = [p for m in messages if m.error() is None and (p := m.partition()) is not None]
                for partition in set(good):
                    self.silence.heard(partition, now)
                self.seen += len(good)
        except Exception as error:
            self.failure = repr(error)
        self._consumer.close()


class Progress:
    """How many input records the group has not committed yet."""

    def __init__(self, servers: str, group: str, topic: str, partitions: int) -> None:
        self._admin = admin.AdminClient({"bootstrap.servers": servers, "reconnect.backoff.max.ms": 500, "log_level": 2})
        self._group, self._topic = group, topic
        self._parts = [TopicPartition(topic, p) for p in range(partitions)]

    def lags(self) -> dict[int, int] | None:
        """Of each partition; None where the broker does not tell just now."""
        try:
            asked = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(self._group, self._parts)])
            ends = self._admin.list_offsets({p: admin.OffsetSpec.latest() for p in self._parts}, request_timeout=5)
            committed = {p.partition: p.offset for p in asked[self._group].result(5).topic_partitions}
            highs = {p.partition: future.result(5).offset for p, future in ends.items()}
        except (KafkaException, TimeoutError):
            return None
        return {p: high - max(0, committed.get(p, 0)) for p, high in highs.items()}
