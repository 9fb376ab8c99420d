"""Which rows a commit writes to the changelog: the oldest dirty ones, and how many. Knows the bank, no broker.

Invariants
1. A row is dirty from the first event on that its record in the changelog lacks. It is in its partition's queue from
   the keep after that event until the keep of a commit that wrote it.
2. Rows are handed to the open transaction early, by `ahead`, so that they are on their way while events are stepped
   and the commit need not wait for them. This, and what `plan` adds, takes effect in `kept` alone: a commit that did
   not take place leaves no trace (`put_back`). A row that is stepped in the transaction it was written ahead in counts
   as dirty again.
3. The replay offset of a partition lies at or below the first event that any of its rows in the changelog lacks.
4. A stream leaves the bank for good only when its row is clean and no replay can meet an event of its past: its last
   offset lies below the replay offset of a marker that is committed. It is cold then by rule: reset, or past its time
   to live. A frozen stream is neither, and stays.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.columns import Bools, Ints
from engine.rows import FROZEN
from engine.step import Engine
from stream import metrics
from stream.state.dirty import Dirty

SHARE = 0.1  # of the loop's time that may go into rows that are not due yet
EAGER = 0.2  # of the interval: rows that have been dirty for less are not written before they must be
LONGEST = 0.012  # seconds that the rows of one commit may take
GRAIN = 0.01  # of the interval: rows that became dirty within it count as one
SWEEP = 32_768  # slots looked at in a commit for streams that are cold by rule


@dataclass(slots=True)
class Part:
    """What a commit does to the rows of one partition."""

    slots: Ints  # rows to write with the commit
    ahead: int  # rows that were written before it
    evicted: Ints  # streams to forget, a tombstone for each
    replay: int
    clock: int


@dataclass(slots=True)
class Plan:
    """What a commit does to rows."""

    parts: dict[int, Part] = field(default_factory=dict)
    fresh: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # rows that this commit finds newly dirty

    @property
    def records(self) -> int:
        return sum(len(part.slots) + len(part.evicted) for part in self.parts.values())


class Checkpoint:
    """The queues of dirty rows of every partition that is here."""

    def __init__(self, engine: Engine, interval: float, commit_interval: float) -> None:
        """interval: seconds within which a dirty row is written."""
        self._engine = engine
        self._interval = interval
        self._gap = commit_interval
        self._queues: dict[int, Dirty] = {}
        self._replays: dict[int, int] = {}  # of the last committed marker
        self._dirty: Bools = np.zeros(engine.slots.capacity, np.bool_)
        self._ahead: dict[int, Ints] = {}  # rows in the open transaction: the oldest of their queues
        self._written: Bools = np.zeros(engine.slots.capacity, np.bool_)  # the same, by slot
        self._row_seconds = 2e-6  # what writing one row takes, as measured
        self._swept = 0
        self._planned_at = 0.0

    def begin(self, partition: int) -> None:
        """A partition is here, its rows as the changelog has them."""
        self._queues[partition] = Dirty(self._interval * GRAIN)

    def add(self, partition: int, slots: Ints, since: int, clock: int, now: float) -> None:
        """The changelog lacks what these rows have from the input offset `since` on."""
        self._dirty[slots] = True
        self._queues[partition].add(slots, since, clock, now)

    def drop(self, partition: int) -> None:
        """A partition goes. Before its slots are freed."""
        self._queues.pop(partition, None)
        self._replays.pop(partition, None)
        self._ahead.pop(partition, None)
        slots = self._engine.slots.of(partition)
        self._dirty[slots] = self._written[slots] = False

    def dirty(self, partition: int) -> int:
        """How many rows of a partition wait."""
        return len(self._queues[partition])

    def clean(self, slots: Ints) -> Ints:
        """Those of the slots whose rows are as the changelog has them, also in the commit that is under way."""
        clean = slots[~self._dirty[slots]]
        touched = self._engine.bank.touched()
        return clean if not len(touched) else np.setdiff1d(clean, touched, assume_unique=True)

    def waiting(self, now: float) -> bool:
        """Whether there is something to commit although no event came: rows that wait, or are in the open transaction,
        which the broker would abort after a while."""
        return bool(self._ahead) or any(queue.older(now, self._interval * EAGER) for queue in self._queues.values())

    def pressed(self, now: float) -> bool:
        """Whether more rows are due than one commit can write without a stall: commits must come faster."""
        most = LONGEST / self._row_seconds
        due = sum(queue.due(now, self._interval, self._gap) for queue in self._queues.values())
        return due > max(most, sum(map(len, self._ahead.values())))

    def plan(
        self,
        marks: Mapping[int, int],
        positions: Mapping[int, int],
        ttls: Mapping[int, int | None],
        urgent: Collection[int],
    ) -> Plan:
        """What a commit of these positions does to rows.

        marks: every partition's position at the last keep; positions: partitions whose rows may be written, and the
        offset that is committed with them; ttls: partitions whose cold streams may be forgotten, and their time to live
        in milliseconds; urgent: partitions all of whose rows should be written.
        """
        plan = Plan(fresh=self._newly_dirty())
        fresh_in = set(np.unique(self._engine.slots.partitions(plan.fresh)).tolist())
        most = max(1, int(LONGEST / self._row_seconds))
        for number in sorted(positions, key=self._oldest):
            queue, ahead = self._queues[number], len(self._ahead.get(number, ()))
            wanted = len(queue) - ahead if number in urgent else 0
            slots = queue.oldest(ahead + min(wanted, most))[ahead:]
            most -= len(slots)
            head = queue.after(ahead + len(slots))
            if head is not None:
                replay, clock = head.since, head.clock
            elif number in fresh_in:
                replay, clock = marks[number], self._engine.kept_clock(number)
            else:
                replay, clock = positions[number], self._engine.clocks.get(number, 0)
            plan.parts[number] = Part(slots, ahead, np.empty(0, np.int64), replay, clock)
        for number, evicted in self._cold(ttls, most).items():
            plan.parts[number].evicted = evicted
        return plan

    def ahead(self, numbers: Iterable[int], now: float) -> dict[int, Ints]:
        """Rows of these partitions to be written into the open transaction; none where that was done already."""
        if self._ahead:
            return {}
        budget = int(SHARE * max(0.0, now - self._planned_at) / self._row_seconds)
        most = max(1, int(LONGEST / self._row_seconds))
        # Those that have waited longest first, or a partition could starve the others.
        for number in sorted(numbers, key=self._oldest):
            queue = self._queues[number]
            eager = min(queue.older(now, self._interval * EAGER), max(budget, 0))
            slots = queue.oldest(min(max(eager, queue.due(now, self._interval, self._gap)), most))
            if len(slots):
                self._ahead[number] = slots
                self._written[slots] = True
                most -= len(slots)
                budget -= len(slots)
        if self._ahead:
            self._planned_at = now
        return self._ahead

    def put_back(self) -> None:
        """What was written ahead is not in the changelog."""
        for slots in self._ahead.values():
            self._written[slots] = False
        self._ahead = {}

    def in_transaction(self, partition: int) -> bool:
        """Whether rows of the partition are in the open transaction."""
        return partition in self._ahead

    def kept(self, plan: Plan, marks: Mapping[int, int], now: float) -> None:
        """The plan's commit took place. Before `engine.keep`. marks: as for `plan`."""
        for number, part in plan.parts.items():
            self._dirty[self._queues[number].oldest(part.ahead + len(part.slots))] = False
            self._queues[number].take(part.ahead + len(part.slots))
            self._replays[number] = part.replay
        if plan.parts:
            self.put_back()
        where = self._engine.slots.partitions(plan.fresh)
        for number in np.unique(where).tolist():
            self.add(number, plan.fresh[where == number], marks[number], self._engine.kept_clock(number), now)

    def forget(self, plan: Plan) -> None:
        """Evicted streams leave the bank. After `engine.keep`: no copy may outlive its slot."""
        for part in plan.parts.values():
            self._engine.slots.forget(part.evicted)
            metrics.EVICTED.inc(len(part.evicted))

    def took(self, rows: int, seconds: float) -> None:
        """So many rows were prepared and handed to the producer in so many seconds."""
        if rows >= 100:
            self._row_seconds += 0.2 * (seconds / rows - self._row_seconds)

    def _oldest(self, number: int) -> float:
        head = self._queues[number].after(0)
        return float("inf") if head is None else head.at

    def _newly_dirty(self) -> Ints:
        touched = [slots[~self._dirty[slots] | self._written[slots]] for slots in self._engine.bank.writes()]
        found = np.unique(np.concatenate(touched)) if touched else np.empty(0, np.int64)
        return found[self._engine.bank.offset[found] >= 0]  # a stream all of whose events were refused has no row

    def _cold(self, ttls: Mapping[int, int | None], most: int) -> dict[int, Ints]:
        """The next streams, partition by partition, that are cold by rule and that nothing remembers otherwise."""
        bank, taken = self._engine.bank, self._engine.slots.fresh
        if not taken or most <= 0:
            return {}
        start = self._swept if self._swept < taken else 0
        self._swept = start + SWEEP
        slots = np.arange(start, min(self._swept, taken))
        where: NDArray[np.int32] = self._engine.slots.partitions(slots)
        found = {}
        for number, ttl in ttls.items():
            replay = self._replays.get(number, 0)
            cold = bank.step[slots] == 0
            if ttl is not None:
                cold |= self._engine.kept_clock(number) - bank.clock[slots] > ttl
            cold &= bank.step[slots] != FROZEN
            mine = slots[cold & (where == number) & ~self._dirty[slots] & (bank.offset[slots] < replay)]
            if len(mine):
                touched = self._engine.bank.touched()
                found[number] = np.setdiff1d(mine, touched, assume_unique=True)[:most]
                most -= len(found[number])
        return found
