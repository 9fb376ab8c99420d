"""What was seen of late: the most surprising streams, streams that somebody follows, how much was committed when.

Invariants
1. What is noted is shown once it is committed: `keep` shows it, `put_back` forgets it.
2. All of it is bounded, and belongs to the loop's thread; only the history of seconds may be read on any.
3. Who asks nothing pays little: of a batch one comparison, and a look at the few events that stand out.
"""

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from statistics import median
from typing import NamedTuple

import numpy as np

from engine.columns import Columns, Floats, Ints, Outcome
from stream.inquiries import Second

TOLD = 512  # streams
LOOKED = 128  # events of one batch that are looked at for them
SPAN = 30.0  # seconds; the table forgets by so many at a time
SPANS = 10  # so many of them, and the one that is under way, are told
HISTORY = 600  # seconds
RING = 200  # events of one followed stream, or fewer:
RING_FLOATS = 2**17  # of what was predicted after them; a vocabulary may have thousands
FOLLOWED = 100  # keys
LAPSE = 30.0  # seconds after which a key that nobody has asked for is not followed any more
TAKEN = 2000  # events of followed streams in one batch; more would hold up the loop


class Surprising(NamedTuple):
    """An event that stood out."""

    surprise: float
    partition: int
    key: bytes
    offset: int
    time: int  # milliseconds
    step: int


_Some = tuple[list[float], list[int], list[bytes], Ints, Ints, Ints]  # the columns of several


class Noted(NamedTuple):
    """An event of a followed stream, and what was predicted after it."""

    offset: int
    time: int  # milliseconds
    step: int
    x: Floats  # [features], as the next
    mask: Floats
    predicted: Floats  # [*output_shape]
    surprise: Floats  # [targets]


@dataclass(eq=False)
class Trail:
    """One followed stream's last events."""

    kept: deque[Noted]
    pending: list[Noted] = field(default_factory=list)  # not committed yet
    before: tuple[int, Floats] | None = None  # of the event before the first kept one: its step, what was predicted

    def keep(self) -> None:
        for noted in self.pending:
            if len(self.kept) == self.kept.maxlen:
                self.before = self.kept[0].step, self.kept[0].predicted
            self.kept.append(noted)
        self.pending.clear()

    def after(self, offset: int) -> list[tuple[Noted, Floats | None]]:
        """Its events after this offset, each with what was predicted before it; None: nothing, or it is not known."""
        found, before = [], self.before
        for noted in self.kept:
            known = before is not None and 1 < noted.step == before[0] + 1
            if noted.offset > offset:
                found.append((noted, before[1] if known and before is not None else None))
            before = noted.step, noted.predicted
        return found


@dataclass(slots=True)
class _Committed:
    """What was committed in one second."""

    at: int
    events: int = 0
    predictions: int = 0
    dead_letters: int = 0
    latencies: list[float] = field(default_factory=list)


class Recent:
    """Recent of one process."""

    def __init__(self, predicted: int) -> None:
        """predicted: numbers of one prediction."""
        self._ring = max(2, min(RING, RING_FLOATS // predicted))
        self._tables: deque[tuple[int, dict[tuple[int, bytes], Surprising]]] = deque()  # (span, its table), newest last
        self._floor = -1.0  # what an event has to be more surprising than
        self._pending: list[_Some] = []
        self._trails: dict[tuple[int, bytes], Trail] = {}  # (partition, key)
        self._asked: dict[bytes, float] = {}  # key -> when it was last asked for, seconds
        self._seconds: deque[_Committed] = deque(maxlen=HISTORY)
        self._lock = threading.Lock()  # of the seconds

    def note(self, columns: Columns, outcome: Outcome, until: Mapping[int, int]) -> None:
        """A batch was stepped; what lies below its partition's `until` was not published. Of the events that stand out
        LOOKED are looked at."""
        if self._asked:
            self._follow(columns, outcome, until)
        surprise = outcome.surprise
        highest: Floats = surprise[:, 0] if surprise.shape[1] == 1 else np.fmax.reduce(surprise, axis=1)
        over = np.flatnonzero(highest > self._floor)
        if len(over) > LOOKED:
            over = over[np.argpartition(highest[over], -LOOKED)[-LOOKED:]]
        if len(over):
            over, partitions = _published(over, columns, outcome, until)
            keys = columns.keys
            self._pending.append(
                (
                    highest[over].tolist(),
                    partitions,
                    [keys[i] for i in over.tolist()],
                    columns.offset[over],
                    columns.time[over],
                    outcome.step[over],
                )
            )

    def _follow(self, columns: Columns, outcome: Outcome, until: Mapping[int, int]) -> None:
        counts = dict.fromkeys(self._asked, self._ring)
        newest: list[int] = []
        for i in [i for i, key in enumerate(columns.keys) if key in counts][::-1]:
            if counts[columns.keys[i]] and len(newest) < TAKEN:
                counts[columns.keys[i]] -= 1
                newest.append(i)
        index, partitions = _published(np.array(newest[::-1], np.int64), columns, outcome, until)
        for i, partition in zip(index.tolist(), partitions, strict=True):
            trail = self.trail(partition, columns.keys[i]) or self.begin(partition, columns.keys[i])
            trail.pending.append(
                Noted(
                    int(columns.offset[i]),
                    int(columns.time[i]),
                    int(outcome.step[i]),
                    columns.x[i].copy(),
                    columns.mask[i].copy(),
                    outcome.predicted[i].copy(),
                    outcome.surprise[i].copy(),
                )
            )

    def keep(self, now: float) -> None:
        """What was noted is committed. now: seconds."""
        self._forget(now)
        if self._pending:
            for some in self._pending:
                self._enter(int(now // SPAN), some)
            self._pending = []
        for trail in self._trails.values():
            if trail.pending:
                trail.keep()

    def put_back(self) -> None:
        """What was noted since the last `keep` did not happen."""
        self._pending = []
        for trail in self._trails.values():
            trail.pending.clear()

    def drop(self, partition: int) -> None:
        """A partition has gone: others step its streams."""
        for where in [where for where in self._trails if where[0] == partition]:
            del self._trails[where]
        for _, table in self._tables:
            for where in [where for where in table if where[0] == partition]:
                del table[where]

    def _enter(self, span: int, some: _Some) -> None:
        if not self._tables or self._tables[-1][0] != span:
            self._tables.append((span, {}))
            self._floor = -1.0
        table = self._tables[-1][1]
        surprises, partitions, keys, offset, time, step = some
        for i, where in enumerate(zip(partitions, keys, strict=True)):
            there = table.get(where)
            if there is None or there.surprise < surprises[i]:  # mostly not: only then it costs more than a look
                table[where] = Surprising(surprises[i], *where, int(offset[i]), int(time[i]), int(step[i]))
        if len(table) > 2 * TOLD:
            best = sorted(table.values(), key=itemgetter(0), reverse=True)[:TOLD]
            table.clear()
            _take(table, best)
            self._floor = best[-1].surprise

    def _forget(self, now: float) -> None:
        while self._tables and self._tables[0][0] < now // SPAN - SPANS:
            self._tables.popleft()
        for key in [key for key, asked in self._asked.items() if now - asked > LAPSE]:
            del self._asked[key]
            for where in [where for where in self._trails if where[1] == key]:
                del self._trails[where]

    def surprising(self, now: float) -> list[Surprising]:
        """Each stream's most surprising event of the last minutes, the highest first, at most TOLD."""
        self._forget(now)
        best: dict[tuple[int, bytes], Surprising] = {}
        for _, table in self._tables:
            _take(best, table.values())
        return sorted(best.values(), key=itemgetter(0), reverse=True)[:TOLD]

    def surprise(self, partition: int, key: bytes, offset: int) -> float | None:
        """Of this very event, where it is remembered."""
        trail = self._trails.get((partition, key))
        if trail is not None and trail.kept and trail.kept[-1].offset == offset:
            told = float(np.fmax.reduce(trail.kept[-1].surprise))
            return None if np.isnan(told) else told
        tables = (table.get((partition, key)) for _, table in self._tables)
        return next((event.surprise for event in tables if event is not None and event.offset == offset), None)

    def follow(self, key: bytes, now: float) -> bool:
        """Follow this key's streams from now on, or go on doing so. False: too many are followed already."""
        self._forget(now)
        if key not in self._asked and len(self._asked) >= FOLLOWED:
            return False
        self._asked[key] = now
        return True

    def trail(self, partition: int, key: bytes) -> Trail | None:
        """Of a followed stream; None: nothing was noted of it yet."""
        return self._trails.get((partition, key))

    def begin(self, partition: int, key: bytes) -> Trail:
        """An empty trail, for a stream that has none."""
        trail = self._trails[partition, key] = Trail(deque(maxlen=self._ring))
        return trail

    def committed(self, now: float, events: int, predictions: int, dead_letters: int, latency: float | None) -> None:
        """A commit took place. now: seconds since the epoch; latency: of its oldest event, seconds."""
        at = int(now) * 1000
        with self._lock:
            if not self._seconds or self._seconds[-1].at < at:
                self._seconds.append(_Committed(at))
            second = self._seconds[-1]
            second.events += events
            second.predictions += predictions
            second.dead_letters += dead_letters
            if latency is not None:
                second.latencies.append(latency)

    def seconds(self, since: int, now: float) -> tuple[Second, ...]:
        """The seconds from `since` on, milliseconds, in which something was committed. now: seconds. On any thread."""
        since = max(since, int(now - HISTORY) * 1000)
        with self._lock:
            return tuple(_told(second) for second in self._seconds if second.at >= since)


def _published(index: Ints, columns: Columns, outcome: Outcome, until: Mapping[int, int]) -> tuple[Ints, list[int]]:
    """Those of these events that were stepped and published, and their partitions."""
    ends = np.array([stop for _, _, stop in columns.runs])
    numbers = np.array([partition for partition, _, _ in columns.runs])
    below = np.array([until[partition] for partition, _, _ in columns.runs])
    run = np.searchsorted(ends, index, side="right")
    there = outcome.stepped[index] & (columns.offset[index] >= below[run])
    return index[there], numbers[run[there]].tolist()


def _take(table: dict[tuple[int, bytes], Surprising], events: Iterable[Surprising]) -> None:
    """Each stream's most surprising event stays."""
    for event in events:
        where = event.partition, event.key
        there = table.get(where)
        if there is None or there.surprise < event.surprise:
            table[where] = event


def _told(second: _Committed) -> Second:
    latencies = second.latencies
    return Second(
        second.at,
        second.events,
        second.predictions,
        second.dead_letters,
        median(latencies) if latencies else None,
        max(latencies, default=None),
    )
