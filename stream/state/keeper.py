"""What a commit says of the state of the partitions here: rows, tombstones, markers. Knows no broker.

A commit is prepared, then kept or not: `entries` changes nothing, `kept` makes it so.
"""

import platform
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import structlog

from engine.columns import Ints
from engine.step import Engine
from stream.commit import Entries
from stream.partitions import Partition, Phase
from stream.state import changelog
from stream.state.changelog import Marker, Rules
from stream.state.checkpoint import Checkpoint, Plan

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Author:
    """What every marker of this process says."""

    writer: str  # transactional.id
    input_topic_id: str | None
    rules: Rules  # that are in force now
    onnxruntime: str = onnxruntime.__version__
    machine: str = ""

    def marks(self, partition: Partition, replay: int, clock: int) -> Marker:
        """The marker of a partition."""
        return Marker(
            replay=replay,
            clock=clock,
            position=partition.place,
            origin=partition.origin,
            lineage=partition.lineage,
            input_topic_id=self.input_topic_id,
            writer=self.writer,
            rules=partition.rules,
            onnxruntime=self.onnxruntime,
            machine=self.machine,
        )


class Keeper:
    """Rows and markers of one process."""

    def __init__(self, engine: Engine, checkpoint: Checkpoint, author: Author) -> None:
        self._engine = engine
        self._checkpoint = checkpoint
        self._author = author
        self._plan = Plan()
        self.preparing = 0.0  # seconds that it took
        self._prepared: dict[int, Marker] = {}
        self.markers: dict[int, Marker] = {}  # the last one committed here, per partition

    def begin(self, number: int, clock: int) -> None:
        """A partition's rows are loaded. clock: the partition's, at the offset where its replay begins."""
        self._engine.begin(number, clock)
        self._checkpoint.begin(number)

    def lacks(self, number: int, slots: Ints, marker: Marker, now: float) -> None:
        """The changelog may lack what these rows have beyond the marker's replay offset."""
        self._checkpoint.add(number, slots, marker.replay, marker.clock, now)

    def drop(self, number: int) -> None:
        """A partition goes, and its rows with it."""
        self._checkpoint.drop(number)
        self._engine.drop(number)
        self.markers.pop(number, None)

    def due(self, now: float) -> bool:
        """Whether rows are to be written although nothing else is to be committed, or sooner than it would be."""
        return self._checkpoint.waiting(now)

    def pressed(self, now: float) -> bool:
        """Whether more rows are due than the next commit can write."""
        return self._checkpoint.pressed(now)

    @property
    def lag(self) -> int:
        """Offsets that a restore of everything here would look at."""
        return sum(marker.position - marker.replay for marker in self.markers.values())

    def standing(self, partition: Partition) -> bool:
        """Whether a commit has something to say of a partition that did not move."""
        return self._checkpoint.dirty(partition.number) > 0

    def entries(
        self, committing: Collection[Partition], everything: Iterable[Partition], *, all: bool = False
    ) -> dict[int, Entries]:
        """What a commit of these partitions' positions writes to the changelog. all: as many of the rows as can be, due
        or not."""
        rules = self._author.rules
        self._plan = self._checkpoint.plan(
            marks={p.number: p.mark for p in everything},
            positions={p.number: p.position for p in committing},
            ttls={p.number: p.rules.state_ttl for p in committing if p.phase is Phase.LIVE},
            urgent={p.number for p in committing if all or (p.phase is Phase.SETTLING and p.rules != rules)},
        )
        self._prepared = {}
        found = {}
        began = time.perf_counter()
        for partition in committing:
            part = self._plan.parts[partition.number]
            if partition.phase is Phase.ORIGIN:
                part.replay, part.clock = partition.origin, 0
            marker = self._prepared[partition.number] = self._author.marks(partition, part.replay, part.clock)
            rows = self._engine.rows(part.slots)
            gone = self._engine.slots.keys(part.evicted)
            found[partition.number] = Entries(
                [*changelog.row_keys(rows.keys), *changelog.row_keys(gone), changelog.MARKER],
                [*changelog.row_values(rows), *([None] * len(gone)), changelog.marker_value(marker)],
            )
        self.preparing = time.perf_counter() - began
        return found

    def ahead(self, live: Iterable[Partition], now: float) -> dict[int, Entries]:
        """Rows to be written into the open transaction now, so that its commit need not wait for them."""
        began = time.perf_counter()
        found = {}
        for number, slots in self._checkpoint.ahead([p.number for p in live], now).items():
            rows = self._engine.rows(slots)
            found[number] = Entries([*changelog.row_keys(rows.keys)], [*changelog.row_values(rows)])
        self.preparing = time.perf_counter() - began
        return found

    def wrote_ahead(self, rows: int, seconds: float) -> None:
        """Handing over so many rows took so long."""
        self._checkpoint.took(rows, self.preparing + seconds)

    def in_transaction(self, number: int) -> bool:
        """Whether rows of the partition are in the open transaction."""
        return self._checkpoint.in_transaction(number)

    def took(self, seconds: float) -> None:
        """Handing over what was prepared took so long."""
        self._checkpoint.took(self._plan.records, self.preparing + seconds)

    def kept(self, everything: Iterable[Partition], now: float) -> None:
        """What was prepared is committed."""
        self._checkpoint.kept(self._plan, {p.number: p.mark for p in everything}, now)
        self._engine.keep()
        self._checkpoint.forget(self._plan)
        self.markers.update(self._prepared)
        self._plan, self._prepared = Plan(), {}

    def put_back(self) -> None:
        """What was prepared is not committed, nor what was stepped since the last commit."""
        self._engine.put_back()
        self._checkpoint.put_back()
        self._plan, self._prepared = Plan(), {}

    def settled(self, partition: Partition) -> bool:
        """Whether a partition that was claimed may go live: old rules end where no replay by them is left."""
        if partition.rules == self._author.rules:
            return True
        if self._checkpoint.dirty(partition.number):
            return False
        log.info("rules_changed", partition=partition.number, before=str(partition.rules), now=str(self._author.rules))
        partition.rules = self._author.rules
        return True

    def compare(self, partition: int, marker: Marker) -> None:
        """Say where the promise of the same bits ends: another onnxruntime, another kind of processor."""
        here = (self._author.onnxruntime, self._author.machine)
        there = (marker.onnxruntime, marker.machine)
        if here != there:
            log.warning("bits_may_differ_from_here_on", partition=partition, before=there, now=here)


def machine(provider: str = "cpu") -> str:
    """What decides which kernels run: the processor's instruction set, and CUDA where the network runs there."""
    device = ["cuda"] if provider == "cuda" else []  # cpu-banked gives the bits of cpu
    try:
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return " ".join([*device, platform.machine()])
    known = {"avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_tile", "f16c"}
    return " ".join([*device, platform.machine(), *sorted(known.intersection(flags.split()))])
