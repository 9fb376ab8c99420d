"""What others ask of the loop: it answers between two turns, a few milliseconds at a time. Knows no question.

Invariants
1. What an errand looks at is looked at on the loop's thread alone, between two turns: nothing else needs a lock.
2. An errand gives the loop back after about a millisecond. What it keeps from slice to slice are copies: a slot may
   have another owner, and a row other floats, when it goes on.
"""

import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
Errand = Generator[None, None, T]  # yields where the loop may go on; returns the answer

MOST = 64  # errands that wait at a time
STOPPING = "the service is stopping; ask again when it runs"


class Unanswered(Exception):
    """The loop gave no answer; the message says why, in one line with the mend."""


@dataclass(slots=True, eq=False)
class _Waiting:
    errand: Errand[Any]
    deadline: float
    answer: "Future[Any]"


class Desk:
    """Where errands wait for the loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._closed = False

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for the loop."""
        return bool(self._waiting)

    def run(self, errand: Errand[T], within: float) -> T:
        """Its answer, within so many seconds. On any thread but the loop's. Raises Unanswered, and what it raises."""
        if len(self._waiting) >= MOST:
            raise Unanswered(f"{MOST} questions wait for the loop already; ask again later")
        answer: Future[T] = Future()
        self._waiting.append(_Waiting(errand, self._clock() + within, answer))
        if self._closed:  # it may have been the last look
            self.close()
        try:
            return answer.result(within)
        except TimeoutError:
            raise Unanswered(
                f"the loop gave no answer within {within:g} s; the log says what it waits for; ask again later"
            ) from None

    def turn(self, seconds: float) -> None:
        """Answer for about so many seconds. By the loop alone."""
        if not self._waiting:
            return
        until = self._clock() + seconds
        while self._waiting:
            one = self._waiting.popleft()
            self._go_on(one)
            if self._clock() >= until:
                return

    def _go_on(self, one: _Waiting) -> None:
        if self._clock() > one.deadline:  # nobody waits any more
            one.errand.close()
            return
        try:
            next(one.errand)
        except StopIteration as done:
            one.answer.set_result(done.value)
        except Exception as error:  # whoever asked raises it; the loop has its own looks
            one.answer.set_exception(error)
        else:
            self._waiting.append(one)

    def close(self) -> None:
        """The loop has ended."""
        self._closed = True
        with suppress(IndexError):  # there is none any more; an asker who comes too late may be closing, too
            while True:
                one = self._waiting.popleft()
                one.errand.close()
                one.answer.set_exception(Unanswered(STOPPING))
