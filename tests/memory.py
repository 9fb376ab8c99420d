"""A Kafka in memory, for what a real one only does by bad luck: topics, transactions, one consumer group, faults.

Just as much of it as the ports need: control records take offsets, a read_committed reader stops at the first open
transaction, a newer producer of a transactional.id fences the older one, offsets are taken from any member that knows
of the newest rebalance, whoever has the partition. One thread; nothing waits.
"""
# ruff: noqa: ARG002  # the ports' parameters

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream.broker.port import Headers, Identity, Listener, Records
from stream.errors import GenerationOver, SinkFailed, SinkFenced, Unavailable

TRANSACTION_TIMEOUT = 100  # polls, of whomever, after which an open transaction is aborted


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
    began: int = 0  # polls


@dataclass
class Change:
    """What a member of the group is to hear."""

    what: str  # assigned, revoked, lost
    partitions: list[int]
    wait: int = 0  # polls before it is heard
    then: Callable[[list[int]], None] | None = None  # what others do with these partitions, once they are gone


@dataclass(frozen=True)
class Membership:
    """What a commit says of who makes it."""

    slot: str
    source: "Source"
    generation: int


class Cluster:
    """What outlives every process."""

    def __init__(self) -> None:
        self.logs: dict[tuple[str, int], list[Entry]] = defaultdict(list)
        self.committed: dict[int, int] = {}  # of the one group, on the one input topic
        self.epochs: dict[str, int] = defaultdict(int)  # transactional.id -> its newest producer
        self.open: dict[str, Transaction] = {}
        self.members: dict[str, Source] = {}  # of the group, by slot
        self.owners: dict[int, str] = {}  # partition -> slot
        self.generation = 0  # rebalances of the group
        self.polls = 0
        self.misdeeds: list[str] = []  # what Kafka lets happen, and no member may do

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
            for partition, offset in transaction.offsets.items():
                if offset < self.committed.get(partition, 0):
                    self.misdeeds.append(f"{writer} set {partition} from {self.committed[partition]} back to {offset}")
            self.committed.update(transaction.offsets)

    def fence(self, slot: str) -> int:
        """What the slot has in flight is aborted; only a producer with the epoch that is returned goes on."""
        self.end(slot, "aborted")
        self.epochs[slot] += 1
        return self.epochs[slot]

    def expel(self, slot: str) -> None:
        """A member's session ended, and it does not know yet."""
        self.members.pop(slot, None)
        self.owners = {partition: owner for partition, owner in self.owners.items() if owner != slot}
        self.generation += 1

    def time_passes(self) -> None:
        self.polls += 1
        for slot, transaction in list(self.open.items()):
            if self.polls - transaction.began > TRANSACTION_TIMEOUT:
                self.fence(slot)

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

    def __init__(self, cluster: Cluster, partitions: int, slot: str = "app-a") -> None:
        self.cluster, self.partitions, self.slot = cluster, partitions, slot
        self.fault: Callable[[str], None] = lambda _: None
        self.most = 10**9  # records of a partition in one poll
        self.the_source: Source | None = None
        self.share: list[int] = list(range(partitions))  # what it is assigned when it joins
        self.time_passes: Callable[[], None] = lambda: None  # called in each poll of the group's source
        self.on_another_thread = False
        self.tells_generations = False  # as one of the client libraries does, and the other does not

    def source(self, identity: Identity, topic: str, **_: Any) -> "Source":
        self.the_source = Source(self, topic)
        return self.the_source

    def sink(self, identity: Identity, *, transactional: bool, **_: Any) -> "Sink":
        self.fault("connect")
        return Sink(self, identity.slot if transactional else None)

    def offsets(self, identity: Identity, topic: str) -> "Offsets":
        return Offsets(self, topic)

    def reader(self, identity: Identity, topic: str, **_: Any) -> "Fetcher":
        self.fault("reader")
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
    """The input, as a member of the group reads it. `todo` is what becomes of its partitions, poll by poll."""

    def __init__(self, memory: Memory, topic: str) -> None:
        super().__init__(memory, topic)
        self.cluster, self.slot = memory.cluster, memory.slot
        self.generation = -1
        self.strangers: list[int] = []  # partitions that were named here after they had gone

    def subscribe(self, listener: Listener) -> None:
        self.listener = listener
        self._rejoin()
        self.todo = [Change("assigned", self.memory.share)]

    def join_again(self) -> None:
        pass

    def expelled(self, heard: int) -> None:
        """Its session ended. That is what it hears first, so many polls later: before, it cannot join again."""
        self.cluster.expel(self.slot)
        self.todo.insert(0, Change("lost", sorted(self.at), heard))

    def rebalance(self, what: str, partitions: list[int], **more: Any) -> None:
        self.todo.append(Change(what, partitions, **more))

    def poll(self, max_records: int, timeout: float) -> list[Records]:
        self.memory.fault("poll")
        if self.memory.on_another_thread:
            self.cluster.misdeeds.append(f"{self.slot} polled its source on another thread than the loop's")
            return []
        self.cluster.time_passes()
        self.memory.time_passes()
        while self.todo and self.todo[0].wait <= 0:
            self._hear(self.todo.pop(0))
        if self.todo:
            self.todo[0].wait -= 1
        if self.cluster.members.get(self.slot) is self:
            self.generation = self.cluster.generation
        return super().poll(max_records, timeout)

    def _rejoin(self) -> None:
        self.cluster.members[self.slot] = self
        self.cluster.generation += 1
        self.generation = self.cluster.generation

    def _hear(self, change: Change) -> None:
        assigned = change.what == "assigned"
        partitions = [p for p in change.partitions if (p in self.at) != assigned]
        self._rejoin()
        if not partitions:
            return
        if assigned:
            self.cluster.owners.update(dict.fromkeys(partitions, self.slot))
            self.at |= {p: self.cluster.committed.get(p, 0) for p in partitions}
            self.paused.update(partitions)
            self.listener.assigned(partitions)
            return
        if change.what == "revoked":
            self.listener.revoked(partitions)
        self._let_go(partitions)
        if change.what == "lost":
            self.listener.lost(partitions)
        if change.then is not None:
            change.then(partitions)

    def _let_go(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self.at.pop(partition, None)
            self.paused.discard(partition)
            if self.cluster.owners.get(partition) == self.slot:
                del self.cluster.owners[partition]

    def _here(self, partitions: Sequence[int]) -> list[int]:
        self.strangers += [p for p in partitions if p not in self.at]
        return [p for p in partitions if p in self.at]

    def pause(self, partitions: Sequence[int]) -> None:
        self.paused.update(self._here(partitions))

    def resume(self, partitions: Sequence[int]) -> None:
        self.paused.difference_update(self._here(partitions))

    def seek(self, partition: int, offset: int) -> None:
        for here in self._here([partition]):
            self.at[here] = offset

    def group(self) -> Membership:
        return Membership(self.slot, self, self.generation)

    def close(self, leave: bool = False) -> None:
        self._let_go(list(self.at))
        if self.cluster.members.get(self.slot) is self:
            self.cluster.expel(self.slot)


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
        self.memory.fault("watermarks")
        return {p: (0, len(self.memory.cluster.logs[self.topic, p])) for p in partitions}

    def ends(self, partitions: Sequence[int], timeout: float) -> dict[int, int]:
        return {p: self.memory.cluster.stable((self.topic, p)) for p in partitions}

    def at_time(self, partition: int, time: int, timeout: float) -> int | None:
        assert time >= 0, "negative times have meanings of their own"
        log = self.memory.cluster.logs[self.topic, partition]
        return next((i for i, e in enumerate(log) if e.state == "committed" and e.timestamp >= time), None)

    def close(self) -> None:
        pass


class Sink:
    def __init__(self, memory: Memory, slot: str | None) -> None:
        self.memory, self.cluster, self.slot = memory, memory.cluster, slot
        if slot is not None:
            self.epoch = self.cluster.fence(slot)

    def begin(self) -> None:
        self._alive()
        if self.slot is not None:
            self.cluster.open[self.slot] = Transaction(began=self.cluster.polls)

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
        assert isinstance(group, Membership)
        if self.cluster.members.get(group.slot) is not group.source or group.generation != self.cluster.generation:
            over = GenerationOver if self.memory.tells_generations else SinkFailed
            raise over("the group knows no such member, or has gone on without it")
        for partition, offset in positions.items():
            if self.cluster.owners.get(partition) != self.slot:
                self.cluster.misdeeds.append(f"{self.slot} committed {offset} of {partition}, which is not its own")
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
