"""Cells of equal width over absolute time, in bounded memory: where there are too many, each two become one.

A cell's number is its time divided by the width, so that two series of two processes line up without a word.
"""

from collections.abc import Callable
from typing import Generic, Protocol, Self, TypeVar

MOST = 1200  # cells: 20 minutes of seconds, after that of two seconds, and so on


class Cell(Protocol):
    """What was seen in one stretch of time."""

    def merge(self, later: Self) -> None:
        """Take up the cell that follows."""


C = TypeVar("C", bound=Cell)


class Series(Generic[C]):
    """Cells by number, in the order of time; those in which nothing happened are not there."""

    def __init__(self, width: int, make: Callable[[], C], *, most: int = MOST) -> None:
        """width: milliseconds. most: cells that are kept."""
        self.width = width
        self.cells: dict[int, C] = {}
        self._make, self._most = make, most

    def at(self, moment: int) -> C:
        """The cell of a moment, milliseconds since the epoch; moments do not go back by more than a cell."""
        number = moment // self.width
        if number not in self.cells:
            while len(self.cells) >= self._most:
                self.coarsen()
            number = moment // self.width
            if number not in self.cells:
                self.cells[number] = self._make()
        return self.cells[number]

    def coarsen(self, width: int | None = None) -> None:
        """Double the width, or repeat that until it is `width`."""
        while width is None or self.width < width:
            self.width *= 2
            merged: dict[int, C] = {}
            for number, cell in self.cells.items():
                if number // 2 in merged:
                    merged[number // 2].merge(cell)
                else:
                    merged[number // 2] = cell
            self.cells = merged
            if width is None:
                return
