"""The loop: events in, predictions out, commits.

Invariants
1. A partition's events are processed in offset order from its mark; nothing is skipped but what its rows know already.
2. A partition's streams are dropped only when the bank holds no copies of theirs.
3. The listener (inside `Source.poll`) notes what happened and may commit; everything else happens in the loop.
4. A turn waits for the broker in a poll, in a commit, and on the way back from a failure; nowhere else.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from engine.step import Engine
from stream import gauges, metrics
from stream.admission import Admission
from stream.broker.port import Records
from stream.ceiling import Ceiling
from stream.clerk import Clerk
from stream.desk import Desk
from stream.errors import EnvironmentFault, GenerationOver, SinkFailed, SlotTaken, Unavailable
from stream.group import Group
from stream.lag import Lags
from stream.link import Link
from stream.mending import Mending
from stream.partitions import Partition, Phase
from stream.pending import IDLE, Pending
from stream.pipeline import Pipeline
from stream.recent import Recent
from stream.state.changelog import Rules
from stream.state.keeper import Keeper
from stream.state.snapshots import Snapshots
from stream.watch import Watch

log = structlog.get_logger()

BUSY = 0.005  # seconds that a poll waits for the first record while rows are loaded, or somebody asks
ANSWERS = 0.004  # seconds of a turn for those who ask
SHORT_BATCH = 4096  # events taken at a time while some partitions are restored beside live ones


@dataclass(frozen=True)
class Plan:
    """What the loop is told to do."""

    partitions: int  # of the input topic
    batch: int  # most events taken at a time
    hand_over: float  # seconds that the commit of a revocation may take
    leave: bool  # whether a stop gives the slot up
    until_end: bool  # process what is there at the start, then end
    rules: Rules


@dataclass(frozen=True)
class Rooms:
    """What the loop works with."""

    link: Link
    group: Group
    engine: Engine
    pipeline: Pipeline
    keeper: Keeper
    pending: Pending
    mending: Mending
    admission: Admission
    ceiling: Ceiling
    watch: Watch
    snapshots: Snapshots | None
    recent: Recent
    lags: Lags
    desk: Desk
    clerk: Clerk  # for others' threads


class Worker:
    """One member of the consumer group: one bank, one loop, one owner of every row."""

    def __init__(
        self, plan: Plan, rooms: Rooms, stopping: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan = plan
        self._link, self._group, self._engine = rooms.link, rooms.group, rooms.engine
        self._pipeline, self._keeper, self._admission = rooms.pipeline, rooms.keeper, rooms.admission
        self._ceiling, self._watch, self._snapshots = rooms.ceiling, rooms.watch, rooms.snapshots
        self._pending, self._mending = rooms.pending, rooms.mending
        self._recent, self._lags, self._desk, self._clerk = rooms.recent, rooms.lags, rooms.desk, rooms.clerk
        self._stopping = stopping
        self._clock = clock
        self._group.commit = lambda: self._pending.commit(plan.hand_over)
        self._ends: dict[int, int] = {}  # where the plan ends, per partition
        self._events = 0  # processed since the start; those that were processed again are counted again
        self._began = 0.0, 0.0  # clock and processor time at the first of them
        self._turned_at = clock()

    @property
    def ready(self) -> bool:
        """Whether every partition that is assigned here is live, and a broker answers."""
        return self._group.ready and self._link.answers

    def idle_seconds(self) -> float:
        """How long ago the loop last came round, or waited for a broker that is away."""
        return self._clock() - max(self._turned_at, self._link.patient_at)

    def run(self) -> None:
        """Work until told to stop, or until the plan's end is reached. What was done is then committed."""
        # The predecessor in this slot is fenced, and its transaction aborted, before any offset is read.
        self._link.connect()
        self._link.patiently(self._admission.connect)
        self._group.may_commit = True
        self._link.join(self._group)
        gauges.show(self._group, self._engine, self._ceiling, self._link, lambda: self.ready, self.idle_seconds)
        stopped = False
        try:
            if self._plan.until_end:
                self._ends = self._link.ends(range(self._plan.partitions))
            while not self._stopping() and not self._ended():
                try:
                    self._turn()
                except SlotTaken as taken:
                    self._start_over(taken)
            if not self._stopping():
                self._miss()
            self._pending.finish()
            stopped = True
            self._sum_up()
        except Unavailable as error:
            if not self._stopping():
                raise
            log.warning("stopped_without_the_broker", reason=str(error))
        finally:
            self._group.may_commit = False
            self._link.leave(for_good=self._plan.leave and stopped)
            self._link.delivery.close()
            self._admission.close()
            self._clerk.close()
        self._complain()

    def _turn(self) -> None:
        self._turned_at = self._clock()
        if unowned := self._watch.turn():
            log.warning("partitions_without_an_owner", partitions=sorted(unowned))
            self._link.source.join_again()
        if self._ceiling.wanted and self._ceiling.relieved():
            self._admission.again()
        self._admission.turn(self._link.source, self._ceiling.room)
        busy = self._admission.busy or self._desk.waiting
        batches = self._link.poll(self._most(), BUSY if busy else min(IDLE, self._pending.patience))
        rewound = self._hear()
        batches = [] if rewound else self._admitted(batches)  # they follow on what was put back
        if batches:
            self._attempt(lambda: self._process(batches))
        if not self._ceiling.wanted:  # what was turned away has not been stepped
            self._admission.promote(self._link.source)
        if self._pending.due or self._ended():  # the end is reached once it is committed
            self._attempt(self._pending.commit)
        self._admission.flow(self._link.source)
        self._attempt(self._pending.write_ahead)
        if self._snapshots is not None and not self._engine.bank.writes():
            self._snapshots.turn(list(self._group.partitions.values()))
        self._lags.turn(self._turned_at, self._passed)
        self._desk.turn(ANSWERS)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except SinkFailed as error:
            self._mending.mend(error)
            self._hear()  # mending polls, too

    def _most(self) -> int:
        """How many events to take: restored partitions must not hold up the live ones."""
        both = self._group.in_phase(Phase.LIVE) and self._group.in_phase(Phase.RESTORING)
        return min(self._plan.batch, SHORT_BATCH) if both else self._plan.batch

    def _admitted(self, batches: list[Records]) -> list[Records]:
        """What may be processed now: events of partitions that flow, no further than a restore goes, and only while
        there is room for their streams."""
        if self._ceiling.wanted:
            return []  # on their way when the others were told to wait
        found = []
        for batch in batches:
            partition = self._group.partitions.get(batch.partition)
            if partition is not None and partition.phase in (Phase.RESTORING, Phase.LIVE):
                part = batch if partition.phase is Phase.LIVE else batch.below(partition.until)
                if part.offsets:
                    found.append(part)
                elif batch.offsets:  # all of it lies beyond the restore's end
                    partition.position = partition.until
        if found and not self._ceiling.admits(found):
            self._hold()
            return []
        return found

    def _process(self, batches: list[Records]) -> None:
        if not self._events:
            self._began = self._clock(), time.process_time()
        by_rules: dict[Rules, list[Records]] = {}
        for batch in batches:
            by_rules.setdefault(self._group[batch.partition].rules, []).append(batch)
        for rules, some in by_rules.items():
            published = self._pipeline.run(some, rules, self._group.until(), self._link.delivery)
            self._pending.stepped(some, published)
        for batch in batches:
            self._group[batch.partition].position = batch.offsets[-1] + 1
            self._events += len(batch)

    def _ended(self) -> bool:
        if not self._plan.until_end or not self._group.partitions or self._group.on_the_way:
            return False
        if self._ceiling.wanted:  # what was turned away has not been stepped
            return False
        return all(self._reached(p) >= self._ends[p.number] for p in self._group.in_phase(Phase.LIVE))

    def _reached(self, partition: Partition) -> int:
        """The offset that is next here, past control records, which are never delivered."""
        return max(partition.position, self._link.source.position(partition.number) or 0)

    def _passed(self, partition: Partition) -> int:
        """The same, where nothing that came was turned away."""
        return partition.position if self._ceiling.wanted else self._reached(partition)

    def _sum_up(self) -> None:
        """What was done and what it cost: processor time of the whole process, start-up excluded."""
        if self._events:
            seconds, cpu = self._clock() - self._began[0], time.process_time() - self._began[1]
            log.info(
                "done",
                events=self._events,
                seconds=round(seconds, 3),
                events_per_second=round(self._events / seconds),
                cpu_us_per_event=round(cpu / self._events * 1e6, 2),
            )

    def _miss(self) -> None:
        """Say which partitions others were to work off."""
        missing = sorted(set(self._ends) - set(self._group.partitions))
        if missing:
            log.warning(
                "ended_without_partitions",
                partitions=missing,
                mend="other members of the group have them, or their places are kept until their sessions end",
            )

    def _complain(self) -> None:
        """Raise EnvironmentFault where some partition could not be served."""
        for partition in self._group.in_phase(Phase.HALTED):
            raise EnvironmentFault(partition.halted)

    # Partitions that come and go.

    def _hear(self) -> bool:
        """Act on what the listener noted during the poll. Whether partitions went back to where they were before."""
        failure = self._group.take_failure()
        gone = self._group.gone()
        if failure is None and any(p.moved or self._keeper.in_transaction(p.number) for p in gone):
            failure = GenerationOver("partitions were lost before their events were committed")
        if failure is not None:
            if not isinstance(failure, SinkFailed):
                raise failure
            self._mending.mend(failure)
        for what, numbers in self._group.take_notes():
            metrics.REBALANCES.inc()
            log.info(f"partitions_{what}", partitions=numbers)
            for number in numbers:
                self._drop(number)
                if what == "assigned":
                    self._group.partitions[number] = Partition(number, self._plan.rules, self._clock())
                    self._admission.start(number)
        return failure is not None

    def _drop(self, number: int) -> None:
        if self._group.partitions.pop(number, None) is not None:
            self._admission.stop(number)
            if self._snapshots is not None:
                self._snapshots.drop(number)
            self._keeper.drop(number)
            self._recent.drop(number)
            self._lags.drop(number)

    def _hold(self) -> None:
        """There is no room for a new stream: take nothing in until there is."""
        flowing = [p for p in self._group.partitions.values() if p.phase in (Phase.RESTORING, Phase.LIVE)]
        self._link.source.pause([p.number for p in flowing])

    def _start_over(self, taken: SlotTaken) -> None:
        """The consumer was fenced, by nobody else: join again, with nothing."""
        self._mending.start_over(taken)
        self._pending.put_back()
        for number in list(self._group.partitions):
            self._drop(number)
        self._group.forget()
        self._link.connect()
        self._group.may_commit = True
        self._link.join(self._group)
