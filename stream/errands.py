"""What the loop looks up for others: generators that work a slice at a time, in the loop's thread, and change no row.

Only partitions that are live are looked into: elsewhere rows are still on their way. A stream that was reset and has
had no event since is as good as unknown. A row is told as it stands: its last event may be a commit ahead of what
readers of the output see, and will be committed with the same bits.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.columns import Bools, Floats
from engine.rows import Rows
from engine.step import Engine
from stream.desk import Errand, Unanswered
from stream.group import Group
from stream.inquiries import Browse, Stream
from stream.partitions import Phase
from stream.recent import FOLLOWED, Noted, Recent, Trail

SLICE = 2048  # slots looked at in one slice: about a millisecond
FEW = 50  # streams whose surprise is looked up in one

Ranked = tuple[tuple[Any, ...], int, Stream | None]  # its rank, its slot, what was copied of it


class Attic(Protocol):
    """Rows of idle streams, on the disk."""

    def look(self, partition: int, key: bytes) -> Rows | None:
        """A copy of the row that this key has there."""


@dataclass(frozen=True, slots=True)
class Here:
    """One stream that is here."""

    stream: Stream
    row: Floats  # [width]
    clock: int  # of its partition, milliseconds


@dataclass(frozen=True, slots=True)
class Trailed:
    """A followed stream."""

    trail: Trail
    events: list[tuple[Noted, Floats | None]]  # each with what was predicted before it, where that is known
    partition: int
    start: Here | None  # of a trail that begins now: the stream as it is


class Errands:
    """What may be looked up in one worker's rooms."""

    def __init__(
        self,
        engine: Engine,
        group: Group,
        recent: Recent,
        attic: Attic | None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._engine, self._group, self._recent, self._attic = engine, group, recent, attic
        self._wall = wall

    def live(self) -> list[int]:
        """The partitions that can be looked into. On any thread."""
        return sorted(p.number for p in self._group.in_phase(Phase.LIVE))

    def find(self, key: bytes) -> Errand[list[Here]]:
        """The streams of this key, one per partition that has it."""
        found = []
        for number in self.live():
            if (here := self._here(number, key)) is not None:
                found.append(here)
            if self._attic is not None:
                yield
        return found

    def _here(self, number: int, key: bytes) -> Here | None:
        slots = self._engine.slots
        if slots.has(number, key):
            rows: Rows | None = self._engine.rows(slots.find(number, [key]))
        else:
            rows = self._attic.look(number, key) if self._attic is not None else None
        if rows is None or rows.step[0] == 0:
            return None
        offset, step = int(rows.offset[0]), int(rows.step[0])
        surprise = self._recent.surprise(number, key, offset)
        stream = Stream(key, number, step, offset, int(rows.time[0]), surprise)
        return Here(stream, rows.state[0], self._engine.clocks.get(number, 0))

    def follow(self, key: bytes, home: int, after: int) -> Errand[Trailed | None]:
        """A stream's events after this offset: the one that murmur2 places there or, where there is none, the first.
        None: this key has no stream here. Raises Unanswered where too many are followed."""
        if not self._recent.follow(key, self._wall()):
            raise Unanswered(f"{FOLLOWED} streams are followed already; ask again later")
        live = self.live()
        for number in sorted(live, key=lambda n: (n != home, n)):
            trail = self._recent.trail(number, key)
            if trail is not None:
                return Trailed(trail, trail.after(after), number, None)
            if (here := self._here(number, key)) is not None:
                return Trailed(self._recent.begin(number, key), [], number, here)
            if self._attic is not None:
                yield
        return None

    def browse(self, asked: Browse) -> Errand[tuple[list[Stream], bool]]:
        """Streams in that order, and whether there are more. In order of surprise only those of the last minutes that
        stood out are known. Else every slot is looked at, slice by slice, while streams come and go: one that comes
        meanwhile, or moves to another slot, may be missing, and one that goes may be there. Streams whose rows are on
        the disk are left out."""
        if asked.order == "surprise":
            found = self._surprising(asked)
            return found[: asked.limit], len(found) > asked.limit
        by_time, most = asked.order == "recent", asked.limit + 1
        best: list[Ranked] = []
        start = 0
        while start < self._engine.slots.fresh:
            full = best[-1][0] if len(best) == most else None
            if by_time:
                some = self._by_time(start, asked.prefix, None if full is None else -full[0])
            else:
                some = self._by_key(start, asked.prefix, None if full is None else full[0])
            best = self._copied(sorted([*best, *some], key=itemgetter(0))[:most])
            start += SLICE
            yield
        streams = list({(s.partition, s.key): s for _, _, s in best if s is not None}.values())
        told: list[Stream] = []
        for start in range(0, min(len(streams), asked.limit), FEW):
            told += map(self._with_surprise, streams[start : min(start + FEW, asked.limit)])
            yield
        return told, len(streams) > asked.limit

    def _by_key(self, start: int, prefix: bytes, last: bytes | None) -> Iterable[Ranked]:
        keys, partitions = self._engine.slots.part(start, start + SLICE)
        if last is None:
            places = [i for i, key in enumerate(keys) if key.startswith(prefix)]
        else:  # what lies between the prefix and a key that begins so begins so, too
            places = [i for i, key in enumerate(keys) if prefix <= key <= last]
        index = np.array(places, np.int64)
        there = index[self._serves(start, partitions)[index]]
        return [((keys[i], int(partitions[i])), start + i, None) for i in there.tolist()]

    def _by_time(self, start: int, prefix: bytes, oldest: int | None) -> Iterable[Ranked]:
        keys, partitions = self._engine.slots.part(start, start + SLICE)
        times = self._engine.bank.time[start : start + len(keys)]
        there = self._serves(start, partitions)
        if oldest is not None:
            there &= times >= oldest
        index = [i for i in np.flatnonzero(there).tolist() if keys[i].startswith(prefix)]
        return [((-int(times[i]), keys[i], int(partitions[i])), start + i, None) for i in index]

    def _serves(self, start: int, partitions: NDArray[np.int32]) -> Bools:
        """[slots], in these partitions: whether each is of a stream of a live one that had an event, or is frozen."""
        live = self.live()
        table = np.zeros(max(live, default=0) + 2, np.bool_)
        table[live] = True
        # A partition beyond the table is not live, nor is NOBODY.
        place = np.where((partitions < 0) | (partitions >= len(table)), len(table) - 1, partitions)
        return np.asarray(table[place] & (self._engine.bank.step[start : start + len(partitions)] != 0))

    def _copied(self, best: Sequence[Ranked]) -> list[Ranked]:
        """The same, with copies of what their slots say now."""
        slots, bank = self._engine.slots, self._engine.bank
        copied: list[Ranked] = []
        for rank, slot, stream in best:
            if stream is None:
                (key,), (partition,) = slots.part(slot, slot + 1)
                stream = Stream(key, int(partition), int(bank.step[slot]), int(bank.offset[slot]), int(bank.time[slot]))
            copied.append((rank, slot, stream))
        return copied

    def _with_surprise(self, stream: Stream) -> Stream:
        surprise = self._recent.surprise(stream.partition, stream.key, stream.offset)
        return replace(stream, surprise=surprise)

    def _surprising(self, asked: Browse) -> list[Stream]:
        live, slots, bank, found = set(self.live()), self._engine.slots, self._engine.bank, []
        for event in self._recent.surprising(self._wall()):
            if event.partition not in live or not event.key.startswith(asked.prefix):
                continue
            step, offset, ts = event.step, event.offset, event.time
            if slots.has(event.partition, event.key):
                (slot,) = slots.find(event.partition, [event.key]).tolist()
                step, offset, ts = int(bank.step[slot]), int(bank.offset[slot]), int(bank.time[slot])
            found.append(Stream(event.key, event.partition, step, offset, ts, event.surprise))
        return found
