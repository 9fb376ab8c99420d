"""Predecessors that died in a transaction. Until that times out it holds back what they wrote to: the group's offsets,
the changelog, the output. Their transactional.id, which the marker tells, is taken from them (KIP-98).
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from stream.errors import Unavailable
from stream.state.places import STABLE
from stream.state.questions import Answer, Questions

log = structlog.get_logger()

AGAIN = 10.0  # seconds until the same peer is fenced once more


@dataclass(slots=True)
class Suspect:
    """A predecessor whose open transaction lay at the end of an output partition."""

    number: int
    writer: str
    held: int  # where it began
    since: float
    asked: Answer[dict[int, int]] | None = None  # whether it is still there


class Held(Protocol):
    """Asks the brokers, and waits."""

    def held(self, numbers: Sequence[int]) -> dict[int, int]:
        """See `places.Brokers`."""


class Fencing:
    """Who is to be fenced, and when."""

    def __init__(
        self,
        fence: Callable[[str], None],
        places: Held,
        slot: str,
        questions: Questions,
        clock: Callable[[], float],
    ) -> None:
        """fence: takes a transactional.id, and waits; slot: this process's own."""
        self._fence = fence
        self._places = places
        self._slot = slot
        self._questions = questions
        self._clock = clock
        self._fenced: dict[str, float] = {}
        self._suspects: list[Suspect] = []

    def waits(self, number: int, writer: str, since: float) -> None:
        """Something has held up a restore since then; writer: whom the partition's marker names."""
        if writer != self._slot and self._clock() - since > STABLE:
            self._end(writer, number)

    def suspect(self, number: int, writer: str | None, held: int | None) -> None:
        """A predecessor that died before it wrote state or offsets holds nobody up here, but its open transaction hides
        every later output from readers of committed records. held: where that begins, None where there is none."""
        if held is not None and writer not in (None, self._slot):
            self._suspects.append(Suspect(number, str(writer), held, self._clock()))

    def forget(self, number: int) -> None:
        """The partition goes."""
        self._suspects = [suspect for suspect in self._suspects if suspect.number != number]

    def look(self) -> None:
        """Fence those whose transaction is still there."""
        for suspect in list(self._suspects):
            if suspect.asked is None:
                if self._clock() - suspect.since >= STABLE:
                    number = suspect.number
                    suspect.asked = self._questions.ask(lambda number=number: self._places.held([number]))  # type: ignore[misc]
            elif suspect.asked.there:
                self._suspects.remove(suspect)
                with contextlib.suppress(Unavailable):  # then its transaction's own time limit ends it
                    if suspect.asked.get().get(suspect.number) == suspect.held:
                        self._end(suspect.writer, suspect.number)

    def _end(self, writer: str, number: int) -> None:
        now = self._clock()
        if now - self._fenced.get(writer, -AGAIN) >= AGAIN:
            self._fenced[writer] = now
            log.warning("fencing_a_predecessor", writer=writer, partition=number)
            self._questions.ask(lambda: self._fence(writer))
