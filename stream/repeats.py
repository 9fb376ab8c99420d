"""Keeps what repeats from drowning the log. Of warnings that say the same, the first few in a while are told, and at
the while's end, in one line, how many more there were. Knows nothing of what they say.

Warnings say the same that have one event, and one `code`, or where there is none, one `partition` or one `worker`: what
befalls each of fifty partitions is told of each. Lines of other libraries are the same where only their numbers differ.
"""

import logging
import re
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import structlog

MOST = 5  # told in a while
WHILE = 60.0  # seconds
KEYS = 1000  # more are not remembered once their while is over
SUPPRESSED = "suppressed"
WHERE = ("code", "partition", "worker")
LEVELS = ("warning", "error", "critical")

_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d+")  # also where something lies in memory


@dataclass(slots=True)
class _Seen:
    event: str
    since: float
    count: int = 0


class Repeats:
    """A processor of structlog's, and a filter of logging's. For any thread."""

    def __init__(
        self,
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], None],
        tell: Callable[[str, int], None],
    ) -> None:
        """later: calls so many seconds from now; tell: hears of which event how many were not told."""
        self._clock = clock
        self._later = later
        self._tell = tell
        self._seen: dict[Hashable, _Seen] = {}
        self._lock = threading.Lock()

    def __call__(self, _: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        name = str(event.get("event"))
        where = next((event[of] for of in WHERE if of in event), None)
        if method in LEVELS and name != SUPPRESSED and not self._admits((name, where), name):
            raise structlog.DropEvent
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        text = _NUMBERS.sub("0", record.getMessage())
        return record.levelno < logging.WARNING or self._admits((record.name, text), f"{record.name}: {text}")

    def _admits(self, key: Hashable, event: str) -> bool:
        over = None
        with self._lock:
            now = self._clock()
            seen = self._seen.get(key)
            if seen is None or now - seen.since >= WHILE:
                self._forget(now)
                over, seen = seen, _Seen(event, now)
                self._seen[key] = seen
            seen.count += 1
            count = seen.count
        if over is not None and over.count > MOST:  # whoever was to tell it later comes too late
            self._tell(event, over.count - MOST)
        if count == MOST + 1:
            self._later(WHILE - (now - seen.since), lambda: self._sum_up(key, seen))
        return count <= MOST

    def _sum_up(self, key: Hashable, seen: _Seen) -> None:
        with self._lock:
            if self._seen.get(key) is not seen:
                return  # a new while has begun, which told of this one
            del self._seen[key]
        self._tell(seen.event, seen.count - MOST)

    def sum_up(self) -> None:
        """Tell at once what is still to be told: the process ends."""
        for key, seen in list(self._seen.items()):
            if seen.count > MOST:
                self._sum_up(key, seen)

    def _forget(self, now: float) -> None:
        if len(self._seen) >= KEYS:
            self._seen = {k: s for k, s in self._seen.items() if now - s.since < WHILE or s.count > MOST}


def later(seconds: float, call: Callable[[], None]) -> None:
    """Call it on a thread of its own, unless the process ends before."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
