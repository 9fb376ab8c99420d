"""How many events wait in each partition: asked of the brokers every few seconds, on another thread.

Lag is the end of what a reader of committed records can get to, less the place up to which events were processed (while
restoring: were predicted, by whoever had the partition then), both at one moment. A partition whose place is not known
yet has none.
"""

from collections.abc import Callable
from dataclasses import dataclass

from stream import metrics
from stream.broker.port import Offsets
from stream.errors import BrokerFault
from stream.group import Group
from stream.partitions import Partition, Phase
from stream.state.questions import Answer, Questions

EVERY = 2.0  # seconds from an answer to the next question
TIMEOUT = 5.0  # seconds
KNOWN = frozenset({Phase.ORIGIN, Phase.RESTORING, Phase.SETTLING, Phase.LIVE})  # where a partition's place is known


@dataclass(frozen=True, slots=True)
class _Measured:
    """A partition at one moment."""

    partition: Partition
    end: int
    place: int


class Lags:
    """Lags of one process."""

    def __init__(self, group: Group, offsets: Callable[[], Offsets], questions: Questions) -> None:
        """offsets: makes a handle for questions about the input topic, on the thread that asks."""
        self._group = group
        self._offsets = offsets
        self._questions = questions
        self._handle: Offsets | None = None  # of the thread that asks
        self._asked: Answer[list[_Measured]] | None = None
        self._next = 0.0
        self._lags: dict[int, int] = {}

    def of(self, partition: int) -> int | None:
        """Events that wait; None: not known yet. On any thread."""
        return self._lags.get(partition)

    def turn(self, now: float, reached: Callable[[Partition], int]) -> None:
        """Ask from time to time, and hear. now: seconds; reached: the offset that is next, past control records."""
        if self._asked is not None and self._asked.there:
            asked, self._asked = self._asked, None
            self._next = now + EVERY
            try:
                measured = asked.get()
            except BrokerFault:
                return  # whoever needs the broker says so; the last lags stand
            for one in measured:
                if self._group.partitions.get(one.partition.number) is one.partition:
                    behind = one.end > one.place and one.end > reached(one.partition)
                    self._tell(one.partition.number, one.end - one.place if behind else 0)
        elif self._asked is None and now >= self._next:
            known = [p for p in self._group.partitions.values() if p.phase in KNOWN]
            if known:
                self._asked = self._questions.ask(lambda: self._measure(known))

    def drop(self, partition: int) -> None:
        """It is not here any more."""
        if self._lags.pop(partition, None) is not None:
            metrics.LAG.remove(str(partition))

    def _tell(self, partition: int, lag: int) -> None:
        self._lags[partition] = lag
        metrics.LAG.labels(str(partition)).set(lag)

    def _measure(self, known: list[Partition]) -> list[_Measured]:
        if self._handle is None:
            self._handle = self._offsets()
        ends = self._handle.ends([p.number for p in known], TIMEOUT)
        # Right after the answer: under load a place runs on by the events of seconds.
        return [_Measured(p, ends[p.number], p.place) for p in known if p.phase in KNOWN]
