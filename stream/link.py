"""The two handles to the broker, a source and a delivery, and how each is made, lost and made again."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from stream.broker.port import Client, Identity, Listener, Source
from stream.commit import Delivery
from stream.patience import Patience

T = TypeVar("T")

CALL_TIMEOUT = 10.0  # seconds that one call to the broker may take


@dataclass(frozen=True)
class Access:
    """Who asks for what, and how long. Seconds."""

    client: Client
    identity: Identity
    input_topic: str
    exactly_once: bool
    session_timeout: float
    broker_timeout: float  # how long the broker may be away


class Link:
    """Holds the handles. `source` is there from `join` on, `delivery` from `connect` on."""

    source: Source
    delivery: Delivery

    def __init__(self, access: Access, clock: Callable[[], float], stopping: Callable[[], bool]) -> None:
        self._access = access
        self._joined = False
        self._patience = Patience(access.broker_timeout, clock, stopping, self._wait)

    def patiently(self, call: Callable[[], T]) -> T:
        """Repeat a call while the broker is away. Everything is paused meanwhile, and the membership kept alive."""
        return self._patience(call)

    def connect(self) -> None:
        """A new delivery. The one before it in this slot, here or in another process, is fenced."""
        a = self._access
        self.delivery = self.patiently(
            lambda: Delivery(a.client, a.identity, exactly_once=a.exactly_once, timeout=CALL_TIMEOUT)
        )

    def join(self, listener: Listener) -> None:
        """A new member of the group."""
        a = self._access
        self.source = self.patiently(
            lambda: a.client.source(a.identity, a.input_topic, session_timeout=a.session_timeout)
        )
        self.source.subscribe(listener)
        self._joined = True

    def leave(self, for_good: bool) -> None:
        """Stop consuming; for_good gives the slot's partitions to others at once."""
        self._joined = False
        self.source.close(leave=for_good)

    def _wait(self, seconds: float) -> None:
        if self._joined:
            self.source.poll(1, seconds)
        else:
            time.sleep(seconds)
