"""The way back from a failure of the producer: find out what took place, and go on from there.

Invariants: the group may commit only while a delivery is open whose transaction holds everything since the last keep.
Rows are kept or put back before that is so again.
"""

from collections.abc import Callable
from typing import Protocol

import structlog

from stream import metrics
from stream.broker.port import Offsets
from stream.errors import GenerationOver, SinkFailed, SinkFenced, SlotTaken, Unavailable
from stream.group import Group
from stream.link import CALL_TIMEOUT, Link
from stream.partitions import Phase
from stream.patience import FIRST_PAUSE, LONGEST_PAUSE

log = structlog.get_logger()

FENCE_LOOK = 3.0  # seconds in which a process that took this slot's transactions joins the group, too


class Pending(Protocol):
    """Who keeps rows, or puts them back."""

    @property
    def count(self) -> int:
        """How many commits took place."""

    def keep(self) -> None:
        """The transaction took place."""

    def put_back(self) -> None:
        """It did not."""


class Mending:
    """Mends one failure after the other; gives up when they go on without an end."""

    def __init__(
        self,
        link: Link,
        group: Group,
        offsets: Offsets,
        pending: Pending,
        limit: float,
        clock: Callable[[], float],
        stopping: Callable[[], bool],
    ) -> None:
        """offsets: of the input topic; limit: seconds that failures may go on without a commit between them."""
        self._link = link
        self._group = group
        self._offsets = offsets
        self._pending = pending
        self._limit = limit
        self._clock = clock
        self._stopping = stopping
        self._since = 0.0  # the first failure after the last commit
        self._count = -1  # commits until then
        self._pause = 0.0
        self._mended: SinkFailed | None = None  # what is being mended

    def mend(self, error: SinkFailed) -> None:
        """The open transaction is lost, or its outcome unknown. Raises Unavailable where this has gone on too long."""
        began = self._clock()
        self._mended, replaced = error, self._replaced(error)
        log.warning("transaction_lost", reason=str(error))
        self._group.may_commit = False
        self._link.source.pause([p.number for p in self._group.present()])
        happened, aborted = False, isinstance(error, GenerationOver)
        if aborted:
            try:
                self._link.delivery.abort()
            except SinkFailed as failed:
                log.warning("not_aborted", reason=str(failed))
                aborted, replaced = False, replaced or self._replaced(failed)
                self._mended = failed
        metrics.TRANSACTIONS.labels("aborted" if aborted else "lost").inc()
        if not aborted:
            self._link.delivery.close()
        self._wait(error)
        if not aborted:
            # Until a broker answers, a look at the consumer tells nothing.
            self._link.patiently(lambda: self._offsets.watermarks([0], CALL_TIMEOUT))
            if replaced or self._link.slept(began):
                self._look_at_the_consumer()
            self._link.connect()
            happened = self._happened()
        if happened:
            self._pending.keep()
        else:
            self._pending.put_back()
        # Not before: a revocation would have committed offsets whose outputs were lost.
        self._group.may_commit = True
        flowing = [p for p in self._group.present() if p.phase in (Phase.RESTORING, Phase.LIVE)]
        for partition in flowing:
            self._link.source.seek(partition.number, partition.position)
        self._link.source.resume([p.number for p in flowing])
        self._mended = None
        log.info("mended", transaction_took_place=happened)

    def _wait(self, error: SinkFailed) -> None:
        """The first failure is mended at once; what fails again and again is given time, and an end."""
        now = self._clock()
        if self._count != self._pending.count:
            self._since, self._count, self._pause = now, self._pending.count, 0.0
            return
        if now - self._since > self._limit or self._stopping():
            raise Unavailable(
                f"{error}; given up after {now - self._since:.0f} s without a commit. "
                "Nothing is lost: events from the last commit on are processed again"
            )
        self._pause = min(max(self._pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        self._link.wait(self._pause)

    def _happened(self) -> bool:
        """Whether the transaction whose answer never came took place. All of it did, or none of it."""
        # Only these can tell: where nothing is new, the committed offset is the position in any case.
        moved = [p for p in self._group.present() if p.uncommitted and p.phase is Phase.LIVE]
        if not moved:
            return False
        committed = self._link.patiently(lambda: self._offsets.committed([p.number for p in moved], CALL_TIMEOUT))
        return any(committed[p.number] == p.position for p in moved)

    def _replaced(self, error: SinkFailed) -> bool:
        """Whether another process may have this slot: it has fenced this one's producer, or this one was not there for
        so long that its failure says nothing."""
        return isinstance(error, SinkFenced) or self._link.away

    def _look_at_the_consumer(self) -> None:
        """A newer producer has this slot. If a consumer has it too, another process lives there: SlotTaken comes out of
        the poll, and this process ends. To initialise the slot again would fence that process back, for ever."""
        deadline = self._clock() + FENCE_LOOK
        while self._clock() < deadline:
            self._link.poll(1, 0.2)

    def start_over(self, taken: SlotTaken) -> None:
        """The consumer was fenced. Whoever takes a slot fences its producer before its consumer, so where this
        producer is still the newest nobody did: a consumer that rejoins after a broker's restart can fence itself."""
        error, self._mended = self._mended, None
        try:
            if error is None:
                self._link.delivery.prove()
            elif self._replaced(error):
                raise taken
        except SinkFenced:
            raise taken from None
        except SinkFailed as failed:
            error = failed
        log.warning("consumer_was_fenced_and_joins_again", reason=str(error or taken))
        self._group.may_commit = False
        self._link.delivery.close()
        self._link.leave(for_good=False)
