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

from engine.columns import Ints
from engine.step import Engine
from stream.broker.gone import Gone
from stream.broker.port import Reader, Records
from stream.errors import EnvironmentFault, Unavailable
from stream.state import changelog
from stream.state.changelog import Marker
from stream.state.fencing import Fencing
from stream.state.load import Load, Room
from stream.state.places import Place
from stream.state.questions import Answer, Questions
from stream.state.snapshot import Snapshot, SnapshotDamaged

log = structlog.get_logger()

SLICE = 2048  # records decoded at a time
REPEAT = 0.2  # seconds between two askings
TELL = 5.0  # seconds between two lines about progress


@dataclass(frozen=True, slots=True)
class Halted:
    """A partition whose changelog cannot be used."""

    number: int
    reason: str


class Places(Protocol):
    """Where partitions stand: questions that wait, for another thread."""

    def locate(self, numbers: Sequence[int]) -> dict[int, Place]:
        """See `places.Brokers`."""


class Broker(Protocol):
    """What a restore needs of the handles to the broker."""

    def reader(self, topic: str) -> Reader:
        """Reads a topic beside the group."""


class Restorer:
    """Loads partitions into the engine."""

    def __init__(
        self,
        engine: Engine,
        topic: str,
        broker: Broker,
        places: Places,
        fencing: Fencing,
        questions: Questions,
        clock: Callable[[], float],
        snapshot: Callable[[int], Snapshot | None],
    ) -> None:
        """topic: the changelog; snapshot: that of a partition, where there is one."""
        self._engine = engine
        self._topic = topic
        self._broker = broker
        self._places = places
        self._fencing = fencing
        self._questions = questions
        self._clock = clock
        self._snapshot = snapshot
        self._slice = max(1, min(SLICE, engine.slots.capacity // 4))  # each record may be a stream that needs room
        self._loads: dict[int, Load] = {}
        self._asked: Answer[dict[int, Place]] | None = None
        self._asked_for: list[Load] = []
        self._ask_at = 0.0

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

    def progress(self, number: int) -> float | None:
        """How much of its changelog a partition has loaded, 0 to 1; None: it is not on its way, or the end is not known
        yet. On any thread."""
        load = self._loads.get(number)
        place = load.place if load is not None else None
        if load is None or place is None:
            return None
        return min(1.0, load.at / place.state_end) if place.state_end else 1.0

    def start(self, number: int) -> None:
        """Load this partition: its snapshot, where there is one, and the changelog from there on."""
        now = self._clock()
        load = self._loads[number] = Load(self._engine, number, now, now)
        if (snapshot := self._snapshot(number)) is None:
            self._read(load, 0)
        else:
            load.open(snapshot, self._slice)

    def stop(self, number: int) -> None:
        """The partition goes away; what was loaded of it is the engine's to drop."""
        self._fencing.forget(number)
        load = self._loads.pop(number, None)
        if load is not None:
            self._let_go(load)

    def _read(self, load: Load, offset: int) -> None:
        load.reading = True
        self._reader.add(load.number, offset)

    def _let_go(self, load: Load) -> None:
        if load.reading:
            self._reader.remove(load.number)
        if load.snapshot is not None:
            load.snapshot.close()

    def _without_snapshot(self, load: Load, reason: str) -> None:
        """Load the partition again, from the changelog alone."""
        log.warning("snapshot_ignored", partition=load.number, reason=reason)
        if load.number in self._loads:
            self._let_go(load)
        self._engine.drop(load.number)
        again = self._loads[load.number] = Load(self._engine, load.number, load.began, load.told_at, load.place)
        self._read(again, 0)

    def lacking(self, load: Load, marker: Marker, room: Room) -> Ints | None:
        """Of a partition that was loaded, the slots of rows that the changelog may lack. None where they cannot all be
        here: it is then on its way again, without its snapshot."""
        slots = load.lacking(marker, room)
        if slots is None:
            self._without_snapshot(load, "there is no room for its newest rows")
        return slots

    def turn(self, seconds: float, room: Room) -> list[Load | Halted]:
        """Work for about so many seconds. What is loaded, or cannot be, and no longer on its way."""
        self._fencing.look()
        if not self._loads:
            return []
        done: list[Load | Halted] = []
        until = time.perf_counter() + seconds
        self._ask()
        for load in list(self._loads.values()):
            self._take_chunks(load, room, until)
        idle = False
        while not idle and all(load.settle(room) for load in self._loads.values()) and time.perf_counter() < until:
            batches = self._poll()
            idle = not batches
            for batch in batches:
                if (reading := self._loads.get(batch.partition)) is not None:
                    try:
                        reading.take(changelog.read(batch.keys, batch.values, self._engine.model.row_width), room)
                    except changelog.Foreign as foreign:
                        done.append(self._halt(reading, batch, foreign))
        for load in list(self._loads.values()):
            load.at = (self._reader.position(load.number) or 0) if load.reading else 0
            at_end = load.place and load.at >= load.place.state_end
            if load.reading and load.place and at_end and load.settled:
                if load.overtaken(load.place):
                    load.place, load.unknown_since = None, None
                elif reason := load.contradiction(load.place):
                    self._without_snapshot(load, reason)
                else:
                    self.stop(load.number)
                    self._fencing.suspect(load.number, load.marker.writer if load.marker else None, load.place.held)
                    done.append(load)
            else:
                held = idle and load.reading and load.place is not None and not at_end
                load.held_since = (load.held_since or self._clock()) if held else None
                self._tell(load)
        self._unblock()
        return done

    def _poll(self) -> list[Records]:
        try:
            return self._reader.poll(self._slice, 0.0)
        except Gone as gone:
            raise EnvironmentFault(
                f"changelog {self._topic}: records that a restore needs were deleted from it, so rows are missing; "
                f"use another --application-id to start anew ({gone})"
            ) from None
        except Unavailable as error:  # the loop's own poll knows how long the broker may be away
            log.warning("changelog_cannot_be_read_now", reason=str(error))
            return []

    def _take_chunks(self, load: Load, room: Room, until: float) -> None:
        """The next rows of a partition's snapshot; after the last, the changelog is read from where it was then."""
        if load.snapshot is None or load.reading:
            return
        try:
            while load.chunks is not None and load.settle(room) and time.perf_counter() < until:
                rows = next(load.chunks, None)
                if rows is None:
                    load.chunks = None
                else:
                    load.take_snapshot(rows, room)
        except SnapshotDamaged as damaged:
            self._without_snapshot(load, str(damaged))
            return
        if load.chunks is None and load.settled and load.place is not None:
            position = load.snapshot.head.changelog_position
            if position > load.place.state_end:
                self._without_snapshot(load, f"the changelog ends at {load.place.state_end}, it was at {position}")
            else:
                log.info("snapshot_loaded", partition=load.number, rows=load.rows, changelog=position)
                self._read(load, position)

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
            places: dict[int, Place] = {}
            try:
                places = answer.get()
            except Unavailable as error:
                log.warning("committed_offsets_not_known_yet", reason=str(error))
            for load in self._asked_for:
                # A partition that went and came back since is another load: others may have worked on it meanwhile.
                if self._loads.get(load.number) is load:
                    load.place = places.get(load.number)
                    if load.place is None:
                        load.unknown_since = load.unknown_since or now
            self._ask_at = now + REPEAT
        unknown = [load for load in self._loads.values() if load.place is None]
        if unknown and self._asked is None and now >= self._ask_at:
            numbers = [load.number for load in unknown]
            for load in unknown:
                load.read_then = load.marker, load.newest
            self._asked, self._asked_for = self._questions.ask(lambda: self._places.locate(numbers)), unknown

    def _unblock(self) -> None:
        """A predecessor that died in a transaction may be what some partitions wait for."""
        for load in self._loads.values():
            since = load.unknown_since if load.place is None else load.held_since
            if since is not None and load.marker is not None:
                self._fencing.waits(load.number, load.marker.writer, since)
