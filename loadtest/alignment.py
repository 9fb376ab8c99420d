"""Which expected event each output belongs to, by offset, within one partition. Knows nothing of what they hold.

Outputs should be exactly the expected events in offset order. Counted are:

- missing: expected, never seen;
- duplicated: seen again;
- reordered: seen for the first time, but after one with a higher offset;
- different: seen, and the payload differs (a later copy that differs counts as duplicated and as different);
- unexpected: there is no such event, or it should have no output.

Expected events are kept for a while after they have passed, so that a late copy can still be compared. Beyond
`window` events a late copy is counted as duplicated and, since nothing vouches for it, as different.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np

from engine.columns import Bools, Ints

WINDOW = 500_000


class Offsets(Protocol):
    """Anything with an offset for each of its entries."""

    @property
    def offset(self) -> Ints:
        """[entries]"""


Expected = TypeVar("Expected", bound=Offsets)
Seen = TypeVar("Seen", bound=Offsets)
Differs = Callable[[Expected, Ints, Seen, Ints], Bools]
Tell = Callable[[str, Expected | None, int, Seen | None, int], None]


class Alignment(Generic[Expected, Seen]):
    """The books of one partition."""

    def __init__(self, differs: Differs[Expected, Seen], tell: Tell[Expected, Seen], *, window: int = WINDOW) -> None:
        """differs: for pairs (entry of the expected, entry of the seen), whether they differ. tell: hears of each
        finding, as (kind, expected, its entry, seen, its entry)."""
        self.missing = self.duplicated = self.reordered = self.different = self.unexpected = 0
        self._differs, self._tell = differs, tell
        self._window: deque[tuple[Expected, Bools]] = deque()  # with: seen already
        self._size, self._limit = 0, window
        self._forgotten = -1  # offsets up to here have left the window
        self._highest = -1  # offset of an expected event that was seen

    def expect(self, expected: Expected) -> None:
        """More expected events; offsets ascend, here and from call to call."""
        if len(expected.offset):
            self._window.append((expected, np.zeros(len(expected.offset), np.bool_)))
            self._size += len(expected.offset)

    def see(self, seen: Seen, entries: Ints) -> None:
        """Outputs, in their order; none is above the last offset that was expected, unless nothing more will be."""
        offset = seen.offset[entries]
        found = np.zeros(len(entries), np.bool_)
        first = np.zeros(len(entries), np.bool_)
        for expected, already in self._window:
            inside = np.flatnonzero((offset >= expected.offset[0]) & (offset <= expected.offset[-1]))
            if not len(inside):
                continue
            where = np.searchsorted(expected.offset, offset[inside])
            there = expected.offset[where] == offset[inside]
            inside, where = inside[there], where[there]
            found[inside] = True
            fresh = np.zeros(len(inside), np.bool_)
            fresh[np.unique(where, return_index=True)[1]] = True
            fresh &= ~already[where]
            first[inside[fresh]] = True
            already[where] = True
            self._count("duplicated", expected, where[~fresh], seen, entries[inside[~fresh]])
            bad = self._differs(expected, where, seen, entries[inside])
            self._count("different", expected, where[bad], seen, entries[inside[bad]])
        stale = ~found & (offset <= self._forgotten)
        self._count("duplicated", None, (), seen, entries[stale])
        self._count("different", None, (), seen, entries[stale])
        self._count("unexpected", None, (), seen, entries[~found & ~stale])
        self._order(seen, entries[first], offset[first])

    def settle(self) -> None:
        """Every output was seen that comes before the first one above the last expected offset."""
        self._forget(self._limit)

    def finish(self) -> None:
        """Nothing more will come."""
        self._forget(0)

    def _order(self, seen: Seen, entries: Ints, offset: Ints) -> None:
        if not len(offset):
            return
        highest = np.maximum.accumulate(np.append(self._highest, offset))
        self._count("reordered", None, (), seen, entries[offset < highest[:-1]])
        self._highest = int(highest[-1])

    def _forget(self, limit: int) -> None:
        while self._window and self._size - len(self._window[0][1]) >= limit:
            expected, already = self._window.popleft()
            self._size -= len(already)
            self._forgotten = int(expected.offset[-1])
            unseen = np.flatnonzero(~already)
            self.missing += len(unseen)
            for entry in unseen[:10]:
                self._tell("missing", expected, int(entry), None, 0)

    def _count(
        self, kind: str, expected: Expected | None, where: Ints | Sequence[int], seen: Seen, entries: Ints
    ) -> None:
        setattr(self, kind, getattr(self, kind) + len(entries))
        for i, entry in enumerate(entries[:10]):
            self._tell(kind, expected, int(where[i]) if expected is not None else 0, seen, int(entry))
