"""The rows of assigned partitions come back from the changelog, a slice at a time, beside the live ones.

Invariants
1. The end to read up to is the changelog's high watermark, asked for after the committed offset: whatever a
   predecessor's transaction wrote with that offset lies below it.
2. A partition is loaded when the reader, which reads committed records only, has passed that end: no transaction that
   could still add to it is open.
3. A slice never waits for the broker. What has to be asked is asked on another thread.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from engine.step import Engine
from stream import metrics
from stream.broker.port import Offsets, Reader, Records
from stream.errors import EnvironmentFault, Unavailable
from stream.state import changelog
from stream.state.changelog import Marker
from stream.state.questions import Answer, Questions

log = structlog.get_logger()

SLICE = 4096  # records decoded at a time
STABLE = 1.0  # seconds that open transactions may take; a predecessor that takes longer is taken for dead
REPEAT = 0.2  # seconds between two askings
FENCE_AGAIN = 10.0  # seconds until the same peer is fenced once more
TELL = 5.0  # seconds between two lines about progress


@dataclass(frozen=True, slots=True)
class Place:
    """Where a partition stands, by the brokers. Offsets."""

    committed: int | None
    begin: int  # of the input
    end: int  # of the input, its high watermark
    state_end: int  # of the changelog, its high watermark after `committed` was known


@dataclass(slots=True)
class Load:
    """One partition on its way."""

    number: int
    began: float
    place: Place | None = None
    marker: Marker | None = None
    newest: int = -1  # the largest offset of any row
    rows: int = 0
    moved_at: float = 0.0  # when the last record came, or the end was learnt
    told_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Halted:
    """A partition whose changelog cannot be used."""

    number: int
    reason: str


class Broker(Protocol):
    """What a restore needs of the handles to the broker."""

    def reader(self, topic: str) -> Reader:
        """Reads a topic beside the group."""

    def fence(self, writer: str) -> None:
        """Take a dead peer's transactional id from it."""


class Restorer:
    """Loads partitions into the engine."""

    def __init__(
        self,
        engine: Engine,
        topic: str,
        broker: Broker,
        locate: Callable[[Sequence[int]], dict[int, Place]],
        slot: str,
        questions: Questions,
        clock: Callable[[], float],
    ) -> None:
        """topic: the changelog; locate: see `Brokers`; slot: this process's transactional.id."""
        self._engine = engine
        self._topic = topic
        self._broker = broker
        self._locate = locate
        self._slot = slot
        self._questions = questions
        self._clock = clock
        self._slice = max(1, min(SLICE, engine.slots.capacity // 4))  # each record may be a stream that needs room
        self._loads: dict[int, Load] = {}
        self._asked: Answer[dict[int, Place]] | None = None
        self._ask_at = 0.0
        self._fenced: dict[str, float] = {}

    def connect(self) -> None:
        """Waits for the broker. Before the first `start`."""
        self._reader = self._broker.reader(self._topic)

    def close(self) -> None:
        """Let go."""
        self._reader.close()

    @property
    def busy(self) -> bool:
        """Whether some partition is on its way."""
        return bool(self._loads)

    def start(self, number: int) -> None:
        """Load this partition, from the beginning of its changelog."""
        now = self._clock()
        self._loads[number] = Load(number, now, moved_at=now, told_at=now)
        self._reader.add(number, 0)

    def stop(self, number: int) -> None:
        """The partition goes away; what was loaded of it is the engine's to drop."""
        if self._loads.pop(number, None) is not None:
            self._reader.remove(number)

    def turn(self, seconds: float, room: Callable[[int], bool]) -> list[Load | Halted]:
        """Work for about so many seconds. What is loaded, or cannot be, and no longer on its way.

        room: makes room for so many more streams, or tells that there is none now.
        """
        if not self._loads:
            return []
        done: list[Load | Halted] = []
        until = time.perf_counter() + seconds
        self._ask()
        while room(self._slice):
            batches = self._reader.poll(self._slice, 0.0)
            if not batches:
                break
            for batch in batches:
                if (load := self._loads.get(batch.partition)) is not None:
                    try:
                        self._take(load, batch)
                    except changelog.Foreign as foreign:
                        done.append(self._halt(load, batch, foreign))
            if time.perf_counter() > until:
                break
        for load in list(self._loads.values()):
            if load.place is not None and (self._reader.position(load.number) or 0) >= load.place.state_end:
                self.stop(load.number)
                done.append(load)
            else:
                self._tell(load)
        self._unblock()
        return done

    def _take(self, load: Load, batch: Records) -> None:
        entries = changelog.read(batch.keys, batch.values, self._engine.model.row_width)
        if entries.gone:
            self._engine.forget(load.number, entries.gone)
        if len(entries.rows):
            self._engine.load(load.number, entries.rows)
            load.newest = max(load.newest, int(entries.rows.offset.max()))
            load.rows += len(entries.rows)
            metrics.RESTORED_ROWS.inc(len(entries.rows))
        load.marker = entries.marker or load.marker
        load.moved_at = self._clock()

    def _halt(self, load: Load, batch: Records, foreign: changelog.Foreign) -> Halted:
        self.stop(load.number)
        return Halted(
            load.number,
            f"{self._topic} [{load.number}], offset {batch.offsets[foreign.index]}: {foreign}. The partition is not "
            "served. Use the version and the model that wrote it, or another --application-id to start anew",
        )

    def _tell(self, load: Load) -> None:
        now = self._clock()
        if now - load.told_at >= TELL:
            load.told_at = now
            end = load.place.state_end if load.place else None
            log.info(
                "loading", partition=load.number, rows=load.rows, changelog=self._reader.position(load.number), end=end
            )

    def _ask(self) -> None:
        """Find out where partitions stand that nobody has told of yet."""
        now = self._clock()
        if self._asked is not None and self._asked.there:
            answer, self._asked = self._asked, None
            try:
                for number, place in answer.get().items():
                    if number in self._loads and self._loads[number].place is None:
                        self._loads[number].place = place
                        self._loads[number].moved_at = now
            except Unavailable as error:
                log.warning("committed_offsets_not_known_yet", reason=str(error))
            self._ask_at = now + REPEAT
        unknown = [load.number for load in self._loads.values() if load.place is None]
        if unknown and self._asked is None and now >= self._ask_at:
            self._asked = self._questions.ask(lambda: self._locate(unknown))

    def _unblock(self) -> None:
        """A predecessor that died in a transaction holds its offsets and its rows back until that times out, unless
        its transactional id, which the marker tells, is taken from it (KIP-98)."""
        now = self._clock()
        for load in self._loads.values():
            writer = load.marker.writer if load.marker else self._slot
            waited = now - load.moved_at
            if waited > STABLE and writer != self._slot and now - self._fenced.get(writer, -FENCE_AGAIN) >= FENCE_AGAIN:
                self._fenced[writer] = now
                log.warning("fencing_a_predecessor", writer=writer, partition=load.number)
                self._questions.ask(lambda writer=writer: self._broker.fence(writer))  # type: ignore[misc]


class Brokers:
    """The questions of a restore, as calls that wait."""

    def __init__(self, source: Offsets, state: Offsets) -> None:
        """source: of the input topic; state: of the changelog."""
        self._source = source
        self._state = state

    def locate(self, numbers: Sequence[int]) -> dict[int, Place]:
        """Where these partitions stand. Those that cannot be told now are left out; where none can, Unavailable."""
        found: dict[int, Place] = {}
        failure: EnvironmentFault | None = None
        committed: dict[int, int | None] = {}
        try:
            committed = self._source.committed(numbers, STABLE)
        except Unavailable as error:
            failure = error
            if len(numbers) > 1:  # one that is held back must not hold back the others
                for number in numbers:
                    try:
                        committed |= self._source.committed([number], STABLE / 4)
                    except Unavailable:
                        continue
        if not committed and failure is not None:
            raise failure
        known = list(committed)
        inputs = self._source.watermarks(known, 5.0)
        states = self._state.watermarks(known, 5.0)
        for number in known:
            found[number] = Place(committed[number], *inputs[number], states[number][1])
        return found
