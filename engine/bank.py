"""The rows of all streams, side by side, and the copies that can put them back. Knows slots, never keys.

A row is one stream's whole recurrent state: float32 columns, and beside them the int64 columns of `rows.Rows`. The
integers are here; where the floats are, and so where they are stepped, is what `host` and `device` differ in. The bank
is reserved once, at its ceiling. Whoever is handed a slot clears it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.columns import Bools, Floats, Ints

COUNTERS_BYTES = 4 * 8  # the int64 columns of one row


@dataclass(slots=True)
class Copies:
    """Rows as they were before somebody wrote to them. The columns are those of `rows.Rows`."""

    slots: Ints  # [stream]
    rows: Any  # [stream, width]; Floats, or a tensor where the bank has its own
    offset: Ints
    time: Ints
    clock: Ints
    step: Ints


class Bank(ABC):
    """[capacity, width] float32 and four int64 columns, as `rows.Rows` tells them."""

    def __init__(self, capacity: int) -> None:
        self.offset: Ints = np.zeros(capacity, np.int64)
        self.time: Ints = np.zeros(capacity, np.int64)
        self.clock: Ints = np.zeros(capacity, np.int64)
        self.step: Ints = np.zeros(capacity, np.int64)
        self._undo: list[Copies] = []

    @abstractmethod
    def run(self, slots: Ints, cold: bool, x: Floats, mask: Floats) -> tuple[Copies, Floats, Floats, Bools | None]:
        """Step the floats of these rows, slots [batch] all different, by x and mask [time, batch, columns].

        Gives copies of the rows as they were, what is predicted [time, batch, *output_shape], surprise [time, batch,
        targets] and [batch] whether all that came out for a stream is finite; None: it is for all. Where it is not, the
        stream's row stays as it was. The integers are left to `stamp`. cold: the rows are taken for zeros.
        """

    @abstractmethod
    def _kept(self, slots: Ints) -> Any:
        """The floats of these rows, for `_write`."""

    @abstractmethod
    def _read(self, slots: Ints) -> Floats:
        """The floats of these rows, [stream, width]."""

    @abstractmethod
    def _write(self, slots: Ints, rows: Any) -> None:
        """Floats, or what `_kept` gave; where a slot comes twice, the last stands."""

    @abstractmethod
    def _clear(self, slots: Ints) -> None:
        """Zeros."""

    def gather(self, slots: Ints) -> Copies:
        """Copies of these rows, kept until `keep` or `put_back`: whoever gathers is about to write."""
        return self._remember(slots, self._kept(slots))

    def _remember(self, slots: Ints, rows: Any) -> Copies:
        copies = self._copies(slots, rows)
        self._undo.append(copies)
        return copies

    def copy(self, slots: Ints) -> Copies:
        """Copies of these rows, for somebody else; their floats are Floats."""
        return self._copies(slots, self._read(slots))

    def _copies(self, slots: Ints, rows: Any) -> Copies:
        columns = (column.take(slots) for column in (self.offset, self.time, self.clock, self.step))
        return Copies(slots, rows, *columns)

    def scatter(self, slots: Ints, rows: Any, offset: Ints, time: Ints, clock: Ints, step: Ints) -> None:
        """Write these rows; where a slot comes twice, the last stands."""
        self._write(slots, rows)
        self.stamp(slots, offset, time, clock, step)

    def stamp(self, slots: Ints, offset: Ints, time: Ints, clock: Ints, step: Ints) -> None:
        """Write the integers of these rows."""
        self.offset[slots], self.time[slots], self.clock[slots], self.step[slots] = offset, time, clock, step

    def clear(self, slots: Ints) -> None:
        """To the cold state, beyond recall: for slots that change hands."""
        self._clear(slots)
        self.offset[slots] = -1
        self.time[slots] = self.clock[slots] = self.step[slots] = 0

    def touched(self) -> Ints:
        """Slots that were written to since the last `keep`, each once, ascending."""
        return np.unique(np.concatenate([old.slots for old in self._undo])) if self._undo else np.empty(0, np.int64)

    def writes(self) -> list[Ints]:
        """The slots of each write since the last `keep`."""
        return [old.slots for old in self._undo]

    def keep(self) -> None:
        """What was written stands; the copies are let go."""
        self._undo.clear()

    def put_back(self) -> None:
        """Every row as it was at the last `keep`."""
        while self._undo:
            old = self._undo.pop()
            self.scatter(old.slots, old.rows, old.offset, old.time, old.clock, old.step)
