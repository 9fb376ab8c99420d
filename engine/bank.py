"""The rows of all streams, side by side, and the copies that can put them back. Knows slots, never keys.

A row is one stream's whole recurrent state: float32 columns, and beside them the int64 columns of COLUMNS. The bank is
reserved once, at its ceiling: zeroed pages cost nothing until they are touched. Whoever is handed a slot clears it.
"""

from dataclasses import dataclass

import numpy as np

from engine.columns import Floats, Ints

COUNTERS_BYTES = 4 * 8  # the int64 columns of one row


@dataclass(slots=True)
class Copies:
    """Rows as they were before somebody wrote to them. The columns are those of `rows.Rows`."""

    slots: Ints  # [stream]
    rows: Floats  # [stream, width]
    offset: Ints
    time: Ints
    clock: Ints
    step: Ints


class Bank:
    """[capacity, width] float32 and four int64 columns, as `rows.Rows` tells them."""

    def __init__(self, capacity: int, width: int) -> None:
        self.rows: Floats = np.zeros((capacity, width), np.float32)
        self.offset: Ints = np.zeros(capacity, np.int64)
        self.time: Ints = np.zeros(capacity, np.int64)
        self.clock: Ints = np.zeros(capacity, np.int64)
        self.step: Ints = np.zeros(capacity, np.int64)
        self._undo: list[Copies] = []

    def gather(self, slots: Ints) -> Copies:
        """Copies of these rows, kept until `keep` or `put_back`: whoever gathers is about to write."""
        copies = self.copy(slots)
        self._undo.append(copies)
        return copies

    def copy(self, slots: Ints) -> Copies:
        """Copies of these rows, for somebody else."""
        return Copies(
            slots, self.rows[slots], self.offset[slots], self.time[slots], self.clock[slots], self.step[slots]
        )

    def scatter(self, slots: Ints, rows: Floats, offset: Ints, time: Ints, clock: Ints, step: Ints) -> None:
        """Write these rows; slots are all different."""
        self.rows[slots] = rows
        self.offset[slots], self.time[slots], self.clock[slots], self.step[slots] = offset, time, clock, step

    def clear(self, slots: Ints) -> None:
        """To the cold state, beyond recall: for slots that change hands."""
        self.rows[slots] = 0
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
