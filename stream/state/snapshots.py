"""When snapshots are taken, of what, and which of them may be trusted. An accelerator: the changelog is the truth.

Invariants
1. A snapshot's changelog position is asked for before its first row is copied, so every row that is in the changelog
   below it is in the snapshot as it was then, or newer, or was evicted, and its tombstone comes after.
   Only the partition's owner can know that: a snapshot gets its name only after a commit of this process that covered
   the partition, and came after the asking, succeeded. One that has lost the partition unawares has stale rows.
2. Rows are copied only while nothing is uncommitted.
3. A stream is missed by no move between bank and disk: what rests on the disk is listed at the start, and what goes
   there meanwhile is added.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from engine.columns import Ints
from engine.rows import Rows
from engine.step import Engine
from stream import metrics
from stream.errors import EnvironmentFault, Unavailable
from stream.partitions import Partition, Phase
from stream.state import changelog
from stream.state.files import StateDir
from stream.state.keeper import Keeper
from stream.state.questions import Answer, Questions
from stream.state.snapshot import Head, Snapshot, SnapshotDamaged, SnapshotFailed, Writer

log = structlog.get_logger()

AT_ONCE = 4096  # rows copied in one turn of the loop
LAST = 20.0  # seconds that the snapshots of a stop may take
ASK = 5.0  # seconds until the brokers must have told for them where the changelog ends


class Resting(Protocol):
    """Rows on the disk."""

    def rows(self, partition: int) -> Iterator[Rows]:
        """All of a partition's, as they are now."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The changelog that snapshots belong to."""

    topic_id: str
    tombstones: float  # seconds for which it keeps tombstones
    ends: Callable[[Sequence[int]], dict[int, int]]  # partitions -> their high watermarks; waits for the broker


class Taking:
    """One partition's snapshot on its way to the disk."""

    def __init__(self, number: int, writer: Writer, slots: Ints, resting: Iterator[Rows]) -> None:
        self.number = number
        self.writer = writer
        self.slots = slots  # yet to be copied
        self.resting = resting  # yet to be read
        self.pending: list[Rows] = []  # yet to be taken by the writer
        self.finished = False


class Snapshots:
    """The snapshots of one process."""

    def __init__(
        self,
        engine: Engine,
        keeper: Keeper,
        place: StateDir,
        disk: Resting,
        origin: Origin,
        questions: Questions,
        interval: float,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        """interval: seconds between two snapshots of a partition; wall: seconds since the epoch."""
        self._engine = engine
        self._keeper = keeper
        self._place = place
        self._disk = disk
        self._origin = origin
        self._questions = questions
        self._interval = interval
        self._clock = clock
        self._wall = wall
        self._next = clock() + interval
        self._waiting: list[int] = []
        self._asked: Answer[dict[int, int]] | None = None
        self._taking: Taking | None = None
        self._unproven: set[int] = set()  # partitions whose next commit proves that they are still this process's
        self._last: dict[int, int] = {}  # partitions that a stop takes a snapshot of -> their changelogs' ends

    def find(self, number: int) -> Snapshot | None:
        """The partition's snapshot, where there is one that may be used; its chunks may still turn out damaged."""
        try:
            snapshot = Snapshot(self._place.snapshot_path(number))
        except FileNotFoundError:
            return None
        except (SnapshotDamaged, OSError) as error:
            log.warning("snapshot_ignored", partition=number, reason=str(error))
            return None
        head, why = snapshot.head, ""
        if head.changelog_topic_id != self._origin.topic_id:
            why = "it belongs to a changelog that is no more"
        elif head.width != self._engine.model.row_width:
            why = f"its rows have {head.width} floats, the model's {self._engine.model.row_width}"
        elif not 0 <= self._wall() - head.taken_at < self._origin.tombstones / 2:
            why = "it is too old: the changelog may have forgotten tombstones since"
        if why:
            log.warning("snapshot_ignored", partition=number, reason=why)
            snapshot.close()
            return None
        return snapshot

    @property
    def wanting(self) -> bool:
        """Whether some commit is waited for."""
        return bool(self._unproven)

    def wants(self, number: int) -> bool:
        """Whether a commit that covers the partition is waited for."""
        return number in self._unproven

    def committed(self, numbers: Iterable[int]) -> None:
        """A commit that covered these partitions took place."""
        self._unproven.difference_update(numbers)

    def turn(self, partitions: Sequence[Partition]) -> None:
        """Go on with what is under way, or begin what is due. Only while nothing is uncommitted."""
        if self._taking is not None:
            self._go_on(self._taking)
        elif self._waiting:
            self._begin()
        elif self._clock() >= self._next:
            self._next = self._clock() + self._interval
            self._waiting = [p.number for p in partitions if p.phase is Phase.LIVE]

    def moved(self, number: int, rows: Rows) -> None:
        """Rows go from the bank to the disk."""
        if self._taking is not None and self._taking.number == number and not self._taking.finished:
            self._taking.pending.append(rows)

    def drop(self, number: int) -> None:
        """A partition goes."""
        self._waiting = [n for n in self._waiting if n != number]
        self._unproven.discard(number)
        if self._taking is not None and self._taking.number == number:
            self._taking.writer.abandon()
            self._taking = None

    def prepare_last(self, partitions: Sequence[Partition]) -> None:
        """Before a stop, and before its last commit: that proves what `last` then writes."""
        if self._taking is not None:
            self._taking.writer.abandon()
            self._taking = None
        live = [p.number for p in partitions if p.phase is Phase.LIVE and p.number in self._keeper.markers]
        try:
            self._last = self._answer(lambda: self._origin.ends(live), time.monotonic() + ASK) if live else {}
        except EnvironmentFault as error:
            _failed(error)
        self._unproven = set(self._last)

    def last(self) -> None:
        """Before a stop, when everything is committed: take one of every partition, and wait until they are written."""
        deadline = time.monotonic() + LAST
        try:
            for number, end in self._last.items():
                if number in self._unproven:
                    continue
                taking = self._start(number, end)
                while not taking.writer.done(wait=0.001):
                    if time.monotonic() > deadline:
                        taking.writer.abandon()
                        log.warning("snapshot_given_up", partition=number, reason=f"not written within {LAST:g} s")
                        metrics.SNAPSHOTS.labels("failed").inc()
                        return
                    self._copy(taking)
                _taken(number)
        except (SnapshotFailed, EnvironmentFault) as error:
            _failed(error)

    def _answer(self, call: Callable[[], dict[int, int]], deadline: float) -> dict[int, int]:
        """Ask where every question is asked, and wait. Raises Unavailable at the deadline."""
        answer = self._questions.ask(call)
        while not answer.there:
            if time.monotonic() > deadline:
                raise Unavailable("the changelog's end is not known in time")
            time.sleep(0.002)
        return answer.get()

    def _begin(self) -> None:
        """Ask where the changelog ends; with the answer, start."""
        number = self._waiting[0]
        if self._asked is None:
            self._asked = self._questions.ask(lambda: self._origin.ends([number]))
        elif self._asked.there:
            asked, self._asked = self._asked, None
            try:
                end = asked.get().get(number)
            except EnvironmentFault as error:
                _failed(error, partition=number)
                end = None
            self._waiting.pop(0)
            if end is not None and number in self._keeper.markers:
                self._taking = self._start(number, end)
                self._unproven.add(number)

    def _start(self, number: int, end: int) -> Taking:
        marker = changelog.marker_value(self._keeper.markers[number])
        head = Head(self._engine.model.row_width, self._origin.topic_id, end, self._wall(), marker)
        writer = Writer(self._place.snapshot_path(number), head, self._place.scratch_path)
        return Taking(number, writer, self._engine.slots.of(number), self._disk.rows(number))

    def _go_on(self, taking: Taking) -> None:
        try:
            self._copy(taking)
            if taking.finished and taking.writer.done():
                self._taking = None
                _taken(taking.number)
        except (SnapshotFailed, EnvironmentFault) as error:
            _failed(error, partition=taking.number)
            taking.writer.abandon()
            self._unproven.discard(taking.number)
            self._taking = None

    def _copy(self, taking: Taking) -> None:
        """Hand some more rows to the writer."""
        if taking.finished:
            return
        if not taking.pending:
            if len(taking.slots):
                some, taking.slots = taking.slots[:AT_ONCE], taking.slots[AT_ONCE:]
                # A slot may have changed hands since: another stream of the partition is welcome, too.
                mine = some[self._engine.slots.partitions(some) == taking.number]
                taking.pending.append(self._engine.rows(mine))
            elif (resting := next(taking.resting, None)) is not None:
                taking.pending.append(resting)
            elif taking.number not in self._unproven:
                taking.writer.finish()
                taking.finished = True
        while taking.pending and taking.writer.add(taking.pending[0]):
            taking.pending.pop(0)


def _taken(partition: int) -> None:
    metrics.SNAPSHOTS.labels("taken").inc()
    log.info("snapshot_taken", partition=partition)


def _failed(error: Exception, **where: int) -> None:
    metrics.SNAPSHOTS.labels("failed").inc()
    log.warning("snapshot_failed", reason=str(error), **where)
