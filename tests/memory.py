"""A Kafka in memory, for what a real one only does by bad luck: topics, transactions, one consumer group, faults.

Just as much of it as the ports need: control records take offsets, a read_committed reader stops at the first open
transaction, a newer producer of a transactional.id fences the older one. One thread; nothing waits.
"""
# ruff: noqa: ARG002  # the ports' parameters

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream.broker.port import Headers, Identity, Listener, Records
from stream.errors import SinkFailed, SinkFenced, Unavailable


class Crash(BaseException):
    """The process is killed here."""


@dataclass(slots=True)
class Entry:
    key: bytes | None
    value: bytes | None
    timestamp: int
    writer: str | None = None  # of a transaction
    state: str = "committed"  # open, committed, aborted, control


@dataclass
class Transaction:
    entries: list[Entry] = field(default_factory=list)
    places: set[tuple[str, int]] = field(default_factory=set)
    offsets: dict[int, int] = field(default_factory=dict)


class Cluster:
    """What outlives every process."""

    def __init__(self) -> None:
        self.logs: dict[tuple[str, int], list[Entry]] = defaultdict(list)
        self.committed: dict[int, int] = {}  # of the one group, on the one input topic
        self.epochs: dict[str, int] = defaultdict(int)  # transactional.id -> its newest producer
        self.open: dict[str, Transaction] = {}

    def produce(self, topic: str, partition: int, key: bytes | None, value: bytes | None, timestamp: int) -> None:
        self.logs[topic, partition].append(Entry(key, value, timestamp))

    def stable(self, place: tuple[str, int]) -> int:
        """The last stable offset."""
        log = self.logs[place]
        return next((i for i, entry in enumerate(log) if entry.state == "open"), len(log))

    def end(self, writer: str, state: str) -> None:
        transaction = self.open.pop(writer, None)
        if transaction is None:
            return
        for entry in transaction.entries:
            entry.state = state
        for place in transaction.places:
            self.logs[place].append(Entry(None, None, 0, state="control"))
        if state == "committed":
            self.committed.update(transaction.offsets)

    def compact(self, topic: str) -> None:
        """What a log cleaner may do at any time: only the newest committed record of a key stays."""
        for (name, partition), log in self.logs.items():
            if name == topic:
                newest = {e.key: i for i, e in enumerate(log) if e.state == "committed"}
                for i, entry in enumerate(log[: self.stable((name, partition))]):
                    if entry.state == "committed" and newest[entry.key] != i:
                        entry.state = "compacted"

    def seen(self, topic: str, partition: int) -> list[Entry]:
        """What a read_committed reader sees."""
        place = topic, partition
        return [e for e in self.logs[place][: self.stable(place)] if e.state == "committed"]


class Memory:
    """One process's client. `fault(name)` is called at each step, and may raise."""

    name = "memory"

    def __init__(self, cluster: Cluster, partitions: int, fault: Callable[[str], None] = lambda _: None) -> None:
        self.cluster, self.partitions, self.fault = cluster, partitions, fault
        self.most = 10**9  # records of a partition in one poll
        self.the_source: Source | None = None

    def source(self, identity: Identity, topic: str, **_: Any) -> "Source":
        self.the_source = Source(self, topic)
        return self.the_source

    def sink(self, identity: Identity, *, transactional: bool, **_: Any) -> "Sink":
        self.fault("connect")
        return Sink(self, identity.slot if transactional else None)

    def offsets(self, identity: Identity, topic: str) -> "Offsets":
        return Offsets(self, topic)

    def reader(self, identity: Identity, topic: str, **_: Any) -> "Fetcher":
        return Fetcher(self, topic)


class Fetcher:
    """Reads partitions of one topic."""

    def __init__(self, memory: Memory, topic: str) -> None:
        self.memory, self.topic = memory, topic
        self.at: dict[int, int] = {}
        self.paused: set[int] = set()

    def add(self, partition: int, offset: int) -> None:
        self.at[partition] = offset

    def remove(self, partition: int) -> None:
        del self.at[partition]

    def poll(self, max_records: int, timeout: float) -> list[Records]:
        found, left = [], max_records
        for partition in sorted(self.at.keys() - self.paused):
            place = self.topic, partition
            log, end = self.memory.cluster.logs[place], self.memory.cluster.stable(place)
            batch = Records(partition, [], [], [], [])
            while self.at[partition] < end and len(batch) < min(left, self.memory.most):
                entry = log[self.at[partition]]
                if entry.state == "committed":
                    batch.offsets.append(self.at[partition])
                    batch.timestamps.append(entry.timestamp)
                    batch.keys.append(entry.key)
                    batch.values.append(entry.value)
                self.at[partition] += 1
            left -= len(batch)
            if len(batch):
                found.append(batch)
        return found

    def position(self, partition: int) -> int | None:
        return self.at.get(partition)

    def close(self, leave: bool = False) -> None:
        pass


class Source(Fetcher):
    """The input, and a group of this process alone; `rebalance` takes partitions away and brings them."""

    def subscribe(self, listener: Listener) -> None:
        self.listener = listener
        self.todo: list[tuple[str, list[int]]] = [("assigned", list(range(self.memory.partitions)))]

    def join_again(self) -> None:
        pass

    def rebalance(self, what: str, partitions: list[int]) -> None:
        self.todo.append((what, partitions))

    def poll(self, max_records: int, timeout: float) -> list[Records]:
        self.memory.fault("poll")
        while self.todo:
            what, partitions = self.todo.pop(0)
            if what == "assigned":
                self.at |= dict.fromkeys(partitions, 0)
                self.paused.update(partitions)
                self.listener.assigned(partitions)
            elif what == "revoked":
                self.listener.revoked(partitions)
            else:
                self.listener.lost(partitions)
            if what != "assigned":
                for partition in partitions:
                    self.at.pop(partition, None)
                    self.paused.discard(partition)
        return super().poll(max_records, timeout)

    def pause(self, partitions: Sequence[int]) -> None:
        self.paused.update(partitions)

    def resume(self, partitions: Sequence[int]) -> None:
        self.paused.difference_update(partitions)

    def seek(self, partition: int, offset: int) -> None:
        self.at[partition] = offset

    def group(self) -> object:
        return None


class Offsets:
    def __init__(self, memory: Memory, topic: str) -> None:
        self.memory, self.topic = memory, topic

    def committed(self, partitions: Sequence[int], timeout: float) -> dict[int, int | None]:
        self.memory.fault("committed")
        pending = {p for transaction in self.memory.cluster.open.values() for p in transaction.offsets}
        if pending.intersection(partitions):
            raise Unavailable("offsets are pending")
        return {p: self.memory.cluster.committed.get(p) for p in partitions}

    def watermarks(self, partitions: Sequence[int], timeout: float) -> dict[int, tuple[int, int]]:
        return {p: (0, len(self.memory.cluster.logs[self.topic, p])) for p in partitions}

    def ends(self, partitions: Sequence[int], timeout: float) -> dict[int, int]:
        return {p: self.memory.cluster.stable((self.topic, p)) for p in partitions}

    def at_time(self, partition: int, time: int, timeout: float) -> int | None:
        log = self.memory.cluster.logs[self.topic, partition]
        return next((i for i, e in enumerate(log) if e.state == "committed" and e.timestamp >= time), None)

    def close(self) -> None:
        pass


class Sink:
    def __init__(self, memory: Memory, slot: str | None) -> None:
        self.memory, self.cluster, self.slot = memory, memory.cluster, slot
        if slot is not None:
            self.cluster.end(slot, "aborted")
            self.cluster.epochs[slot] += 1
            self.epoch = self.cluster.epochs[slot]

    def begin(self) -> None:
        self._alive()
        if self.slot is not None:
            self.cluster.open[self.slot] = Transaction()

    def send(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        headers: Sequence[Headers] | None = None,
    ) -> None:
        for i, (key, value, timestamp) in enumerate(zip(keys, values, timestamps, strict=True)):
            if i in (0, len(keys) // 2):
                self.memory.fault("send")
            self._alive()
            if self.slot is None:
                self.cluster.produce(topic, partition, key, value, timestamp)
            else:
                entry = Entry(key, value, timestamp, self.slot, "open")
                self.cluster.logs[topic, partition].append(entry)
                self.cluster.open[self.slot].entries.append(entry)
                self.cluster.open[self.slot].places.add((topic, partition))

    def flush(self, timeout: float) -> None:
        self.memory.fault("flush")

    def send_offsets(self, positions: Mapping[int, int], group: object, timeout: float) -> None:
        self.memory.fault("offsets")
        self._alive()
        assert self.slot is not None
        self.cluster.open[self.slot].offsets.update(positions)

    def commit(self, timeout: float) -> None:
        self.memory.fault("commit")
        self._alive()
        if self.slot is not None:
            self.cluster.end(self.slot, "committed")
        self.memory.fault("answer")

    def abort(self, timeout: float) -> None:
        if self.slot is not None:
            self._alive()
            self.cluster.end(self.slot, "aborted")

    def close(self) -> None:
        pass

    def _alive(self) -> None:
        if self.slot is not None and self.epoch != self.cluster.epochs[self.slot]:
            raise SinkFenced("a newer producer has this id")


def fail(name: str) -> None:
    raise SinkFailed(f"the broker fell over at {name}")
