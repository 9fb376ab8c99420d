"""How one worker does, read on any thread: also while the loop waits for a broker, or is stuck. Changes nothing."""

import time
from collections.abc import Callable, Sized
from dataclasses import dataclass

from engine.step import Engine
from stream.group import Group
from stream.inquiries import Overlooked, PartitionView
from stream.lag import Lags
from stream.partitions import Partition, Phase
from stream.recent import Recent


@dataclass(frozen=True)
class Glance:
    """What an overview is made of."""

    group: Group
    engine: Engine
    recent: Recent
    lags: Lags
    loaded: Callable[[int], float | None]  # how much of its changelog a partition has loaded, 0 to 1
    disk: Sized  # the rows that are not in the bank
    wall: Callable[[], float] = time.time

    def since(self, at: int) -> Overlooked:
        """at: milliseconds; the history from there on."""
        partitions = sorted(self.group.partitions.values(), key=lambda p: p.number)
        return Overlooked(
            tuple(self._view(partition) for partition in partitions),
            len(self.engine.slots) + len(self.disk),
            self.engine.size,
            self.recent.seconds(at, self.wall()),
        )

    def _view(self, partition: Partition) -> PartitionView:
        number, phase = partition.number, partition.phase
        return PartitionView(
            number, phase.value, partition.position, self.lags.of(number), self._progress(partition), partition.halted
        )

    def _progress(self, partition: Partition) -> float | None:
        """Of what it is at: of the changelog's rows, then of the events that they lack."""
        if partition.phase is Phase.LOADING:
            return self.loaded(partition.number)
        if partition.phase is not Phase.RESTORING:
            return None
        return min(1.0, (partition.position - partition.replay) / max(1, partition.until - partition.replay))
