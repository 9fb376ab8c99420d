"""What becomes of an exported state's offsets where it is imported. Pure.

1. Where the input's offsets are the source's (the same topic, or --same-offsets), nothing is rewritten.
2. Elsewhere the operator says at which position each partition goes on, and its rows must be clean: they lack nothing
   that was committed. Then the marker's replay offset, its position and the committed offset are that position, so
   that no event below it is ever stepped again; and each row's offset is moved by as much, to below the position, so
   that each event from there on is stepped. -1 is an offset before the topic's beginning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from engine.rows import Rows
from stream.errors import UsageError
from stream.ops.portable import Part
from stream.state.changelog import Marker


@dataclass(frozen=True)
class Placing:
    """What becomes of the offsets of a partition."""

    part: Part
    position: int  # the offset that is committed

    @property
    def shift(self) -> int:
        return self.position - self.part.committed

    def rows(self, rows: Rows) -> Rows:
        """As they are to be written: an offset that would lie before the beginning is the first that may stand."""
        if not self.shift:
            return rows
        return replace(rows, offset=np.maximum(rows.offset + self.shift, min(0, self.position - 1)))

    def marker(self, lineage: str, writer: str, topic_id: str | None) -> Marker:
        """As it is to be written. A copy has a lineage of its own: snapshots of what stood here before are not its."""
        there = self.part.marker
        known = msgspec.structs.replace(there, lineage=lineage, writer=writer, input_topic_id=topic_id)
        if not self.shift:
            return known
        origin = max(0, there.origin + self.shift)
        return msgspec.structs.replace(known, replay=self.position, position=self.position, origin=origin)


def place(
    parts: list[Part], positions: Mapping[int, int], *, same: bool, marks: Mapping[int, tuple[int, int]], topic: str
) -> list[Placing]:
    """Where each partition goes on: at its position, or, where the input's offsets are the source's (same), at the one
    that was committed there. marks: what the input holds. Raises UsageError."""
    if strange := set(positions) - {part.partition for part in parts}:
        raise UsageError(f"--position: the file has no state of partition {min(strange)}; leave it out")
    missing = [part.partition for part in parts if part.partition not in positions]
    if not same and missing:
        raise UsageError(
            f"--position: {topic} is another topic than the one that was exported from, so say where partition "
            f"{missing[0]} goes on: --position {missing[0]}=OFFSET, its first event to be predicted, and so for each "
            "partition; or --same-offsets, where its offsets are those of the other topic"
        )
    found = []
    for part in parts:
        position = positions.get(part.partition, part.committed)
        begin, end = marks[part.partition]
        if not begin <= position <= end:
            raise UsageError(
                f"{topic} [{part.partition}]: has offsets from {begin} to {end}, and the state is to go on at "
                f"{position}; give another --position, or the topic that it belongs to"
            )
        if part.partition in positions and not part.clean:
            raise UsageError(
                f"--position {part.partition}={position}: its rows lack events that lie at offsets "
                f"{part.marker.replay} to {part.committed} of the topic that was exported from, and would never get "
                "them; start the service there, stop it cleanly, and export again"
            )
        found.append(Placing(part, position))
    return found


def positions_of(told: Sequence[str]) -> dict[int, int]:
    """Of PARTITION=OFFSET. Raises UsageError."""
    found: dict[int, int] = {}
    for text in told:
        partition, _, offset = text.partition("=")
        if not (partition.isdecimal() and offset.isdecimal() and len(offset) < 19 and len(partition) < 10):
            raise UsageError(f"--position {text}: must be PARTITION=OFFSET, e.g. 0=1200")
        if int(partition) in found:
            raise UsageError(f"--position {text}: partition {int(partition)} is told twice; tell it once")
        found[int(partition)] = int(offset)
    return found
