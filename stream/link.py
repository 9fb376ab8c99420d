"""The handles to the broker: how each is made, lost and made again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from stream.broker.port import Client, Identity, Listener, Offsets, Reader, Records, Sink, Source
from stream.commit import Delivery
from stream.errors import Unavailable
from stream.patience import Patience, given_up

T = TypeVar("T")

log = structlog.get_logger()

CALL_TIMEOUT = 10.0  # seconds that one call to the broker may take
AWAY = 0.1  # seconds until a poll that found no broker is repeated


@dataclass(frozen=True)
class Access:
    """Who asks for what, and how long. Seconds."""

    client: Client
    identity: Identity
    input_topic: str
    state_topic: str  # the changelog
    batch_bytes: int  # of one batch of records: no more than any topic takes
    record_bytes: int  # of one record that may have to be sent
    in_flight_bytes: int  # of records that were fetched and not stepped, or sent and not acknowledged
    exactly_once: bool
    session_timeout: float
    broker_timeout: float  # how long the broker may be away


class Link:
    """Holds the handles. `source` is there from `join` on, `delivery` from `connect` on."""

    source: Source
    delivery: Delivery

    def __init__(self, access: Access, clock: Callable[[], float], stopping: Callable[[], bool]) -> None:
        self._access = access
        self._clock = clock
        self._stopping = stopping
        self._joined = False
        self._away_since: float | None = None  # when a poll first found no broker
        self._polled_at = clock()  # when a poll last found one
        self._away = False  # longer than a session, since the last commit
        self._answered_at = clock()  # when a broker last answered
        self.answers = True  # whether one did when it was last asked; safe to ask from another thread
        self.patient_at = clock()  # when it was last waited for on purpose; as `answers`
        self.patiently = Patience(access.broker_timeout, clock, stopping, self._pause)

    def connect(self) -> None:
        """A new delivery. The one before it in this slot, here or in another process, is fenced."""
        a = self._access
        self.delivery = self.patiently(
            lambda: Delivery(
                a.client,
                a.identity,
                a.state_topic,
                exactly_once=a.exactly_once,
                timeout=CALL_TIMEOUT,
                batch_bytes=a.batch_bytes,
                # A client refuses what its queue, empty, has no room for: two are there at least once.
                queue_bytes=max(a.in_flight_bytes // 2, 4 * a.record_bytes),
            )
        )
        self.heard(True)

    def join(self, listener: Listener) -> None:
        """A new member of the group."""
        a = self._access
        self.source = self.patiently(
            # A batch takes as much as was fetched ahead, and meanwhile as much is fetched again.
            lambda: a.client.source(
                a.identity, a.input_topic, session_timeout=a.session_timeout, ahead_bytes=a.in_flight_bytes // 4
            )
        )
        self.source.subscribe(listener)
        self._joined = True

    def leave(self, for_good: bool) -> None:
        """Stop consuming; for_good gives the slot's partitions to others at once."""
        self._joined = False
        self.source.close(leave=for_good)

    # `reader`, `sink`, `offsets` and `fence` may be called on any thread: they touch nothing of this.

    def reader(self, topic: str) -> Reader:
        """Reads a topic beside the group. Raises Unavailable."""
        return self._access.client.reader(self._access.identity, topic)

    def sink(self) -> Sink:
        """A plain producer beside the delivery. Raises Unavailable."""
        a = self._access
        return a.client.sink(a.identity, transactional=False, timeout=CALL_TIMEOUT, batch_bytes=a.batch_bytes)

    def offsets(self, topic: str) -> Offsets:
        """Questions about a topic."""
        return self._access.client.offsets(self._access.identity, topic)

    def ends(self, partitions: Sequence[int]) -> dict[int, int]:
        """Where the input ends now, for a reader of committed records."""
        offsets = self.offsets(self._access.input_topic)
        try:
            return self.patiently(lambda: offsets.ends(partitions, CALL_TIMEOUT))
        finally:
            offsets.close()

    def fence(self, writer: str) -> None:
        """Take a dead peer's transactional id from it, so that its open transaction is aborted. Raises Unavailable."""
        a = self._access
        identity = Identity(a.identity.bootstrap_servers, a.identity.group, writer, a.identity.client_properties)
        a.client.sink(identity, transactional=True, timeout=CALL_TIMEOUT).close()

    def poll(self, max_records: int, timeout: float) -> list[Records]:
        """As `Source.poll`, but a broker that is away is waited for. Raises Unavailable where it is away too long."""
        try:
            found = self.source.poll(max_records, timeout)
        except Unavailable as error:
            now = self._clock()
            if self._away_since is None:
                self._away_since = now
                log.warning("broker_is_away", reason=str(error))
            self.heard(False)
            if self._stopping() or now - self._away_since > self._access.broker_timeout:
                raise given_up(error) from None
            time.sleep(AWAY)
            return []
        self._away_since = None
        now = self._clock()
        self._away |= now - self._polled_at > self._access.session_timeout
        self._polled_at = now
        return found

    @property
    def away(self) -> bool:
        """Whether this process found no broker, or slept, for longer than its session, since a commit last proved that
        its slot is its own."""
        return self._away or self.slept(self._polled_at)

    def slept(self, since: float) -> bool:
        """Whether a session would have run out since that time."""
        return self._clock() - since > self._access.session_timeout

    def proven(self) -> None:
        """A commit took place."""
        self._away = False
        self.heard(True)

    def heard(self, answer: bool) -> None:
        """A broker was asked something, and answered or did not. On any thread."""
        self.answers = answer
        if answer:
            self._answered_at = self._clock()

    @property
    def silent(self) -> float:
        """Seconds since a broker last answered. Safe to ask from another thread."""
        return self._clock() - self._answered_at

    def _pause(self, seconds: float) -> None:
        """Between two calls that find no broker. Whoever waits so is not stuck."""
        self.heard(False)
        self.patient_at = self._clock()
        self.wait(seconds)

    def wait(self, seconds: float) -> None:
        """Let time pass without losing the membership. Everything must be paused."""
        if self._joined:
            self.poll(1, seconds)
        else:
            time.sleep(seconds)
