"""Kafka through kafka-python, which is always there; some twenty times slower at sending than confluent-kafka."""

from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from loadtest.errors import EnvironmentFault
from loadtest.port import CONNECT_TIMEOUT, MISSING_BROKER, Reader, Records, Writer


class KafkaPythonCluster:
    """One Kafka cluster."""

    client = "kafka-python"

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        try:
            self._consumer = KafkaConsumer(**self._settings(), isolation_level="read_uncommitted")
        except KafkaError as error:
            raise EnvironmentFault(MISSING_BROKER.format(bootstrap_servers, error)) from None

    def _settings(self) -> dict[str, Any]:
        return {"bootstrap_servers": self._servers.split(","), "bootstrap_timeout_ms": int(CONNECT_TIMEOUT * 1000)}

    def partitions(self, topic: str) -> int | None:
        """See Cluster. All topics are listed, because asking for one by name may create it."""
        if topic not in self._consumer.topics():
            return None
        return len(self._consumer.partitions_for_topic(topic) or ()) or None

    def watermarks(self, topic: str) -> dict[int, tuple[int, int]]:
        """See Cluster."""
        parts = [TopicPartition(topic, p) for p in range(self.partitions(topic) or 0)]
        try:
            low, high = self._consumer.beginning_offsets(parts), self._consumer.end_offsets(parts)
        except KafkaError as error:
            raise EnvironmentFault(f"topic {topic}: its offsets cannot be read ({error})") from None
        return {part.partition: (low[part], high[part]) for part in parts}

    def create(self, topic: str, partitions: int) -> None:
        """See Cluster."""
        admin = KafkaAdminClient(**self._settings())
        try:
            admin.create_topics([NewTopic(name=topic, num_partitions=partitions, replication_factor=-1)])
        except TopicAlreadyExistsError:
            pass
        except KafkaError as error:
            raise EnvironmentFault(f"topic {topic}: cannot be created ({error})") from None
        finally:
            admin.close()

    def reader(self, topic: str, *, headers: bool = False) -> Reader:
        """See Cluster."""
        return _Reader(self._settings(), topic, headers)

    def writer(self, *, linger: float) -> Writer:
        """See Cluster."""
        return _Writer(self._settings(), linger)

    def close(self) -> None:
        """See Cluster."""
        self._consumer.close()


class _Reader:
    def __init__(self, settings: dict[str, Any], topic: str, headers: bool) -> None:
        self._topic, self._headers = topic, headers
        self._consumer = KafkaConsumer(
            **settings,
            group_id=None,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=20,
        )

    def assign(self, positions: Mapping[int, int]) -> None:
        self._consumer.assign([TopicPartition(self._topic, p) for p in positions])
        for partition, offset in positions.items():
            self._consumer.seek(TopicPartition(self._topic, partition), offset)

    def poll(self, max_records: int, timeout: float) -> Records:
        try:
            found = self._consumer.poll(timeout_ms=int(timeout * 1000), max_records=max_records)
        except KafkaError as error:
            raise EnvironmentFault(f"topic {self._topic}: cannot be read ({error})") from None
        records = [record for part in found.values() for record in part]
        return Records(
            [r.partition for r in records],
            [r.offset for r in records],
            [r.timestamp for r in records],
            [r.key for r in records],
            [r.value for r in records],
            [list(r.headers) for r in records] if self._headers else [],
        )

    def position(self, partition: int) -> int:
        return int(self._consumer.position(TopicPartition(self._topic, partition)))

    def close(self) -> None:
        self._consumer.close()


class _Writer:
    def __init__(self, settings: dict[str, Any], linger: float) -> None:
        self._failed: BaseException | None = None
        self._producer = KafkaProducer(
            **settings, acks="all", enable_idempotence=True, linger_ms=int(linger * 1000), batch_size=256 * 1024
        )

    def _failure(self, error: BaseException) -> None:
        self._failed = self._failed or error

    def send(
        self,
        topic: str,
        partitions: Sequence[int],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
    ) -> None:
        for partition, key, value, timestamp in zip(partitions, keys, values, timestamps, strict=True):
            try:
                future = self._producer.send(topic, value, key=key, partition=partition, timestamp_ms=timestamp)
            except KafkaError as error:
                self._failed = error
                break
            future.add_errback(self._failure)
        self._check()

    def flush(self, timeout: float) -> None:
        try:
            self._producer.flush(timeout=timeout)
        except KafkaError as error:
            raise EnvironmentFault(f"records were not acknowledged ({error}); is the broker well?") from None
        self._check()

    def _check(self) -> None:
        if self._failed is not None:
            raise EnvironmentFault(f"a record was not taken by the broker ({self._failed})")
