"""What the service needs of Kafka, in its own words. No client library's type passes this door.

Two implementations, `kafka_python` and `confluent`, are held to the same contract by tests/contract. Offsets are Kafka
offsets, timestamps are milliseconds since the epoch, timeouts and intervals are seconds. Every call that waits for the
broker has a deadline and raises `errors.Unavailable` when it passes.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

BATCH_BYTES = 262_144
AHEAD_BYTES = 64 << 20  # of records that are fetched before they are asked for
QUEUE_BYTES = 128 << 20  # of records that are sent and not acknowledged
Headers = list[tuple[str, bytes]]
GroupProtocol = Literal["auto", "classic", "consumer"]


@dataclass(slots=True)
class Records:
    """Some consecutive records of one partition, in offset order, as columns of equal length."""

    partition: int
    offsets: list[int]
    timestamps: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]

    def __len__(self) -> int:
        return len(self.offsets)

    def picked(self, index: Sequence[int]) -> "Records":
        """Those at these places."""
        return Records(
            self.partition,
            [self.offsets[i] for i in index],
            [self.timestamps[i] for i in index],
            [self.keys[i] for i in index],
            [self.values[i] for i in index],
        )

    def below(self, offset: int) -> "Records":
        """Those below an offset."""
        n = bisect_left(self.offsets, offset)
        if n == len(self.offsets):
            return self
        return Records(self.partition, self.offsets[:n], self.timestamps[:n], self.keys[:n], self.values[:n])


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this process is towards the broker.

    `slot` is both the transactional.id and the group.instance.id (KIP-345, KIP-447): a restarted process fences its
    own predecessor at once and finds its partitions where it left them.
    """

    bootstrap_servers: str
    group: str  # the application id
    slot: str  # <application-id>-<instance-id>[-worker]
    # In librdkafka's names. Passwords are among them: never to be shown.
    client_properties: Mapping[str, str] = field(default_factory=dict, repr=False)


class Listener(Protocol):
    """Hears of partitions that come and go. Called from inside `Source.poll` and `Source.close` only, never at the
    same time as other code of the loop, but perhaps on another thread (kafka-python): `Source` calls that wait for the
    broker are forbidden inside; `Source.pause` and all of `Sink` are allowed."""

    def assigned(self, partitions: Sequence[int]) -> None:
        """These partitions are new here. They come paused: nothing is delivered before `Source.resume`."""

    def revoked(self, partitions: Sequence[int]) -> None:
        """These partitions are about to go; what was done for them may still be committed."""

    def lost(self, partitions: Sequence[int]) -> None:
        """These partitions are gone already; a commit for them would fail or harm."""


class Source(Protocol):
    """The input topic, read by one member of a consumer group with isolation read_committed, offsets committed by hand.

    The assignment is cooperative (incremental). With no committed offset the position starts at the beginning.
    """

    def subscribe(self, listener: Listener) -> None:
        """Join the group. Assignments arrive during `poll`."""

    def poll(self, max_records: int, timeout: float) -> list[Records]:
        """What is there, at most max_records, grouped by partition; waits up to timeout only while there is nothing.

        Raises SlotTaken where another member has taken this group.instance.id, Refused where rights are missing or a
        partition's next offset is no longer there: it never jumps. `seek` mends that.
        """

    def pause(self, partitions: Sequence[int]) -> None:
        """Deliver nothing more of these partitions until they are resumed."""

    def resume(self, partitions: Sequence[int]) -> None:
        """Deliver these partitions again."""

    def seek(self, partition: int, offset: int) -> None:
        """The next record delivered of this partition is the first at or above offset. Keeps a pause."""

    def position(self, partition: int) -> int | None:
        """The offset after the last record delivered, past control records and gaps; None while unknown."""

    def join_again(self) -> None:
        """Have the group share out its partitions anew. For the classic protocol: where a static member ends between
        the two rounds of a cooperative rebalance, and its slot is taken again, nobody asks for the second."""

    def group(self) -> object:
        """The live group metadata, for `Sink.send_offsets` (KIP-447). Taken at commit time, never kept."""

    def close(self, leave: bool) -> None:
        """Stop consuming. leave=False keeps the static membership, so that a restart of this slot moves nothing."""


class Offsets(Protocol):
    """What the brokers know of one topic's offsets. Asks on handles of its own: it may be used on another thread than
    the source's, by one thread at a time, and its waiting never holds up a poll."""

    def committed(self, partitions: Sequence[int], timeout: float) -> dict[int, int | None]:
        """The group's committed offset of each partition, None where there is none. Waits for open transactions
        (require_stable) up to the deadline, then raises Unavailable."""

    def watermarks(self, partitions: Sequence[int], timeout: float) -> dict[int, tuple[int, int]]:
        """Partition -> (first offset that is still there, high watermark: after the last record, committed or not)."""

    def ends(self, partitions: Sequence[int], timeout: float) -> dict[int, int]:
        """Partition -> the offset after the last record that a read_committed reader can get to now."""

    def at_time(self, partition: int, time: int, timeout: float) -> int | None:
        """The first offset whose record's timestamp is at or after time (milliseconds); None where there is none."""

    def close(self) -> None:
        """Let go, without waiting."""


class Reader(Protocol):
    """Partitions of one topic read from a given offset, by no group, with isolation read_committed: large sequential
    reads. Used by the thread that made it."""

    def add(self, partition: int, offset: int) -> None:
        """Deliver this partition, too, from the first record at or above offset."""

    def remove(self, partition: int) -> None:
        """Deliver nothing more of it."""

    def poll(self, max_records: int, timeout: float) -> list[Records]:
        """As `Source.poll`. A value of None is a tombstone. Raises Refused where a partition's next offset is no longer
        there, or rights are missing."""

    def position(self, partition: int) -> int | None:
        """The next offset, past control records and gaps; None while that is not known."""

    def close(self) -> None:
        """Let go, without waiting."""


class Sink(Protocol):
    """Where outputs go: an idempotent producer, transactional for exactly-once delivery.

    After SinkFailed from any call the sink is dead: close it, make another with the same identity. Only GenerationOver
    leaves it alive; `abort` comes next.
    """

    def begin(self) -> None:
        """Begin a transaction. Without transactions: nothing."""

    def send(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        headers: Sequence[Headers] | None = None,
    ) -> None:
        """Send records of one partition, in order; columns of equal length. Returns once they are queued (it blocks
        while the client's queue is full). Delivery is proven by `flush` or `commit` alone."""

    def flush(self, timeout: float) -> None:
        """Wait until every record sent is acknowledged. Raises SinkFailed where one was not."""

    def send_offsets(self, positions: Mapping[int, int], group: object, timeout: float) -> None:
        """Make these input offsets part of the open transaction. Raises GenerationOver, where the client can tell that
        only an abort is needed."""

    def commit(self, timeout: float) -> None:
        """Commit the open transaction; every record in it is proven delivered first. SinkFailed, SinkFenced."""

    def abort(self, timeout: float) -> None:
        """Abort the open transaction, if any. Raises SinkFailed where that did not work."""

    def close(self) -> None:
        """Let go, without waiting for what was not flushed."""


class Client(Protocol):
    """One client library."""

    name: str

    def source(
        self,
        identity: Identity,
        topic: str,
        *,
        session_timeout: float,
        timeout: float = 10.0,
        group_protocol: GroupProtocol = "auto",
        ahead_bytes: int = AHEAD_BYTES,
    ) -> Source:
        """A consumer, not subscribed yet. Raises Unavailable where no broker answers within timeout, Refused on a wrong
        login or a missing topic. group_protocol: "consumer" is KIP-848, "classic" the older cooperative one.
        ahead_bytes: of records held before they are polled; one fetch may go beyond it."""

    def offsets(self, identity: Identity, topic: str) -> Offsets:
        """Questions about a topic; nothing is connected before the first."""

    def reader(self, identity: Identity, topic: str, *, timeout: float = 10.0) -> Reader:
        """A reader of a topic. Raises Unavailable, Refused as `source` does."""

    def sink(
        self,
        identity: Identity,
        *,
        transactional: bool,
        timeout: float,
        transaction_timeout: float = 15.0,
        batch_bytes: int = BATCH_BYTES,
        queue_bytes: int = QUEUE_BYTES,
    ) -> Sink:
        """A producer. A transactional one has run init_transactions when this returns: its predecessor with the same
        slot is fenced and its open transaction aborted. batch_bytes must not exceed the max.message.bytes of any topic
        that is written to: librdkafka fails a larger batch whole, whatever the records in it. queue_bytes: of records
        that are not acknowledged; `send` waits where there would be more."""
