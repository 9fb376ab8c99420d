"""What is offered: batches of events as columns. No Kafka, no clock."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.columns import Bools, Ints

Doubles = NDArray[np.float64]


@dataclass(slots=True)
class Batch:
    """Events in the order in which they are offered, as columns of equal length."""

    partitions: list[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]  # None resets the stream
    # Of the whole load, which may be shared by several processes. None: these are the next events, and all of them.
    index: Ints | None = None  # the number of each event, ascending
    stop: int | None = None  # one past the last number that this batch stands for
    silent: Bools | None = None  # which of them must have no output; None: none

    def __len__(self) -> int:
        return len(self.keys)

    def cut(self, start: int, stop: int) -> "Batch":
        """Events start..stop of it."""
        if start == 0 and stop >= len(self):
            return self
        part = slice(start, stop)
        index = None if self.index is None else self.index[part]
        silent = None if self.silent is None else self.silent[part]
        return Batch(self.partitions[part], self.keys[part], self.values[part], index, self.stop, silent)
