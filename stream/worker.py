"""The loop: events in, predictions out, commits, partitions that come and go, and the way back from a failure.

Invariants
1. A partition's events are processed in offset order from its mark; nothing is skipped but what is silently restored.
2. `Bank.keep` runs only after a commit that is known to have taken place, `Bank.put_back` only where it is known not to
   have; a partition's streams are dropped only when the bank holds no copies.
3. The listener (inside `Source.poll`) notes what happened and may commit; everything else happens in the loop.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from engine.step import Engine
from stream import metrics
from stream.broker.port import Records
from stream.errors import EnvironmentFault, SinkFailed, SinkFenced, SlotTaken, Unavailable
from stream.group import Group
from stream.link import CALL_TIMEOUT, Access, Link
from stream.partitions import Partition, Phase
from stream.pipeline import Pipeline, Published

log = structlog.get_logger()

UNCOMMITTED = 200_000  # events; more are committed before their interval has passed, so that copies stay bounded
FENCE_LOOK = 3.0  # seconds in which a process that took this slot's transactions joins the group, too


@dataclass(frozen=True)
class Plan:
    """What the loop is told to do."""

    input_topic: str
    partitions: int  # of the input topic
    batch: int  # most events taken at a time
    commit_interval: float  # seconds
    leave: bool  # whether a stop gives the slot up
    until_end: bool  # process what is there at the start, then end


class Worker:
    """One member of the consumer group: one bank, one loop, one owner of every row."""

    def __init__(
        self,
        plan: Plan,
        access: Access,
        engine: Engine,
        pipeline: Pipeline,
        stopping: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._pipeline = pipeline
        self._stopping = stopping
        self._clock = clock
        self._link = Link(access, clock, stopping)
        self._group = Group(self._commit)
        self._ends: dict[int, int] = {}  # where the plan ends, per partition
        self._admit_at = 0.0  # when assigned partitions are looked at again
        self._events = 0  # processed since the start; those that were processed again are counted again
        self._began = 0.0, 0.0  # clock and processor time at the first of them
        self._uncommitted = 0  # events since the last keep
        self._published = Published()  # of them
        self._oldest = 0  # timestamp of the first of them, milliseconds
        self._kept_at = 0.0
        self._turned_at = clock()

    @property
    def ready(self) -> bool:
        """Whether every partition that is assigned here is live."""
        return self._group.ready

    def idle_seconds(self) -> float:
        """How long ago the loop last came round."""
        return self._clock() - self._turned_at

    def run(self) -> None:
        """Work until told to stop, or until the plan's end is reached. What was done is then committed."""
        # The predecessor in this slot is fenced, and its transaction aborted, before any offset is read.
        self._link.connect()
        self._group.may_commit = True
        self._link.join(self._group)
        stopped = False
        try:
            if self._plan.until_end:
                everywhere = range(self._plan.partitions)
                self._ends = self._link.patiently(
                    lambda: self._link.source.end_offsets(everywhere, timeout=CALL_TIMEOUT)
                )
            while not self._stopping() and not self._ended():
                self._turn()
            self._attempt(self._commit)
            stopped = True
            self._sum_up()
        finally:
            self._group.may_commit = False
            self._link.leave(for_good=self._plan.leave and stopped)
            self._link.delivery.close()

    def _turn(self) -> None:
        self._turned_at = self._clock()
        self._admit()
        try:
            batches = self._link.source.poll(self._plan.batch, self._patience())
        except SlotTaken as taken:
            self._start_over(taken)
            return
        self._hear()
        batches = [b for b in batches if b.partition in self._group.partitions]
        if batches:
            self._attempt(lambda: self._process(batches))
        self._promote()
        if self._due() or self._ended():  # the end is reached once it is committed
            self._attempt(self._commit)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except SinkFailed as error:
            self._mend(error)

    def _process(self, batches: list[Records]) -> None:
        if not self._events:
            self._began = self._clock(), time.process_time()
        if not self._uncommitted:
            self._oldest = min(batch.timestamps[0] for batch in batches)
        published = self._pipeline.run(batches, self._group.until(), self._link.delivery)
        self._published.predictions += published.predictions
        self._published.letters += published.letters
        for batch in batches:
            self._group[batch.partition].position = batch.offsets[-1] + 1
            self._uncommitted += len(batch)
            self._events += len(batch)

    def _ended(self) -> bool:
        if not self._plan.until_end or not self._group.ready:
            return False
        return all(self._reached(p) >= self._ends[p.number] for p in self._group.partitions.values())

    def _reached(self, partition: Partition) -> int:
        """The offset that is next here, past control records, which are never delivered."""
        return max(partition.position, self._link.source.position(partition.number) or 0)

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

    # When it becomes durable.

    def _patience(self) -> float:
        """How long a poll may wait for the first record."""
        if self._group.in_phase(Phase.ASSIGNED):
            return 0.05
        if self._uncommitted:
            return max(0.0, self._kept_at + self._plan.commit_interval - self._clock())
        return 0.2

    def _due(self) -> bool:
        if not self._group.moved:
            self._kept_at = self._clock()
            return False
        return self._uncommitted >= UNCOMMITTED or self._clock() >= self._kept_at + self._plan.commit_interval

    def _commit(self) -> None:
        positions = {p.number: p.position for p in self._group.in_phase(Phase.LIVE) if p.moved}
        if positions:
            began = self._clock()
            self._link.delivery.commit(positions, self._link.source)
            metrics.COMMIT.observe(self._clock() - began)
            metrics.TRANSACTIONS.labels("committed").inc()
            metrics.EVENTS.inc(self._uncommitted)
            metrics.PREDICTIONS.inc(self._published.predictions)
            for code, count in self._published.letters.items():
                metrics.DEAD_LETTERS.labels(code).inc(count)
            metrics.EVENT_LATENCY.observe(max(0.0, time.time() - self._oldest / 1000))
        self._keep()

    def _keep(self) -> None:
        self._engine.keep()
        self._group.settle()
        self._uncommitted = 0
        self._published = Published()
        self._kept_at = self._clock()
        metrics.STREAMS.set(len(self._engine.slots))
        metrics.BANK_BYTES.set(self._engine.size)

    def _put_back(self) -> None:
        self._engine.put_back()
        self._group.rewind()
        self._uncommitted = 0
        self._published = Published()

    # Partitions that come and go.

    def _hear(self) -> None:
        """Act on what the listener noted during the poll."""
        failure = self._group.take_failure()
        if failure is None and any(p.moved for p in self._group.gone()):
            failure = SinkFailed("partitions were lost before their events were committed")
        if failure is not None:
            if not isinstance(failure, SinkFailed):
                raise failure
            self._mend(failure)
        for what, numbers in self._group.take_notes():
            metrics.REBALANCES.inc()
            log.info(f"partitions_{what}", partitions=numbers)
            for number in numbers:
                if self._group.partitions.pop(number, None) is not None:
                    self._engine.drop(number)
                if what == "assigned":
                    self._group.partitions[number] = Partition(number)

    def _admit(self) -> None:
        """Find out where assigned partitions stand, and let them flow."""
        waiting = self._group.in_phase(Phase.ASSIGNED)
        if not waiting or self._clock() < self._admit_at:
            return
        source = self._link.source
        try:
            committed = source.committed([p.number for p in waiting], timeout=1.0)
            marks = {p.number: source.watermarks(p.number, timeout=1.0) for p in waiting}
        except Unavailable as error:
            log.warning("committed_offsets_not_known_yet", reason=str(error))
            self._admit_at = self._clock() + 1.0
            return
        for partition in waiting:
            begin, end = marks[partition.number]
            until = committed[partition.number]
            self._check(partition.number, begin, until, end)
            partition.restore(begin, max(begin, until or 0), self._clock())
            if partition.phase is Phase.RESTORING:
                log.info("restoring", partition=partition.number, begin=begin, until=until)
            source.seek(partition.number, begin)
            source.resume([partition.number])

    def _check(self, number: int, begin: int, until: int | None, end: int) -> None:
        if until is not None and until > end:
            raise EnvironmentFault(
                f"{self._plan.input_topic} [{number}]: the committed offset {until} lies beyond the topic's end {end}, "
                "so the topic was made anew; use another --application-id"
            )
        if until is not None and begin > 0:
            log.warning("input_was_truncated", partition=number, begin=begin, until=until)

    def _promote(self) -> None:
        """Restoring partitions that have caught up go live."""
        for partition in self._group.in_phase(Phase.RESTORING):
            if self._reached(partition) >= partition.until:
                partition.phase = Phase.LIVE
                partition.position = max(partition.position, partition.until)
                metrics.RESTORE.observe(self._clock() - partition.began)
                log.info("live", partition=partition.number, seconds=round(self._clock() - partition.began, 3))

    # The way back from a failure.

    def _mend(self, error: SinkFailed) -> None:
        """The open transaction is lost, or its outcome unknown: find out what took place and go on from there."""
        log.warning("transaction_lost", reason=str(error))
        metrics.TRANSACTIONS.labels("lost").inc()
        self._group.may_commit = False
        self._link.source.pause(list(self._group.partitions))
        self._link.delivery.close()
        if isinstance(error, SinkFenced):
            self._look_at_the_consumer()
        self._link.connect()
        happened = self._happened()
        if happened:
            self._keep()
        else:
            self._put_back()
        # Not before: a revocation would have committed offsets whose outputs were lost.
        self._group.may_commit = True
        flowing = [p for p in self._group.present() if p.phase is not Phase.ASSIGNED]
        for partition in flowing:
            self._link.source.seek(partition.number, partition.position)
        self._link.source.resume([p.number for p in flowing])
        log.info("mended", transaction_took_place=happened)

    def _happened(self) -> bool:
        """Whether the transaction whose answer never came took place. All of it did, or none of it."""
        # Only these can tell: where nothing is new, the committed offset is the position in any case.
        moved = [p for p in self._group.present() if p.uncommitted and p.phase is Phase.LIVE]
        if not moved:
            return False
        committed = self._link.patiently(
            lambda: self._link.source.committed([p.number for p in moved], timeout=CALL_TIMEOUT)
        )
        return any(committed[p.number] == p.position for p in moved)

    def _look_at_the_consumer(self) -> None:
        """A newer producer has this slot. If a consumer has it too, another process lives there: SlotTaken comes out of
        the poll, and this process ends. To initialise the slot again would fence that process back, for ever."""
        deadline = self._clock() + FENCE_LOOK
        while self._clock() < deadline:
            self._link.source.poll(1, 0.2)

    def _start_over(self, taken: SlotTaken) -> None:
        """The consumer was fenced. Whoever takes a slot fences its producer before its consumer, so where this
        producer still works nobody did: a consumer that rejoins after a broker's restart can fence itself."""
        positions = {p.number: p.position for p in self._group.in_phase(Phase.LIVE)}
        try:
            if not positions:
                raise taken
            self._link.delivery.commit(positions, self._link.source)
        except SinkFenced:
            raise taken from None
        except SinkFailed as error:
            log.warning("consumer_was_fenced_and_joins_again", reason=str(error))
        self._group.may_commit = False
        self._link.delivery.close()
        self._link.leave(for_good=False)
        self._put_back()
        for number in self._group.partitions:
            self._engine.drop(number)
        self._group.forget()
        self._link.connect()
        self._group.may_commit = True
        self._link.join(self._group)
