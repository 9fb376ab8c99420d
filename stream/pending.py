"""What was done since the last commit, and how it becomes durable.

Invariants: rows are kept only after a commit that is known to have taken place, and put back only where it is known not
to have. `commit` may be called inside a poll, by the group's listener: it takes nothing in and drops nothing.
"""

import time
from collections.abc import Callable, Sequence

import structlog

from engine.step import Engine
from stream import failpoint, metrics
from stream.admission import Admission
from stream.broker.port import Records
from stream.ceiling import Ceiling
from stream.errors import SinkFailed
from stream.group import Group
from stream.link import Link
from stream.partitions import Partition, Phase
from stream.pipeline import Published
from stream.recent import Recent
from stream.state.keeper import Keeper
from stream.state.snapshots import Snapshots

log = structlog.get_logger()

UNCOMMITTED = 200_000  # events; more are committed before their interval has passed, so that copies stay bounded
IDLE = 0.1  # seconds
LOOK = 0.1  # of the interval: how often it is looked whether rows press, or can go ahead
LAST_ROWS = 5.0  # seconds that writing the last rows may take


class Pending:
    """Pending of one process."""

    def __init__(
        self,
        link: Link,
        group: Group,
        engine: Engine,
        keeper: Keeper,
        admission: Admission,
        ceiling: Ceiling,
        snapshots: Snapshots | None,
        recent: Recent,
        interval: float,
        clock: Callable[[], float],
    ) -> None:
        """interval: seconds from one commit to the next, at most, while there is something to commit."""
        self._link, self._group, self._engine = link, group, engine
        self._keeper, self._admission, self._ceiling, self._snapshots = keeper, admission, ceiling, snapshots
        self._recent = recent
        self._interval = interval
        self._clock = clock
        self.count = 0  # that took place
        self._events = 0  # stepped since the last keep
        self._live = 0  # of them, of live partitions
        self._published = Published()  # of them
        self._oldest = 0  # timestamp of the first of those, milliseconds
        self._kept_at = clock()
        self._pressed_at = self._ahead_at = 0.0  # when it was last looked whether rows press, or can go ahead
        self._ending = False

    def stepped(self, batches: Sequence[Records], published: Published) -> None:
        """These events were stepped, and this was published of them."""
        live = [batch for batch in batches if self._group[batch.partition].phase is Phase.LIVE]
        if live and not self._live:
            self._oldest = min(batch.timestamps[0] for batch in live)
        self._live += sum(map(len, live))
        self._events += sum(map(len, batches))
        self._published.predictions += published.predictions
        self._published.letters += published.letters

    @property
    def patience(self) -> float:
        """Seconds until what was done has to be committed; IDLE where nothing was."""
        return max(0.0, self._kept_at + self._interval - self._clock()) if self._events else IDLE

    @property
    def due(self) -> bool:
        """Whether it is time to commit."""
        now = self._clock()
        if any(p.phase in (Phase.ORIGIN, Phase.SETTLING) for p in self._group.partitions.values()):
            return True
        if not self._group.moved and not self._ceiling.wanted and not self._keeper.due(now) and not self._wanting:
            self._kept_at = now
            return False
        if self._events >= UNCOMMITTED or now >= self._kept_at + self._interval:
            return True
        if now < self._pressed_at + self._interval * LOOK:
            return False
        self._pressed_at = now
        return self._keeper.pressed(now)

    @property
    def _wanting(self) -> bool:
        return self._snapshots is not None and self._snapshots.wanting

    def commit(self, within: float | None = None) -> None:
        """Everything that was done stands. Raises SinkFailed: then it is to be found out. within: seconds."""
        began = self._clock()
        standing = [p for p in self._group.committing() if self._stands(p)]
        if self._ceiling.wanted:  # rows of a restore must be written, too, or they could not make room
            standing += [p for p in self._group.present() if p.phase is Phase.RESTORING]
        everything = self._ceiling.wanted > 0 or self._ending
        entries = self._keeper.entries(standing, self._group.partitions.values(), all=everything)
        if standing:
            positions = {p.number: p.place for p in standing}
            sending = self._link.delivery.commit(positions, entries, self._link.source, within)
            self._keeper.took(sending)
            self._link.proven()
            self.count += 1
            if self._snapshots is not None:
                self._snapshots.committed(positions)
            self._tell(self._clock() - began, sending, sum(len(e.keys) for e in entries.values()))
        self.keep()
        failpoint.reach("kept")

    def _stands(self, partition: Partition) -> bool:
        """Whether a commit has something to say of a partition."""
        if partition.moved or partition.phase is not Phase.LIVE or self._keeper.standing(partition):
            return True
        return self._snapshots is not None and self._snapshots.wants(partition.number)

    def _tell(self, seconds: float, sending: float, records: int) -> None:
        log.debug(
            "committed",
            seconds=round(seconds, 4),
            preparing=round(self._keeper.preparing, 4),
            sending=round(sending, 4),
            records=records,
            events=self._live,
        )
        metrics.COMMIT.observe(seconds)
        metrics.TRANSACTIONS.labels("committed").inc()
        metrics.EVENTS.inc(self._live)
        metrics.PREDICTIONS.inc(self._published.predictions)
        for code, count in self._published.letters.items():
            metrics.DEAD_LETTERS.labels(code).inc(count)
        now, letters = time.time(), sum(self._published.letters.values())
        latency = max(0.0, now - self._oldest / 1000) if self._live else None
        if latency is not None:
            metrics.EVENT_LATENCY.observe(latency)
        self._recent.committed(now, self._live, self._published.predictions, letters, latency)

    def write_ahead(self) -> None:
        """Rows go into the next transaction at its beginning: they are on their way while events are stepped."""
        now = self._clock()
        if now < self._ahead_at + self._interval * LOOK:
            return
        self._ahead_at = now
        rows = self._keeper.ahead(self._group.in_phase(Phase.LIVE), now)
        if rows:
            seconds = self._link.delivery.write(rows)
            self._keeper.wrote_ahead(sum(len(entries.keys) for entries in rows.values()), seconds)

    def finish(self) -> None:
        """Before a stop: commit what was done, and write the rows that the changelog lacks, so that a restart has
        nothing to step again. A commit that fails now is not made good: whoever has the partitions next does."""
        self._ending = True
        deadline = self._clock() + LAST_ROWS
        if self._snapshots is not None:
            self._snapshots.prepare_last(list(self._group.partitions.values()))
        wanting = self._wanting
        try:
            self.commit()
            while (
                wanting or any(map(self._keeper.standing, self._group.in_phase(Phase.LIVE)))
            ) and self._clock() < deadline:
                self.commit()
                wanting = False
        except SinkFailed as error:
            log.warning("last_commit_lost", reason=str(error), mend="nothing: its events are processed again")
            return
        if self._snapshots is not None:
            self._snapshots.last()

    def keep(self) -> None:
        """What was done since the last commit stands."""
        self._keeper.kept(self._group.partitions.values(), self._clock())
        self._group.settle()
        self._admission.committed()
        self._recent.keep(time.time())
        self._forget()
        self._kept_at = self._clock()
        metrics.CHECKPOINT_LAG.set(self._keeper.lag)

    def put_back(self) -> None:
        """What was done since the last commit did not happen."""
        self._keeper.put_back()
        self._group.rewind()
        self._recent.put_back()
        self._forget()

    def _forget(self) -> None:
        self._events = self._live = 0
        self._published = Published()
