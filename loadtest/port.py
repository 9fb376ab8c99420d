"""What the load test needs of Kafka, in its own words. No client library's type passes this door.

Two implementations, `with_confluent` and `with_kafka_python`; `kafka` chooses. Every reader is `read_committed`.
Offsets are Kafka offsets, timestamps milliseconds since the epoch, timeouts seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

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
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
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
