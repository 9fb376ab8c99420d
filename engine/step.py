"""A batch in; predictions and refusals out; the bank updated. The one place where streams are stepped.

Invariants: a stream's events are stepped in their order, each once; a row changes only by a step whose new row and
outputs are all finite, or by a reset; a refused event leaves its stream's row as it was.
"""

import numpy as np

from engine.bank import COUNTERS_BYTES, Bank
from engine.columns import Bools, Columns, Floats, Ints, Outcome
from engine.model import Model
from engine.schedule import Rectangle, schedule
from engine.slots import Slots

# Of a key's dict entry, its bytes object and the slot number: measured at 2 million keys of 12 bytes.
KEY_BYTES = 180


class Engine:
    """Steps the streams of one bank with one model."""

    def __init__(self, model: Model, capacity: int) -> None:
        """capacity: the most streams it can hold."""
        self.model = model
        self.bank = Bank(capacity, model.row_width)
        self.slots = Slots(capacity)

    @staticmethod
    def capacity_for(model: Model, memory: int) -> int:
        """How many streams fit into so many bytes."""
        return max(1, memory // (model.row_width * 4 + COUNTERS_BYTES + KEY_BYTES))

    @property
    def bytes(self) -> int:
        """Memory taken by the rows and keys of the streams it holds now."""
        return len(self.slots) * (self.model.row_width * 4 + COUNTERS_BYTES + KEY_BYTES)

    def step(self, columns: Columns) -> Outcome:
        """Step every event of the batch. Raises slots.Full where the batch has more new streams than there is room."""
        events, signature = len(columns), self.model.signature
        outcome = Outcome(
            step=np.zeros(events, np.int64),
            quantiles=np.empty((events, len(signature.targets), len(signature.levels)), np.float32),
            surprise=np.empty((events, len(signature.targets)), np.float32),
            stepped=np.zeros(events, np.bool_),
        )
        if not events:
            return outcome
        slots = np.concatenate([self.slots.find(p, columns.keys[start:stop]) for p, start, stop in columns.runs])
        plan = schedule(slots, columns.reset)
        for rectangle in plan.rectangles:
            self._run(columns, rectangle, outcome)
        if len(plan.cleared):
            self.bank.gather(plan.cleared)
            self.bank.clear(plan.cleared)
            self.bank.offset[plan.cleared] = columns.offset[plan.cleared_by]
            self.bank.time[plan.cleared] = columns.time[plan.cleared_by]
        missing = columns.mask[:, self._targets()] == 0
        outcome.surprise[missing | (outcome.step == 1)[:, None]] = np.nan
        return outcome

    def drop(self, partition: int) -> None:
        """Forget a partition's streams. Only after `bank.keep` or `bank.put_back`: a copy must not outlive its slot."""
        self.bank.clear(self.slots.drop(partition))

    def _targets(self) -> list[int]:
        signature = self.model.signature
        return [signature.features.index(target) for target in signature.targets]

    def _run(self, columns: Columns, rectangle: Rectangle, outcome: Outcome) -> None:
        events, slots = rectangle.events, rectangle.slots
        old = self.bank.gather(slots)
        rows, step = old.rows, old.step
        if rectangle.cold:
            self.bank.clear(slots)
            rows, step = np.zeros_like(rows), np.zeros_like(step)
        x, mask = columns.x[events], columns.mask[events]
        next_rows, quantiles, surprise = self.model.step(rows, x, mask)
        finite = _finite(next_rows, quantiles, surprise)
        if not finite.all():
            for column in np.flatnonzero(~finite):
                # One of this stream's events does not go through the network; one at a time shows which.
                self._run_singly(columns, events[:, column], slots[column], rows[column], int(step[column]), outcome)
            events, slots, step = events[:, finite], slots[finite], step[finite]
            next_rows, quantiles, surprise = next_rows[finite], quantiles[:, finite], surprise[:, finite]
        steps = step + np.arange(1, len(events) + 1)[:, None]
        outcome.step[events] = steps
        outcome.quantiles[events] = quantiles
        outcome.surprise[events] = surprise
        outcome.stepped[events] = True
        self.bank.scatter(slots, next_rows, columns.offset[events[-1]], columns.time[events[-1]], steps[-1])

    def _run_singly(
        self, columns: Columns, events: Ints, slot: np.int64, row: Floats, step: int, outcome: Outcome
    ) -> None:
        """Step one stream's events [time] by themselves; those that do not go through are refused."""
        rows = row[None]
        last = None
        for event in events:
            next_rows, quantiles, surprise = self.model.step(
                rows, columns.x[None, None, event], columns.mask[None, None, event]
            )
            if not _finite(next_rows, quantiles, surprise).all():
                values = ", ".join(f"{value:g}" for value in columns.x[event])
                outcome.refused[int(event)] = f"the network's result for {values} is not finite"
                continue
            rows, step, last = next_rows, step + 1, event
            outcome.step[event] = step
            outcome.quantiles[event], outcome.surprise[event] = quantiles[0, 0], surprise[0, 0]
            outcome.stepped[event] = True
        if last is not None:
            where = np.array([slot])
            self.bank.scatter(where, rows, columns.offset[[last]], columns.time[[last]], np.array([step]))


def _finite(rows: Floats, quantiles: Floats, surprise: Floats) -> Bools:
    """[batch]: whether everything that came out for a stream is finite."""
    # A sum is finite only where every term is. It may overflow by itself, so what it suspects is looked at closely.
    suspect = ~np.isfinite(rows.sum(axis=1) + quantiles.sum(axis=(0, 2, 3)) + surprise.sum(axis=(0, 2)))
    finite: Bools = np.ones(len(rows), np.bool_)
    for column in np.flatnonzero(suspect):
        finite[column] = all(np.isfinite(a).all() for a in (rows[column], quantiles[:, column], surprise[:, column]))
    return finite
