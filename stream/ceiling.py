"""The memory limit: rows of idle streams go to disk; where there is no disk, the input waits. No stream is dropped."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import structlog

from engine.columns import Ints
from engine.rows import Rows
from engine.step import Attic, Engine
from stream import metrics
from stream.broker.port import Records
from stream.state.checkpoint import Checkpoint

log = structlog.get_logger()

AT_ONCE = 0.02  # of the capacity: going through all rows has its price, so it is done for many
TELL = 10.0  # seconds between two lines about waiting


class Disk(Attic, Protocol):
    """Where rows can rest."""

    def put(self, partition: int, rows: Rows) -> None:
        """Keep these rows. Raises EnvironmentFault where the disk cannot."""


class Ceiling:
    """Makes room in the bank."""

    def __init__(
        self,
        engine: Engine,
        checkpoint: Checkpoint,
        disk: Disk | None,
        moved: Callable[[int, Rows], None],
        clock: Callable[[], float],
    ) -> None:
        """moved: hears of rows (of a partition) that go to the disk."""
        self._engine = engine
        self._checkpoint = checkpoint
        self._disk = disk
        self._moved = moved
        self._clock = clock
        self._told_at = -TELL
        self.wanted = 0  # streams that the input waits for; 0: it does not wait

    def admits(self, batches: list[Records]) -> bool:
        """Whether there is room for every new stream of these records; if not, the input has to wait."""
        if self._engine.room >= sum(map(len, batches)):
            return True
        slots, streams, here = self._engine.slots, 0, [np.empty(0, np.int64)]
        for batch in batches:
            keys = {key for key in batch.keys if key is not None}
            known = [key for key in keys if slots.has(batch.partition, key)]
            here.append(slots.find(batch.partition, known))
            streams += len(keys)
        stay = np.concatenate(here)
        if self.room(streams - len(stay), stay):
            return True
        self.wanted = streams - len(stay)
        return False

    def relieved(self) -> bool:
        """Whether the input need not wait any longer."""
        if self.room(self.wanted):
            self.wanted = 0
            return True
        return False

    def _tell(self, streams: int) -> bool:
        """Say, from time to time, that there is no room; always False."""
        now = self._clock()
        if now - self._told_at >= TELL:
            self._told_at = now
            log.warning(
                "memory_limit_reached",
                streams=len(self._engine.slots),
                waits_for=streams,
                mend="raise --memory-limit or add processes"
                + ("" if self._disk is not None else ", or give --state-dir, so that idle streams rest on disk"),
            )
        return False

    def room(self, streams: int, stay: Ints | None = None) -> bool:
        """Make room for so many more streams, but not at the cost of those in these slots. False: there is none now."""
        if self._engine.room >= streams:
            return True
        if self._disk is None:
            return self._tell(streams)
        slots = self._checkpoint.clean(self._engine.slots.taken())
        if stay is not None:
            slots = np.setdiff1d(slots, stay, assume_unique=True)
        most = max(streams - self._engine.room, int(self._engine.slots.capacity * AT_ONCE))
        if len(slots) > most:
            # By the partitions' clocks: who came last longest ago.
            slots = slots[np.argpartition(self._engine.bank.clock[slots], most)[:most]]
        where = self._engine.slots.partitions(slots)
        for number in np.unique(where).tolist():
            resting = slots[where == number]
            rows = self._engine.rows(resting)
            self._disk.put(number, rows)
            self._moved(number, rows)
            self._engine.slots.forget(resting)
            metrics.SPILLED_ROWS.inc(len(resting))
        return self._engine.room >= streams or self._tell(streams)
