"""The books of a follower: which outputs have arrived, and how long after their intended time. No Kafka, no clock.

The latency of an event is the moment its output was read minus the moment it should have been sent, which is the
record's timestamp (see `offer`). A service that stalls, or a sender that falls behind, is therefore charged for every
event that was due meanwhile: there is no coordinated omission.
"""

import msgspec
import numpy as np
from hdrh.histogram import HdrHistogram

from engine.columns import Ints
from loadtest.port import Records

LONGEST = 3600 * 1000 * 1000  # microseconds; longer ones count as this
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}


class _Output(msgspec.Struct):
    offset: int


class Arrivals:
    """Outputs of the events from given input offsets on, each counted when it arrives first."""

    def __init__(self, start: dict[int, int]) -> None:
        """start: per input partition, the offset of the first event that counts."""
        self.count = 0
        self.first_count = 0  # arrived with the first read
        self.first_us = self.last_us = 0  # moments of the first and the last read that brought something
        self.histogram = HdrHistogram(1, LONGEST, 3)
        self._decode = msgspec.json.Decoder(_Output).decode
        size = max(start, default=-1) + 1
        self._next: Ints = np.zeros(size, np.int64)  # offsets below this are old, or copies
        self._next[list(start)] = list(start.values())

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
        for latency, number in zip((now_us - intended * 1000).tolist(), times.tolist(), strict=True):
            self.histogram.record_value(min(max(latency, 1), LONGEST), number)
        if not self.count:
            self.first_us, self.first_count = now_us, count
        self.last_us = now_us
        self.count += count

    def reached(self, last: dict[int, int]) -> bool:
        """Whether the output of the event at each of these offsets, or of a later one, is there."""
        return all(self._next[partition] > offset for partition, offset in last.items())

    def _offsets(self, records: Records) -> Ints:
        try:
            return np.array([self._decode(value or b"").offset for value in records.values], np.int64)
        except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError):
            return np.array([self._offset(value) for value in records.values], np.int64)

    def _offset(self, value: bytes | None) -> int:
        """-1 where it is no output; verification will tell."""
        try:
            return min(self._decode(value or b"").offset, 2**62)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return -1


def figures_ms(histogram: HdrHistogram) -> dict[str, float]:
    """p50, p90, p99, p999, max, in milliseconds; empty where nothing arrived."""
    if not histogram.get_total_count():
        return {}
    figures = {name: histogram.get_value_at_percentile(p) / 1000 for name, p in PERCENTILES.items()}
    return figures | {"max": histogram.get_max_value() / 1000}
