"""Partitions read in bulk through kafka-python, for restores and replays: assigned by hand, in no group."""

from typing import Any

import kafka.errors as kafka_errors
from kafka import KafkaConsumer, TopicPartition

from stream.broker import kafka_python_guards as guards
from stream.broker.deadline import abandon
from stream.broker.gone import gone
from stream.broker.kafka_python_common import columns, connected, fault, require_topic, settings
from stream.broker.port import Identity, Records


class KafkaPythonReader:
    """Sequential reads of one topic on kafka-python."""

    def __init__(self, identity: Identity, topic: str, *, timeout: float) -> None:
        self._topic = topic
        self._assigned: set[TopicPartition] = set()
        conf = {
            "fetch_max_wait_ms": 20,  # a partition that is added waits for the fetch under way to end
            "fetch_max_bytes": 33_554_432,
            "max_partition_fetch_bytes": 2_097_152,  # with more a poll takes longer, not the whole
            "check_crcs": False,
            "retry_backoff_ms": 50,
            "metrics_enabled": False,
            **settings(identity, "consumer"),
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "isolation_level": "read_committed",
            "allow_auto_create_topics": False,
        }
        self._consumer: Any = connected(KafkaConsumer, conf, identity.bootstrap_servers, timeout)
        try:
            require_topic(self._consumer, topic, timeout)
        except BaseException:
            self.close()
            raise

    def add(self, partition: int, offset: int) -> None:
        tp = TopicPartition(self._topic, partition)
        self._assigned.add(tp)
        self._consumer.assign(list(self._assigned))
        self._consumer.seek(tp, offset)

    def remove(self, partition: int) -> None:
        self._assigned.discard(TopicPartition(self._topic, partition))
        self._consumer.assign(list(self._assigned))

    def poll(self, max_records: int, timeout: float) -> list[Records]:
        try:
            return columns(self._consumer.poll(int(timeout * 1000), max_records))
        except kafka_errors.KafkaError as error:
            beyond = guards.out_of_range(self._consumer, error)
            if beyond is not None:
                raise gone(self._topic, *beyond) from None
            raise fault(error, f"read topic {self._topic}") from None

    def position(self, partition: int) -> int | None:
        return guards.position(self._consumer, TopicPartition(self._topic, partition))

    def close(self) -> None:
        abandon(self._consumer.close, "reader")
