"""When records become visible to a read_committed reader: what the users of the output topic see of a fault."""

import threading
import time
from contextlib import closing
from itertools import pairwise
from types import TracebackType
from typing import Self

from loadtest.kafka import connect, create

Bunch = tuple[float, int, int]  # seconds since the epoch, the first offset, the last offset


class Arrivals:
    """Reads a topic from its end, in a thread of its own, while the block runs. The topic is created if missing."""

    def __init__(self, servers: str, topic: str, partitions: int) -> None:
        self._servers, self._topic = servers, topic
        self.bunches: dict[int, list[Bunch]] = {p: [] for p in range(partitions)}
        with closing(connect(servers)) as cluster:
            create(cluster, topic, partitions)
        self._start = self.ends()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="arrivals", daemon=True)

    def ends(self) -> dict[int, int]:
        """Where each partition ends now: high watermarks, open transactions included."""
        with closing(connect(self._servers)) as cluster:
            return {p: high for p, (_, high) in cluster.watermarks(self._topic).items()}

    def first(self, beyond: dict[int, int]) -> dict[int, float]:
        """When the first record at or above an offset was seen, per partition; without those that saw none yet."""
        found = {}
        for partition, offset in beyond.items():
            bunches = list(self.bunches[partition])
            at = next((at for at, _, last in bunches if last >= offset), None)
            if at is not None:
                found[partition] = at
        return found

    def gaps(self, begin: float, end: float) -> dict[int, float]:
        """The longest time without a record that reaches into begin..end, per partition. Seconds."""
        found = {}
        for partition, bunches in self.bunches.items():
            times = [at for at, _, _ in list(bunches)]
            before = max((at for at in times if at < begin), default=begin)
            after = min((at for at in times if at > end), default=end)
            edges = [before, *(at for at in times if begin <= at <= end), after]
            found[partition] = max(b - a for a, b in pairwise(edges))
        return found

    def flowing(self) -> bool:
        """Whether every partition has had a record in the last half second."""
        now = time.time()
        return all(bunches and now - bunches[-1][0] < 0.5 for bunches in self.bunches.values())

    def _run(self) -> None:
        with closing(connect(self._servers)) as cluster, closing(cluster.reader(self._topic)) as reader:
            reader.assign(self._start)
            while not self._stopping.is_set():
                records = reader.poll(20_000, 0.1)
                at = time.time()
                lasts = dict(zip(records.partitions, records.offsets, strict=True))
                firsts = dict(zip(reversed(records.partitions), reversed(records.offsets), strict=True))
                for partition, last in lasts.items():
                    self.bunches[partition].append((at, firsts[partition], last))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(10)
