"""What the brokers know of a topic's offsets, asked through kafka-python on handles of its own.

A handle whose question failed is replaced: what hangs still works on it, and the library keeps the answer to a question
whose asker had run out of time and gives it to the next asker, however much was committed in between.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import kafka.errors as kafka_errors
from kafka import KafkaConsumer, TopicPartition

from stream.broker import kafka_python_guards as guards
from stream.broker.admin import Admin
from stream.broker.deadline import Overdue, abandon, bounded
from stream.broker.kafka_python_common import Clock, connected, fault, settings
from stream.broker.port import Identity
from stream.errors import Unavailable

T = TypeVar("T")

GRACE = 1.0  # seconds beyond a call's own timeout until it counts as hanging


class KafkaPythonOffsets:
    """Offsets of one topic, asked of kafka-python."""

    def __init__(self, identity: Identity, topic: str) -> None:
        self._identity = identity
        self._topic = topic
        self._consumer: Any = None  # for committed offsets: the admin client cannot ask for stable ones
        self._admin: Admin | None = None

    def committed(self, partitions: Sequence[int], timeout: float) -> dict[int, int | None]:
        if not partitions:
            return {}
        clock = Clock(timeout)
        doing = f"read the committed offsets of group {self._identity.group}"
        consumer = self._consumer = self._consumer or self._connect(clock)
        tps = [TopicPartition(self._topic, partition) for partition in partitions]
        try:
            found = bounded(lambda: guards.committed(consumer, tps, clock.seconds), clock.seconds + GRACE, "committed")
        except (kafka_errors.KafkaError, Overdue) as error:
            self._consumer = None
            abandon(consumer.close, "asker")
            if isinstance(error, Overdue | kafka_errors.KafkaTimeoutError):
                raise Unavailable(f"cannot {doing}: no answer in time, or a transaction with offsets is open") from None
            raise fault(error, doing) from None
        return {tp.partition: found.get(tp) for tp in tps}

    def _connect(self, clock: Clock) -> Any:
        conf = {
            "retry_backoff_ms": 50,
            "metrics_enabled": False,
            **settings(self._identity, "consumer"),
            "group_id": self._identity.group,
            "enable_auto_commit": False,
            "isolation_level": "read_committed",  # which also asks for stable offsets
            "allow_auto_create_topics": False,
        }
        return connected(KafkaConsumer, conf, self._identity.bootstrap_servers, clock.seconds)

    def watermarks(self, partitions: Sequence[int], timeout: float) -> dict[int, tuple[int, int]]:
        return self._ask(lambda admin, left: admin.watermarks(self._topic, partitions, left), timeout)

    def ends(self, partitions: Sequence[int], timeout: float) -> dict[int, int]:
        return self._ask(lambda admin, left: admin.ends(self._topic, partitions, left), timeout)

    def at_time(self, partition: int, time: int, timeout: float) -> int | None:
        return self._ask(lambda admin, left: admin.at_time(self._topic, partition, time, left), timeout)

    def _ask(self, call: Callable[[Admin, float], T], timeout: float) -> T:
        clock = Clock(timeout)
        if self._admin is None:
            self._admin = Admin(self._identity, timeout=clock.seconds)
        try:
            return call(self._admin, clock.seconds)
        except Unavailable:
            self._admin.close()
            self._admin = None
            raise

    def close(self) -> None:
        if self._consumer is not None:
            abandon(self._consumer.close, "asker")
        if self._admin is not None:
            self._admin.close()
        self._consumer = self._admin = None
