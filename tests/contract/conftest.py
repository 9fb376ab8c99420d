"""A small world around the port: one client after the other, members, sinks, and an independent reader."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from kafka import KafkaAdminClient
from kafka import TopicPartition as KafkaTopicPartition

from stream.broker.clients import choose
from stream.broker.port import Client, GroupProtocol, Identity, Offsets, Reader, Records, Sink, Source

DEADLINE = 60.0  # seconds that a condition may take on a loaded machine
T = int(time.time()) * 1000  # of records; with old ones a broker's retention deletes them while a test still reads
MakeTopic = Callable[..., str]
MEMBERS = ("kafka-python", "confluent classic", "confluent consumer")


class Broker(Protocol):
    """What the kafka fixture gives."""

    @property
    def bootstrap_servers(self) -> str: ...


@dataclass(frozen=True)
class Seen:
    """One record as a reader without any of our code finds it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: list[tuple[str, bytes]]


@dataclass
class Member:
    """A source with a listener that notes what it hears, and what was delivered."""

    source: Source
    assigned_now: set[int] = field(default_factory=set)
    heard: list[tuple[str, list[int]]] = field(default_factory=list)
    records: list[tuple[int, int, bytes | None, bytes | None, int]] = field(default_factory=list)
    resumes: bool = True
    on_revoked: Callable[[Sequence[int]], None] | None = None
    fresh: list[int] = field(default_factory=list)

    def assigned(self, partitions: Sequence[int]) -> None:
        self.heard.append(("assigned", list(partitions)))
        self.assigned_now.update(partitions)
        self.fresh.extend(partitions)

    def revoked(self, partitions: Sequence[int]) -> None:
        self.heard.append(("revoked", list(partitions)))
        if self.on_revoked:
            self.on_revoked(partitions)
        self.assigned_now.difference_update(partitions)

    def lost(self, partitions: Sequence[int]) -> None:
        self.heard.append(("lost", list(partitions)))
        self.assigned_now.difference_update(partitions)

    def poll(self, max_records: int = 1000, timeout: float = 0.1) -> list[Records]:
        """One turn: new partitions are resumed, what comes is noted."""
        batches = self.source.poll(max_records, timeout)
        for batch in batches:
            self.records.extend(
                zip(
                    [batch.partition] * len(batch),
                    batch.offsets,
                    batch.keys,
                    batch.values,
                    batch.timestamps,
                    strict=True,
                )
            )
        fresh = [p for p in self.fresh if p in self.assigned_now]
        self.fresh.clear()
        if fresh and self.resumes:
            self.source.resume(fresh)
        return batches

    def values(self, partition: int) -> list[bytes | None]:
        return [value for number, _, _, value, _ in self.records if number == partition]

    def offsets(self, partition: int) -> list[int]:
        return [offset for number, offset, _, _, _ in self.records if number == partition]


def wait_until(what: str | Callable[[], str], condition: Callable[[], object], *turn: Callable[[], object]) -> None:
    """Take turns until the condition holds; fail with its name when the deadline has passed."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what if isinstance(what, str) else what()}: not within {DEADLINE:g} s")
        for one in turn:
            one()


class World:
    """Makes members and sinks of one client on one broker, and closes them."""

    def __init__(self, client: Client, servers: str, group_protocol: GroupProtocol = "auto") -> None:
        self.client = client
        self.servers = servers
        self.group_protocol = group_protocol
        self.group = f"group-{uuid.uuid4().hex[:8]}"
        self.properties: dict[str, str] = {}
        self._sources: list[Source] = []
        self._sinks: list[Sink] = []
        self._offsets: list[Offsets] = []
        self._readers: list[Reader] = []

    def identity(self, slot: str = "a") -> Identity:
        return Identity(self.servers, self.group, f"{self.group}-{slot}", self.properties)

    def member(self, topic: str, slot: str = "a", session_timeout: float = 10.0) -> Member:
        """A subscribed member; its partitions come with its first polls."""
        source = self.client.source(
            self.identity(slot),
            topic,
            session_timeout=session_timeout,
            timeout=DEADLINE,
            group_protocol=self.group_protocol,
        )
        self._sources.append(source)
        member = Member(source)
        source.subscribe(member)
        return member

    def joined(self, topic: str, partitions: int, slot: str = "a", **options: float) -> Member:
        """A member that has that many partitions."""
        member = self.member(topic, slot, **options)
        wait_until("the partitions come", lambda: len(member.assigned_now) == partitions, member.poll)
        return member

    def sink(self, slot: str = "a", *, transactional: bool = True, timeout: float = DEADLINE, **more: Any) -> Sink:
        sink = self.client.sink(self.identity(slot), transactional=transactional, timeout=timeout, **more)
        self._sinks.append(sink)
        return sink

    def offsets(self, topic: str) -> Offsets:
        offsets = self.client.offsets(self.identity(), topic)
        self._offsets.append(offsets)
        return offsets

    def reader(self, topic: str) -> Reader:
        reader = self.client.reader(self.identity("reader"), topic, timeout=DEADLINE)
        self._readers.append(reader)
        return reader

    def commit(self, member: Member, positions: dict[int, int], slot: str = "committer") -> None:
        """These input offsets, in the member's name, in a transaction of their own."""
        sink = self.client.sink(self.identity(slot), transactional=True, timeout=DEADLINE)
        sink.begin()
        sink.send_offsets(positions, member.source.group(), DEADLINE)
        sink.commit(DEADLINE)
        sink.close()

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """As retention does."""
        admin = KafkaAdminClient(bootstrap_servers=self.servers)
        admin.delete_records({KafkaTopicPartition(topic, partition): before})
        admin.close()

    def fill(self, topic: str, counts: dict[int, int]) -> None:
        """That many records into each partition: values b"0", b"1", ..."""
        sink = self.client.sink(self.identity("filler"), transactional=False, timeout=DEADLINE)
        for partition, count in counts.items():
            values = [b"%d" % i for i in range(count)]
            sink.send(topic, partition, [b"key"] * count, values, [T] * count)
        sink.flush(DEADLINE)
        sink.close()

    def visible(self, topic: str, partitions: int = 1) -> list[Seen]:
        """Every record that a read_committed reader can see now, in partition and offset order."""
        return visible(self.servers, topic, partitions)

    def close(self) -> None:
        for asked in (*self._offsets, *self._readers):
            asked.close()
        for sink in self._sinks:
            sink.close()
        for source in self._sources:
            source.close(leave=False)


def visible(servers: str, topic: str, partitions: int) -> list[Seen]:
    reader = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,  # the end of a partition is told with the answer to a fetch
        }
    )
    found: list[Seen] = []
    at_end: set[int | None] = set()
    try:
        reader.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
        deadline = time.monotonic() + DEADLINE
        while len(at_end) < partitions:
            assert time.monotonic() < deadline, f"topic {topic} could not be read to its end"
            for message in reader.consume(10_000, 0.02):
                error = message.error()
                if error is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    at_end.add(message.partition())
                    continue
                found.append(
                    Seen(
                        message.partition() or 0,
                        message.offset() or 0,
                        message.key(),
                        message.value(),
                        message.timestamp()[1],
                        [(name, bytes(value or b"")) for name, value in message.headers() or []],
                    )
                )
    finally:
        reader.close()
    return sorted(found, key=lambda seen: (seen.partition, seen.offset))


@pytest.fixture(params=["kafka-python", "confluent"])
def world(request: pytest.FixtureRequest, kafka: Broker) -> Iterator[World]:
    """Each client once; the group protocol is the one it would choose by itself."""
    made = World(choose(request.param), kafka.bootstrap_servers)
    yield made
    made.close()


@pytest.fixture(params=MEMBERS)
def group_world(request: pytest.FixtureRequest, kafka: Broker) -> Iterator[World]:
    """Each client with each group protocol that it has."""
    name, _, protocol = request.param.partition(" ")
    made = World(choose(name), kafka.bootstrap_servers, protocol or "auto")
    yield made
    made.close()
