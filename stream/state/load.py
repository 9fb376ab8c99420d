"""One partition on its way from its snapshot and its changelog into the engine. Knows no broker.

Invariants
1. What is read is loaded in its order; where there is no room for it, it is kept, and nothing overtakes it.
2. Rows of a snapshot may be newer than the changelog's. They count as rows that it lacks until they are written:
   another process has nothing but the changelog.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.columns import Ints
from engine.rows import Rows
from engine.step import Engine
from stream import metrics
from stream.state import changelog
from stream.state.changelog import Entries, Marker
from stream.state.places import Place
from stream.state.snapshot import Snapshot

# Makes room for so many more streams, not at the cost of those in these slots; False: there is none now.
Room = Callable[[int, Ints], bool]


@dataclass(slots=True, eq=False)
class Load:
    """One partition, as far as it is."""

    engine: Engine
    number: int
    began: float  # when it was assigned, seconds
    told_at: float  # when its progress was last told, seconds
    place: Place | None = None
    read_then: tuple[Marker | None, int] = (None, -1)  # the marker and the newest offset when the place was asked for
    unknown_since: float | None = None  # an answer came, and did not tell the place
    marker: Marker | None = None  # the last one read
    newest: int = -1  # the largest offset of any row
    rows: int = 0
    snapshot: Snapshot | None = None  # being read, or read already
    chunks: Iterator[Rows] | None = None  # of it, yet to be read
    reading: bool = False  # the changelog
    at: int = 0  # how far
    held_since: float | None = None  # it reads, has not come to the end, and nothing comes
    _ahead: set[bytes] = field(default_factory=set)  # streams whose rows may be newer in the snapshot
    _kept: list[Entries] = field(default_factory=list)  # read, and waiting for room, oldest first

    def open(self, snapshot: Snapshot, slice: int) -> None:
        """Begin with this snapshot, so many rows at a time."""
        self.snapshot = snapshot
        self.chunks = (part for rows in snapshot.chunks() for part in rows.pieces(slice))
        self.marker = _marker(snapshot)

    def take(self, entries: Entries, room: Room) -> None:
        """What was read of the changelog."""
        self.marker = entries.marker or self.marker
        self._kept.append(entries)
        self.settle(room)

    def take_snapshot(self, rows: Rows, room: Room) -> None:
        """What was read of the snapshot."""
        if self.marker is not None:
            self._ahead.update(rows.keys[i] for i in np.flatnonzero(rows.offset >= self.marker.replay).tolist())
        self._kept.append(Entries(rows, [], None))
        self.settle(room)

    def settle(self, room: Room) -> bool:
        """Load what was kept; False: there is no room for some of it."""
        while self._kept:
            entries = self._kept[0]
            if entries.gone:
                self.engine.forget(self.number, entries.gone)
                self._ahead.difference_update(entries.gone)
            if not self._has_room(entries.rows.keys, room):
                return False
            if len(entries.rows):
                self.engine.load(self.number, entries.rows)
                self.newest = max(self.newest, int(entries.rows.offset.max()))
                self.rows += len(entries.rows)
                metrics.RESTORED_ROWS.inc(len(entries.rows))
            self._kept.pop(0)
        return True

    def _has_room(self, keys: Sequence[bytes], room: Room) -> bool:
        """Whether the new ones of these streams find room, and the known ones keep theirs."""
        slots = self.engine.slots
        if self.engine.room >= len(keys):
            return True
        known = {key for key in keys if slots.has(self.number, key)}
        return room(len(set(keys)) - len(known), slots.find(self.number, [*known]))

    @property
    def settled(self) -> bool:
        """Whether nothing is kept."""
        return not self._kept

    def lacking(self, marker: Marker, room: Room) -> Ints | None:
        """When all is loaded: the slots of rows that the changelog may lack. None where there is no room for them."""
        keys = [*self._ahead]
        if not self._has_room(keys, room):
            return None
        slots = self.engine.find(self.number, keys)
        return slots[self.engine.bank.offset[slots] >= marker.replay]

    def overtaken(self, place: Place) -> bool:
        """Whether somebody committed after the place was asked for: this process may have lost the partition and not
        know yet. A place that was asked for later must agree."""
        if (self.marker, self.newest) == self.read_then:
            return False
        told = max(self.newest + 1, self.marker.position if self.marker else 0)
        return place.committed is None or place.committed < told

    def contradiction(self, place: Place) -> str:
        """Why what the snapshot said does not go with what the brokers say; empty: it does."""
        if self.snapshot is None:
            return ""
        if place.committed is not None and self.newest >= place.committed:
            return f"it has a row of offset {self.newest}, and the group is at {place.committed}"
        taken = _marker(self.snapshot)
        if taken is None or self.marker is None or taken.lineage != self.marker.lineage:
            return "it belongs to another state of this application"
        return ""


def _marker(snapshot: Snapshot) -> Marker | None:
    """The marker that stood when a snapshot was taken; None where it says nothing that this version knows."""
    try:
        return changelog.read([changelog.MARKER], [snapshot.head.marker], 0).marker
    except changelog.Foreign:
        return None
