"""Where new state begins in the input: asks the brokers, and waits. For another thread than the loop's."""

import time
from contextlib import closing

from stream.broker.port import Offsets
from stream.errors import Unavailable
from stream.link import CALL_TIMEOUT, Link

LOOK_BACK = 1000  # offsets before the committed one in which its time is looked for
PATIENCE = 10.0  # seconds that reading them may take


class Origins:
    """The beginnings of new state."""

    def __init__(self, link: Link, offsets: Offsets, topic: str, *, latest: bool) -> None:
        """offsets: of the input topic; latest: whether a new application skips what is there already."""
        self._link = link
        self._offsets = offsets
        self._topic = topic
        self._latest = latest

    def first(self, partition: int) -> int:
        """Where a new application begins."""
        if self._latest:
            return self._offsets.ends([partition], CALL_TIMEOUT)[partition]
        return self._offsets.watermarks([partition], CALL_TIMEOUT)[partition][0]

    def stretch(self, partition: int, until: int, seconds: float) -> int:
        """Where the stretch of input begins that ends at `until` and is so long, by the records' timestamps."""
        begin = self._offsets.watermarks([partition], CALL_TIMEOUT)[partition][0]
        if begin >= until:
            return until
        end = self._time_at(partition, max(begin, until - LOOK_BACK), until)
        if end is None:
            return begin
        found = self._offsets.at_time(partition, max(0, end - round(seconds * 1000)), CALL_TIMEOUT)
        return until if found is None else min(max(found, begin), until)

    def _time_at(self, partition: int, first: int, until: int) -> int | None:
        """The largest timestamp of the records first..until, milliseconds; None where there is none."""
        latest = None
        deadline = time.monotonic() + PATIENCE
        with closing(self._link.reader(self._topic)) as reader:
            reader.add(partition, first)
            while (reader.position(partition) or first) < until:
                if time.monotonic() > deadline:
                    raise Unavailable(f"{self._topic} [{partition}]: offsets {first} to {until} cannot be read")
                for batch in reader.poll(LOOK_BACK, 0.2):
                    times = [t for t, o in zip(batch.timestamps, batch.offsets, strict=True) if o < until]
                    latest = max([*times, *([] if latest is None else [latest])], default=None)
        return latest
