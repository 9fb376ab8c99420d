"""Rows in this process's memory, stepped by a network that takes and gives whole rows.

Zeroed pages cost nothing until they are touched, so the ceiling is reserved at once.
"""

from collections.abc import Callable

import numpy as np

from engine.bank import Bank, Copies
from engine.columns import Bools, Floats, Ints

Step = Callable[[Floats, Floats, Floats], tuple[Floats, Floats, Floats]]  # as `model.Model.step`


class HostBank(Bank):
    """The floats are one numpy array."""

    def __init__(self, capacity: int, width: int, step: Step) -> None:
        super().__init__(capacity)
        self.rows: Floats = np.zeros((capacity, width), np.float32)
        self._step = step

    def run(self, slots: Ints, cold: bool, x: Floats, mask: Floats) -> tuple[Copies, Floats, Floats, Bools | None]:
        old = self.gather(slots)
        next_rows, predicted, surprise = self._step(np.zeros_like(old.rows) if cold else old.rows, x, mask)
        finite = _finite(next_rows, predicted, surprise)
        if finite is None:
            self.rows[slots] = next_rows
        else:
            self.rows[slots[finite]] = next_rows[finite]
        return old, predicted, surprise, finite

    def _kept(self, slots: Ints) -> Floats:
        return self.rows.take(slots, axis=0)  # half the time of rows[slots]

    _read = _kept

    def _write(self, slots: Ints, rows: Floats) -> None:
        self.rows[slots] = rows

    def _clear(self, slots: Ints) -> None:
        self.rows[slots] = 0


def _finite(rows: Floats, predicted: Floats, surprise: Floats) -> Bools | None:
    """[batch]: whether everything that came out for a stream is finite. None: it is for all."""
    # A sum is finite only where every term is. It may overflow by itself, so what it suspects is looked at closely.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(rows.sum() + predicted.sum() + surprise.sum()):
            return None
        suspect = ~np.isfinite(rows.sum(axis=1) + predicted.sum(axis=(0, 2, 3)) + surprise.sum(axis=(0, 2)))
    finite: Bools = np.ones(len(rows), np.bool_)
    for column in np.flatnonzero(suspect):
        finite[column] = all(np.isfinite(a).all() for a in (rows[column], predicted[:, column], surprise[:, column]))
    return None if finite.all() else finite
