"""What the load test needs of Kafka, in its own words, and the choice of the client library behind it.

Two implementations: `with_confluent` where confluent-kafka is installed, else `with_kafka_python`. Every reader is
`read_committed`. Offsets are Kafka offsets, timestamps milliseconds since the epoch, timeouts seconds.
"""

import importlib.util
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, Protocol

from loadtest.errors import EnvironmentFault, UsageError

ClientName = Literal["auto", "confluent", "kafka-python"]
Headers = list[tuple[str, bytes | None]]

CONNECT_TIMEOUT = 10.0  # seconds that a broker has to answer the first question
MISSING_BROKER = (
    "--bootstrap-servers {}: no broker answers ({}); start one with `statecast broker`, or mend the address"
)


@dataclass(slots=True)
class Records:
    """Records as columns of equal length; in offset order within each partition."""

    partitions: list[int]
    offsets: list[int]
    timestamps: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[Headers] = field(default_factory=list)  # empty unless the reader was asked for them

    def __len__(self) -> int:
        return len(self.offsets)


class Reader(Protocol):
    """Reads partitions of one topic from given offsets, outside of any consumer group."""

    def assign(self, positions: Mapping[int, int]) -> None:
        """Read these partitions, and no others, from these offsets."""

    def poll(self, max_records: int, timeout: float) -> Records:
        """What is there; waits up to timeout only while there is nothing."""

    def position(self, partition: int) -> int:
        """The offset after what was polled, past control records and aborted ones once the end is reached."""

    def close(self) -> None:
        """Let go."""


class Writer(Protocol):
    """An idempotent producer, acks from all."""

    def send(
        self,
        topic: str,
        partitions: Sequence[int],
        keys: Sequence[bytes],
        values: Sequence[bytes],
        timestamps: Sequence[int],
    ) -> None:
        """Queue records, in order; columns of equal length. Blocks while the queue is full."""

    def flush(self, timeout: float) -> None:
        """Wait until all is acknowledged. Raises EnvironmentFault where a record was not."""


class Cluster(Protocol):
    """One Kafka cluster through one client library."""

    client: str

    def partitions(self, topic: str) -> int | None:
        """How many partitions the topic has; None where there is no such topic."""

    def watermarks(self, topic: str) -> dict[int, tuple[int, int]]:
        """Per partition: the first offset that is still there, and the high watermark (committed or not)."""

    def create(self, topic: str, partitions: int) -> None:
        """Create a topic with the broker's default replication; one that is there already is left alone."""

    def reader(self, topic: str, *, headers: bool = False) -> Reader:
        """A reader of the topic, nothing assigned yet."""

    def writer(self, *, linger: float) -> Writer:
        """A producer that waits `linger` seconds to fill a request."""

    def close(self) -> None:
        """Let go."""


def connect(bootstrap_servers: str, client: ClientName = "auto") -> Cluster:
    """The cluster, through the faster client that is installed. Raises EnvironmentFault where no broker answers."""
    if client == "auto":
        client = "confluent" if importlib.util.find_spec("confluent_kafka") else "kafka-python"
    if client == "confluent":
        if not importlib.util.find_spec("confluent_kafka"):
            raise UsageError("--client confluent: confluent-kafka is not installed; pip install 'statecast[fast]'")
        from loadtest.with_confluent import ConfluentCluster

        return ConfluentCluster(bootstrap_servers)
    if client != "kafka-python":
        raise UsageError(f"--client {client}: unknown; give auto, confluent or kafka-python")
    from loadtest.with_kafka_python import KafkaPythonCluster

    return KafkaPythonCluster(bootstrap_servers)


def existing(cluster: Cluster, option: str, topic: str) -> int:
    """The number of partitions of a topic that must be there."""
    partitions = cluster.partitions(topic)
    if partitions is None:
        raise EnvironmentFault(f"{option} {topic}: there is no such topic; create it, or mend the name")
    return partitions


def create(cluster: Cluster, topic: str, partitions: int) -> None:
    """Create a topic where it is missing, and wait until the cluster shows it."""
    if cluster.partitions(topic) is not None:
        return
    cluster.create(topic, partitions)
    deadline = time.monotonic() + CONNECT_TIMEOUT
    while cluster.partitions(topic) is None:
        if time.monotonic() > deadline:
            raise EnvironmentFault(f"topic {topic}: was created but is not shown; is the cluster well?")
        time.sleep(0.05)


def read_to(
    reader: Reader, topic: str, partition: int, start: int, end: int, *, chunk: int, timeout: float
) -> Iterator[Records]:
    """The committed records of one partition from start up to end, in chunks.

    end is a high watermark, so a transaction that is still open holds the reader back (it ends at the
    last stable offset). Raises EnvironmentFault after `timeout` seconds without any
    progress.
    """
    if start >= end:
        return
    reader.assign({partition: start})
    position, deadline = start, time.monotonic() + timeout
    while position < end:
        records = reader.poll(chunk, 0.2)
        moved = reader.position(partition)
        if moved > position:
            position, deadline = moved, time.monotonic() + timeout
        if len(records):
            below = records if records.offsets[-1] < end else _below(records, end)
            if len(below):
                yield below
            deadline = time.monotonic() + timeout
        elif time.monotonic() > deadline:
            raise EnvironmentFault(
                f"topic {topic}, partition {partition}: nothing to read from offset {position} for {timeout:g} s, "
                f"though it ends at {end}; an open transaction may hold it back: end it, or give more --timeout"
            )


def _below(records: Records, end: int) -> Records:
    """Those of one partition's records whose offset is below end."""
    n = bisect_left(records.offsets, end)
    return Records(*(getattr(records, column.name)[:n] for column in fields(records)))
