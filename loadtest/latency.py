"""The books of a follower: which outputs have arrived, and how long after their intended time. No Kafka, no clock.

The latency of an event is the moment its output was read minus the moment it should have been sent, which is the
record's timestamp (see `offer`). A service that stalls, or a sender that falls behind, is therefore charged for every
event that was due meanwhile: there is no coordinated omission.
"""

from dataclasses import dataclass, field
from typing import Self

import msgspec
import numpy as np
from hdrh.histogram import HdrHistogram

from engine.columns import Ints
from loadtest.codecs import JSON, Codec
from loadtest.port import Records
from loadtest.series import Series

LONGEST = 3600 * 1000 * 1000  # microseconds; longer ones count as this
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}


class _Output(msgspec.Struct):
    offset: int


@dataclass(slots=True)
class Arrived:
    """One stretch of time: outputs, and how late they were, to 1 %. A stretch that is over takes some 1.5 kB."""

    count: int = 0
    seen: int = 0  # sum over the partitions: the input offset after the last one whose output is there
    parts: list[bytes] = field(default_factory=list)  # encoded histograms; more than one only until it is sealed
    _live: HdrHistogram | None = None

    def record(self, latency: int, count: int) -> None:
        """So many outputs, each so many microseconds late."""
        if self._live is None:
            self._live = HdrHistogram(1, LONGEST, 2)
        self._live.record_value(latency, count)
        self.count += count

    def latencies(self) -> HdrHistogram:
        """Microseconds."""
        whole = HdrHistogram(1, LONGEST, 2)
        for part in (*map(HdrHistogram.decode, self.parts), *([] if self._live is None else [self._live])):
            whole.add(part)
        return whole

    def seal(self) -> None:
        """Become small."""
        self.parts, self._live = [self.latencies().encode()], None

    def merge(self, later: Self) -> None:
        """See Cell. It is sealed later: to merge all cells at once would hold up the reader."""
        for cell in (self, later):
            if cell._live is not None:
                cell.seal()
        self.parts += later.parts
        self.count, self.seen = self.count + later.count, later.seen


class Arrivals:
    """Outputs of the events from given input offsets on, each counted when it arrives first."""

    def __init__(self, start: dict[int, int], *, interval: float = 1.0, codec: Codec = JSON) -> None:
        """start: per input partition, the offset of the first event that counts. interval: seconds of a cell."""
        self.count = 0
        self.first_count = 0  # arrived with the first read
        self.first_us = self.last_us = 0  # moments of the first and the last read that brought something
        self.histogram = HdrHistogram(1, LONGEST, 3)
        self.series = Series(round(interval * 1000), Arrived)
        self._cell = Arrived()
        self._decode = codec.decoder(_Output)
        size = max(start, default=-1) + 1
        self._next: Ints = np.zeros(size, np.int64)  # offsets below this are old, or copies
        self._next[list(start)] = list(start.values())

    def begin(self, now_us: int) -> None:
        """Reading begins: from here on, what is missing is counted as lag."""
        self._cell_of(now_us)

    def again(self) -> None:
        """Count anew. What has arrived stays known, and the series goes on."""
        self.count = self.first_count = self.first_us = self.last_us = 0
        self.histogram.reset()

    def take(self, records: Records, now_us: int) -> None:
        """Outputs that were read at now_us, microseconds since the epoch."""
        if not len(records):
            return
        partitions = np.array(records.partitions)
        offsets = self._offsets(records)
        fresh = np.zeros(len(records), np.bool_)
        for partition in np.unique(partitions):
            mine = np.flatnonzero(partitions == partition)
            highest = np.maximum.accumulate(np.append(self._next[partition] - 1, offsets[mine]))
            fresh[mine] = offsets[mine] > highest[:-1]
            self._next[partition] = highest[-1] + 1
        count = int(fresh.sum())
        if not count:
            return
        # Timestamps have whole milliseconds, so that a read has few different ones.
        intended, times = np.unique(np.array(records.timestamps, np.int64)[fresh], return_counts=True)
        cell = self._cell_of(now_us)
        for latency, number in zip((now_us - intended * 1000).tolist(), times.tolist(), strict=True):
            bounded = min(max(latency, 1), LONGEST)
            self.histogram.record_value(bounded, number)
            cell.record(bounded, number)
        if not self.count:
            self.first_us, self.first_count = now_us, count
        self.last_us = now_us
        self.count += count

    def reached(self, last: dict[int, int]) -> bool:
        """Whether the output of the event at each of these offsets, or of a later one, is there."""
        return all(self._next[partition] > offset for partition, offset in last.items())

    def sealed(self) -> Series[Arrived]:
        """The series, all its cells small."""
        for cell in self.series.cells.values():
            cell.seal()
        return self.series

    def _cell_of(self, now_us: int) -> Arrived:
        cell = self.series.at(now_us // 1000)
        if cell is not self._cell:
            self._cell.seal()
            self._cell = cell
            for loose in [c for c in self.series.cells.values() if len(c.parts) > 1][:1]:
                loose.seal()
        cell.seen = int(self._next.sum())
        return cell

    def _offsets(self, records: Records) -> Ints:
        try:
            return np.array([self._decode(value or b"").offset for value in records.values], np.int64)
        except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError):
            return np.array([self._offset(value) for value in records.values], np.int64)

    def _offset(self, value: bytes | None) -> int:
        """-1 where it is no output; verification will tell."""
        try:
            return int(min(self._decode(value or b"").offset, 2**62))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return -1


def figures_ms(histogram: HdrHistogram) -> dict[str, float]:
    """p50, p90, p99, p999, max, in milliseconds; empty where nothing arrived."""
    if not histogram.get_total_count():
        return {}
    figures = {name: histogram.get_value_at_percentile(p) / 1000 for name, p in PERCENTILES.items()}
    return figures | {"max": histogram.get_max_value() / 1000}
