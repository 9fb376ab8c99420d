"""Some streams' rows outside the bank: on their way to the changelog, a snapshot or the disk, or back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from engine.columns import Floats, Ints

FROZEN = -1  # the step of a stream that takes no events until it is reset

# What becomes of a stream by an event that cannot be read or stepped: nothing, frozen, or cold.
Policy = Literal["skip", "freeze", "reset"]


@dataclass(slots=True)
class Rows:
    """Columns of equal length, one entry per stream. Where the step is 0 the stream is cold, where it is
    FROZEN it is frozen; its floats are then 0."""

    keys: list[bytes]
    offset: Ints  # [streams] of the stream's last event, or of the reset that emptied it; -1: it had none here
    time: Ints  # [streams] of that event, milliseconds since the epoch
    clock: Ints  # [streams] the partition's clock at that event: the largest record timestamp so far, milliseconds
    step: Ints  # [streams] events since the cold start
    state: Floats  # [streams, width]

    def __len__(self) -> int:
        return len(self.keys)

    def pieces(self, size: int) -> Iterator["Rows"]:
        """The same rows, at most so many at a time."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield Rows(
                self.keys[part],
                self.offset[part],
                self.time[part],
                self.clock[part],
                self.step[part],
                self.state[part],
            )
