"""Repeats a call to the broker while it is away, with backoff and a limit."""

from collections.abc import Callable
from typing import TypeVar

import structlog

from stream.errors import SinkFailed, Unavailable

log = structlog.get_logger()
T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds


def given_up(error: Exception) -> Unavailable:
    """What is told where a broker stays away."""
    return Unavailable(f"{error}; given up. Nothing is lost: events from the last commit on are processed again")


class Patience:
    """How long, and what to do in the pauses."""

    def __init__(
        self,
        limit: float,
        clock: Callable[[], float],
        stopping: Callable[[], bool],
        wait: Callable[[float], None],
    ) -> None:
        """limit: seconds until the broker counts as gone for good; wait: passes so many seconds."""
        self._limit = limit
        self._clock = clock
        self._stopping = stopping
        self._wait = wait

    def __call__(self, call: Callable[[], T]) -> T:
        """The call's result. Raises Unavailable at the limit, or where the process is told to stop meanwhile."""
        deadline = self._clock() + self._limit
        pause = FIRST_PAUSE
        while True:
            try:
                return call()
            except (Unavailable, SinkFailed) as error:
                if self._stopping() or self._clock() > deadline:
                    raise given_up(error) from None
                log.warning("broker_is_away", reason=str(error), retry_in=pause)
            self._wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
