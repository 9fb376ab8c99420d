"""A batch in; predictions and refusals out; the bank updated. The one place where streams are stepped.

Invariants
1. A stream's events are stepped in their order, each once: an event at or below its row's offset is passed over.
2. A row changes only by a step whose new row and outputs are all finite, by a reset, or by what the poison policy makes
   of an event that is refused, which is one of three: nothing (skip), what a reset makes of it (reset), or a row that
   is frozen from there on (freeze).
3. A partition's clock is the largest timestamp of its events so far. An event that comes later than the time to live
   after its stream's last one, by that clock, starts its stream cold.
4. A frozen row changes by a reset alone, whatever the time and the policy; its stream's events are told apart.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from engine.bank import COUNTERS_BYTES, Copies
from engine.columns import Bools, Columns, Ints, Outcome, with_clock
from engine.model import Network
from engine.rows import FROZEN, Policy, Rows
from engine.schedule import Clearing, Rectangle, schedule
from engine.slots import Slots

# Of a key's dict entry, its bytes object, its slot number and the look-up back: measured at 2 million keys of 12 bytes.
KEY_BYTES = 192
KEY_LENGTH = 12


class Attic(Protocol):
    """Where rows of idle streams are kept when the bank has no room for them."""

    def take(self, partition: int, keys: list[bytes]) -> tuple[list[int], Rows]:
        """Those of the keys that are there: their indices, and their rows, which are there no more."""

    def count(self, partition: int) -> int:
        """How many rows of a partition are there."""

    def drop(self, partition: int) -> None:
        """Forget a partition's rows."""


class Engine:
    """Steps the streams of one bank with one model."""

    def __init__(self, model: Network, capacity: int, attic: Attic | None = None) -> None:
        """capacity: the most streams the bank can hold."""
        self.model = model
        self.bank = model.bank(capacity)
        self.slots = Slots(capacity)
        self.clocks: dict[int, int] = {}  # partition -> milliseconds
        self._kept_clocks: dict[int, int] = {}  # as they were at the last `keep`
        self._attic = attic
        self._freezing = False  # whether some row may be frozen: while none was, nobody looks
        self._stream_bytes = model.row_width * 4 + COUNTERS_BYTES + KEY_BYTES

    @staticmethod
    def capacity_for(model: Network, memory: int) -> int:
        """How many streams with keys of 12 bytes fit into so many bytes."""
        streams = memory // (model.row_width * 4 + COUNTERS_BYTES + KEY_BYTES)
        return max(1, min(streams, model.most_streams))

    @property
    def size(self) -> int:
        """Memory taken by the rows and keys of the streams it holds now."""
        streams = len(self.slots)
        return streams * self._stream_bytes + max(0, self.slots.key_bytes - streams * KEY_LENGTH)

    @property
    def limit(self) -> int:
        """Memory that they may take."""
        return self.slots.capacity * self._stream_bytes

    @property
    def room(self) -> int:
        """How many more streams can be taken in."""
        return self.slots.capacity - -(-self.size // self._stream_bytes)

    def step(self, columns: Columns, ttl: int | None = None, poison: Policy = "skip") -> Outcome:
        """Step every event of the batch. ttl: time to live, milliseconds; None: for ever. poison: what becomes of a
        stream by an event that is refused; with "skip" the columns tell of none that could not be read.

        Raises slots.Full where the batch has more new streams than there is room.
        """
        events, signature = len(columns), self.model.signature
        outcome = Outcome(
            step=np.zeros(events, np.int64),
            predicted=np.empty((events, *signature.output_shape), np.float32),
            surprise=np.empty((events, len(signature.targets)), np.float32),
            stepped=np.zeros(events, np.bool_),
        )
        if not events:
            return outcome
        if signature.clock:
            columns = with_clock(columns)
        slots = np.concatenate([self.find(p, columns.keys[start:stop]) for p, start, stop in columns.runs])
        clock = self._tick(columns)
        new = columns.offset > self.bank.offset[slots]
        cold = None if ttl is None else self._expired(slots, clock, new, ttl)
        for act in schedule(slots, columns.reset, cold, None if new.all() else new):
            if isinstance(act, Rectangle):
                self._run(columns, clock, act, ttl, poison, outcome)
            else:
                self._clear(columns, clock, act, poison)
        outcome.surprise[self._told_nothing(columns, outcome)] = np.nan
        return outcome

    def find(self, partition: int, keys: Sequence[bytes]) -> Ints:
        """The slot of each stream, [keys], its row in place: from the attic, or cold where there is none."""
        slots, new = self._find(partition, keys)
        if len(new):
            self.bank.clear(new)
            self._fetch(partition, new)
        return slots

    def _find(self, partition: int, keys: Sequence[bytes]) -> tuple[Ints, Ints]:
        slots = self.slots.find(partition, keys)
        return slots, self.slots.newcomers()

    def _fetch(self, partition: int, new: Ints) -> None:
        """Rows of streams that got a slot, from the attic, where they are there."""
        if self._attic is not None and self._attic.count(partition):
            found, rows = self._attic.take(partition, self.slots.keys(new))
            if found:
                self.bank.scatter(new[found], rows.state, rows.offset, rows.time, rows.clock, rows.step)
                self._freezing |= bool((rows.step == FROZEN).any())

    def load(self, partition: int, rows: Rows) -> None:
        """Take rows in; where a stream has one already, or several come, the newest stands."""
        slots, new = self._find(partition, rows.keys)
        self.bank.offset[new] = -1  # the rest of these rows is about to be written: clearing it is a fifth of a restore
        self._fetch(partition, new)
        # Ascending offsets: where a stream comes twice, what is written last is what stays.
        order = np.argsort(rows.offset, kind="stable")
        order = order[rows.offset[order] >= self.bank.offset[slots[order]]]
        to = slots[order]
        self.bank.scatter(
            to, rows.state[order], rows.offset[order], rows.time[order], rows.clock[order], rows.step[order]
        )
        self._freezing |= bool((rows.step == FROZEN).any())

    def rows(self, slots: Ints) -> Rows:
        """Copies of rows, with their keys."""
        old = self.bank.copy(slots)
        return Rows(self.slots.keys(slots), old.offset, old.time, old.clock, old.step, old.rows)

    def keep(self) -> None:
        """What was stepped stands."""
        self.bank.keep()
        self._kept_clocks = dict(self.clocks)

    def put_back(self) -> None:
        """What was stepped since the last `keep` did not happen."""
        self.bank.put_back()
        self.clocks = dict(self._kept_clocks)

    def begin(self, partition: int, clock: int) -> None:
        """Set a partition's clock, milliseconds: where a restore goes on from."""
        self.clocks[partition] = self._kept_clocks[partition] = clock

    def kept_clock(self, partition: int) -> int:
        """A partition's clock at the last `keep`, milliseconds."""
        return self._kept_clocks.get(partition, 0)

    def forget(self, partition: int, keys: list[bytes]) -> None:
        """Forget these streams, wherever their rows are. Only while no copy of theirs is kept."""
        here = [key for key in keys if self.slots.has(partition, key)]
        self.slots.forget(self.slots.find(partition, here))
        if self._attic is not None and self._attic.count(partition):
            self._attic.take(partition, keys)

    def drop(self, partition: int) -> None:
        """Forget a partition's streams. Only while no copy of theirs is kept: a copy must not outlive its slot."""
        self.slots.drop(partition)
        if self._attic is not None:
            self._attic.drop(partition)
        self.clocks.pop(partition, None)
        self._kept_clocks.pop(partition, None)

    def _tick(self, columns: Columns) -> Ints:
        """The partitions' clocks at each event, [events]."""
        parts = []
        for partition, start, stop in columns.runs:
            if start < stop:
                part = np.maximum.accumulate(columns.timestamp[start:stop])
                part = np.maximum(part, self.clocks.get(partition, 0))
                self.clocks[partition] = int(part[-1])
                parts.append(part)
        return np.concatenate(parts)

    def _told_nothing(self, columns: Columns, outcome: Outcome) -> Bools:
        """[events, targets]: whether there was no prediction before this event, or no value to hold against it."""
        signature = self.model.signature
        if signature.task == "class":
            return np.ones_like(outcome.surprise, np.bool_)
        targets = [signature.features.index(target) for target in signature.targets]
        silent: Bools = (columns.mask[:, targets] == 0) | (outcome.step == 1)[:, None]
        return silent

    def _expired(self, slots: Ints, clock: Ints, new: Bools, ttl: int) -> Bools | None:
        """[events]: whether a new event comes more than ttl after its stream's last one. None: no event does."""
        known = (self.bank.offset[slots] >= 0) | (self.bank.step[slots] != 0)
        gap = clock - np.where(known, self.bank.clock[slots], clock.min())
        if not (new & (gap > ttl)).any():  # what came before in this batch is no earlier
            return None
        late: Bools = new & known & (gap > ttl)
        events = np.flatnonzero(new)
        order = events[np.argsort(slots[events], kind="stable")]
        again = slots[order][1:] == slots[order][:-1]
        late[order[1:][again]] = (clock[order[1:]] - clock[order[:-1]] > ttl)[again]
        return late

    def _clear(self, columns: Columns, clock: Ints, resets: Clearing, poison: Policy) -> None:
        slots, events = resets.slots, resets.events
        frozen = np.zeros(len(slots), np.bool_)
        if columns.poison is not None:
            poisoned = columns.poison[events]
            changed = ~(poisoned & (self.bank.step[slots] == FROZEN))
            slots, events, frozen = slots[changed], events[changed], poisoned[changed] & (poison == "freeze")
        self.bank.gather(slots)
        self._empty(columns, clock, slots, events, frozen)

    def _empty(self, columns: Columns, clock: Ints, slots: Ints, events: Ints, frozen: Bools) -> None:
        """Rows that were copied become cold, or frozen, as of these events."""
        self.bank.clear(slots)
        step = np.where(frozen, FROZEN, 0)
        self.bank.stamp(slots, columns.offset[events], columns.time[events], clock[events], step)
        self._freezing |= bool(frozen.any())

    def _pass_over(self, events: Ints, slots: Ints, outcome: Outcome) -> None:
        """Events [time, stream] of frozen streams."""
        for column, since in zip(events.T.tolist(), self.bank.offset[slots].tolist(), strict=True):
            why = f"its stream is frozen since offset {since}, which was refused; a record without a value resets it"
            outcome.frozen.update(dict.fromkeys(column, why))

    def _run(
        self, columns: Columns, clock: Ints, rectangle: Rectangle, ttl: int | None, poison: Policy, outcome: Outcome
    ) -> None:
        if self._freezing and (frozen := self.bank.step[rectangle.slots] == FROZEN).any():
            self._pass_over(rectangle.events[:, frozen], rectangle.slots[frozen], outcome)
            rectangle = Rectangle(rectangle.events[:, ~frozen], rectangle.slots[~frozen], rectangle.cold)
            if not len(rectangle.slots):
                return
        events, slots, cold = rectangle.events, rectangle.slots, rectangle.cold
        old, predicted, surprise, finite = self.bank.run(slots, cold, columns.x[events], columns.mask[events])
        step = np.zeros_like(old.step) if cold else old.step
        if finite is not None:
            for i in np.flatnonzero(~finite).tolist():
                # One of this stream's events does not go through the network; one at a time shows which.
                self._run_singly(columns, clock, rectangle, i, old, ttl, poison, outcome)
            events, slots, step = events[:, finite], slots[finite], step[finite]
            predicted, surprise = predicted[:, finite], surprise[:, finite]
        steps = step + np.arange(1, len(events) + 1)[:, None]
        outcome.step[events] = steps
        outcome.predicted[events] = predicted
        outcome.surprise[events] = surprise
        outcome.stepped[events] = True
        last = events[-1]
        self.bank.stamp(slots, columns.offset[last], columns.time[last], clock[last], steps[-1])

    def _run_singly(
        self,
        columns: Columns,
        clock: Ints,
        whole: Rectangle,
        i: int,
        old: Copies,
        ttl: int | None,
        poison: Policy,
        outcome: Outcome,
    ) -> None:
        """Step the i-th stream's events, its row still the old one; those that do not go through are refused."""
        slot, cold = whole.slots[[i]], whole.cold
        step = 0 if cold else int(old.step[i])
        latest = None if cold or old.offset[i] < 0 else int(old.clock[i])
        last = None
        for at, event in enumerate(whole.events[:, i]):
            # The schedule took the events before this one for stepped. Where they are refused, it may come too late.
            if ttl is not None and latest is not None and clock[event] - latest > ttl:
                cold, step = True, 0
            x, mask = columns.x[None, None, event], columns.mask[None, None, event]
            _, predicted, surprise, finite = self.bank.run(slot, cold, x, mask)
            if finite is not None:
                values = ", ".join(f"{value:g}" for value in columns.x[event, : len(self.model.signature.features)])
                outcome.refused[int(event)] = f"the network's result for {values} is not finite"
                if poison != "skip":
                    self._empty(columns, clock, slot, whole.events[at, [i]], np.array([poison == "freeze"]))
                    cold, step, last, latest = True, 0, None, int(clock[event])
                if poison == "freeze":
                    self._pass_over(whole.events[at + 1 :, [i]], slot, outcome)
                    return
                continue
            cold, step, last, latest = False, step + 1, event, int(clock[event])
            outcome.step[event] = step
            outcome.predicted[event], outcome.surprise[event] = predicted[0, 0], surprise[0, 0]
            outcome.stepped[event] = True
        if last is not None:
            one = [last]
            self.bank.stamp(slot, columns.offset[one], columns.time[one], clock[one], np.array([step], np.int64))
