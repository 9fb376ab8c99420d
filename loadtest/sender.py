"""One sending process's work: its share of the load, made and sent. Several of them are `senders`' concern."""

from dataclasses import dataclass

from loadtest.offer import Offered, Progress, offer
from loadtest.options import LoadOptions
from loadtest.port import Cluster
from loadtest.sources import Features, schedule_of, source_of, spoiler_of
from loadtest.synthetic import ALONE
from loadtest.table import Table

LINGER_FULL_SPEED = 0.050  # seconds


@dataclass(frozen=True, slots=True)
class Stint:
    """A stretch of the load."""

    rate: float  # events a second of all processes, on average; 0: as fast as they go
    events: int | None  # of all processes
    seconds: float | None
    first: int = 0  # the number of its first event: how many there were before it


class Sender:
    """Goes on, from stint to stint, with the same source."""

    def __init__(
        self,
        options: LoadOptions,
        features: Features | None,
        cluster: Cluster,
        partitions: int,
        share: tuple[int, int] = ALONE,
    ) -> None:
        """share: (k, n) is the k-th of n senders. Raises UsageError where a file is not what it should be."""
        self._options = options
        self._source = source_of(options, features, partitions, share)
        self._spoiler = spoiler_of(options, self._source.features)
        timed = options.rate or options.ramp or options.speed
        self._writer = cluster.writer(linger=options.linger if timed else LINGER_FULL_SPEED)

    @property
    def rows(self) -> int | None:
        """How many events there are at most, all shares together; None: without end."""
        return len(self._source) if isinstance(self._source, Table) else None

    def offer(self, stint: Stint, start: int | None, progress: Progress) -> Offered:
        """start: ms since the epoch, None: now. Raises EnvironmentFault where the broker does not take a record."""
        due, size = schedule_of(self._options, self._source, stint.rate)
        return offer(
            map(self._spoiler.spoil, self._source.batches(size, stint.events)),
            self._writer,
            self._options.input_topic,
            schedule=due,
            events=stint.events,
            seconds=stint.seconds,
            first=stint.first,
            start=start,
            progress=progress,
        )
