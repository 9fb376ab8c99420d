"""Kafka through confluent-kafka (librdkafka)."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import length_hint
from typing import Any

import numpy as np
from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka import admin as confluent_admin

from loadtest.errors import EnvironmentFault
from loadtest.port import CONNECT_TIMEOUT, MISSING_BROKER, Reader, Records, Writer

admin: Any = confluent_admin  # its types leave out half of what it has

# librdkafka tells of every failed connection on stderr; what matters comes back as an exception.
QUIET = {"log_level": 2}
# A topic that was just created, or is just moving, has no leader that every broker knows.
UNSETTLED = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART)


class ConfluentCluster:
    """One Kafka cluster."""

    client = "confluent"

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._admin = admin.AdminClient({"bootstrap.servers": bootstrap_servers, **QUIET})
        self._metadata()

    def _metadata(self) -> Any:
        try:
            return self._admin.list_topics(timeout=CONNECT_TIMEOUT)
        except KafkaException as error:
            raise EnvironmentFault(MISSING_BROKER.format(self._servers, error.args[0].str())) from None

    def partitions(self, topic: str) -> int | None:
        """See Cluster. All topics are listed, because asking for one by name may create it."""
        found = self._metadata().topics.get(topic)
        return len(found.partitions) if found is not None and found.error is None else None

    def watermarks(self, topic: str) -> dict[int, tuple[int, int]]:
        """See Cluster."""
        parts = [TopicPartition(topic, p) for p in range(self.partitions(topic) or 0)]
        if not parts:
            return {}

        deadline = time.monotonic() + CONNECT_TIMEOUT

        def ask(spec: Any) -> dict[int, int]:
            futures = self._admin.list_offsets(
                dict.fromkeys(parts, spec),
                isolation_level=IsolationLevel.READ_UNCOMMITTED,
                request_timeout=CONNECT_TIMEOUT,
            )
            try:
                return {part.partition: future.result().offset for part, future in futures.items()}
            except KafkaException as error:
                if error.args[0].code() in UNSETTLED and time.monotonic() < deadline:
                    time.sleep(0.05)
                    return ask(spec)
                raise EnvironmentFault(f"topic {topic}: its offsets cannot be read ({error.args[0].str()})") from None

        low, high = ask(admin.OffsetSpec.earliest()), ask(admin.OffsetSpec.latest())
        return {p: (low[p], high[p]) for p in low}

    def create(self, topic: str, partitions: int) -> None:
        """See Cluster."""
        for future in self._admin.create_topics([admin.NewTopic(topic, partitions, -1)]).values():
            try:
                future.result(CONNECT_TIMEOUT)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise EnvironmentFault(f"topic {topic}: cannot be created ({error.args[0].str()})") from None

    def reader(self, topic: str, *, headers: bool = False) -> Reader:
        """See Cluster."""
        return _Reader(self._servers, topic, headers)

    def writer(self, *, linger: float) -> Writer:
        """See Cluster."""
        return _Writer(self._servers, linger)

    def close(self) -> None:
        """See Cluster."""


class _Reader:
    def __init__(self, servers: str, topic: str, headers: bool) -> None:
        self._topic, self._headers = topic, headers
        self._position: dict[int, int] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "statecast-loadtest",  # librdkafka wants one; nothing is subscribed or committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 20,
                **QUIET,
            }
        )

    def assign(self, positions: Mapping[int, int]) -> None:
        self._position = dict(positions)
        self._consumer.assign([TopicPartition(self._topic, p, offset) for p, offset in positions.items()])

    def poll(self, max_records: int, timeout: float) -> Records:
        # consume() waits until its number or its timeout is full; so wait for one, and take what is there beside it.
        first = self._consumer.poll(timeout)
        if first is None:
            return Records([], [], [], [], [])
        messages: list[Any] = [first, *self._consumer.consume(max_records - 1, 0)] if max_records > 1 else [first]
        good = [m for m in messages if m.error() is None]
        if len(good) < len(messages):
            for message in messages:
                self._heed(message)
        records = Records(
            [m.partition() for m in good],
            [m.offset() for m in good],
            [m.timestamp()[1] for m in good],
            [m.key() for m in good],
            [m.value() for m in good],
            [m.headers() or [] for m in good] if self._headers else [],
        )
        for partition, offset in dict(zip(records.partitions, records.offsets, strict=True)).items():
            self._position[partition] = max(self._position[partition], offset + 1)
        return records

    def _heed(self, message: Any) -> None:
        error = message.error()
        if error is None:
            return
        if error.code() == KafkaError._PARTITION_EOF:
            partition, offset = message.partition(), message.offset()
            if partition in self._position:  # else it tells of an assignment that is over
                self._position[partition] = max(self._position[partition], offset)
        elif not error.retriable():
            raise EnvironmentFault(f"topic {self._topic}: cannot be read ({error.str()})")

    def position(self, partition: int) -> int:
        return self._position[partition]

    def close(self) -> None:
        self._consumer.close()


class _Writer:
    def __init__(self, servers: str, linger: float) -> None:
        self._failed: KafkaError | None = None
        self._ready = False
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": linger * 1000,
                "batch.num.messages": 20_000,
                "queue.buffering.max.messages": 200_000,
                # A report for each record would cost as much as the record; only failures are told.
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
                "socket.nagle.disable": True,
                "statistics.interval.ms": 50,
                "stats_cb": self._statistics,
                **QUIET,
            }
        )
        # The first records would wait for the producer id, up to a second, and be charged for it.
        deadline = time.monotonic() + CONNECT_TIMEOUT
        while not self._ready:
            if time.monotonic() > deadline:
                raise EnvironmentFault(MISSING_BROKER.format(servers, "no producer id in time"))
            self._producer.poll(0.05)

    def _statistics(self, text: str) -> None:
        self._ready = self._ready or '"idemp_state":"Assigned"' in text.replace(" ", "")

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        self._failed = self._failed or error

    def send(
        self,
        topic: str,
        partitions: Sequence[int],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
    ) -> None:
        assert len(partitions) == len(keys) == len(values) == len(timestamps)
        # Partition by partition costs librdkafka 0.9 us a record, in turns 1.5; nobody else can tell the difference.
        order = np.argsort(np.array(partitions), kind="stable").tolist()
        topics, nothing = repeat(topic), repeat(None)
        while order:
            # A map that a deque runs costs no Python for a record. Where the queue is full, the list's iterator knows
            # how many are left; one of them has just been refused.
            left = iter([values[i] for i in order])
            columns = ([column[i] for i in order] for column in (keys, partitions))
            stamps = [timestamps[i] for i in order]
            try:
                deque(map(self._producer.produce, topics, left, *columns, nothing, nothing, stamps), maxlen=0)
                break
            except BufferError:
                order = order[-length_hint(left) - 1 :]
                self._producer.poll(0.01)
                self._check()
            except KafkaException as error:  # too long for any topic, most likely
                raise EnvironmentFault(f"topic {topic}: does not take a record ({error.args[0].str()})") from None
        self._producer.poll(0)
        self._check()

    def flush(self, timeout: float) -> None:
        left = self._producer.flush(timeout)
        self._check()
        if left:
            raise EnvironmentFault(f"{left} records were not acknowledged within {timeout:g} s; is the broker well?")

    def _check(self) -> None:
        if self._failed is not None:
            raise EnvironmentFault(f"a record was not taken by the broker ({self._failed.str()})")
