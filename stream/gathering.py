"""An inquiry put to several workers, and their answers, gathered within a deadline. Knows no process's life.

Whoever asks waits on a thread of its own; answers come in on the one that hears the workers, which waits for nothing.
"""

import itertools
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from stream.child import Asked, Told
from stream.inquiries import Answer, Browse, Describe, Forecast, Inquiry, Overlooked, Overview, Reset

PATIENCE = 12.0  # seconds: a little longer than a worker takes that answers at all
OTHERS: Mapping[type, float] = {Overview: 2.0, Describe: 4.0, Browse: 20.0, Reset: 20.0, Forecast: 75.0}


class Worker(Protocol):
    """Who can be asked."""

    def ask(self, asked: Asked) -> bool:
        """Whether it is on its way there. Never waits."""


class _Gathering:
    def __init__(self, workers: Mapping[int, Worker]) -> None:
        self.missing = set(workers)
        self.answers: dict[int, Answer] = {}
        self.complete = threading.Event()


class Gatherings:
    """All inquiries that are under way. On any thread."""

    def __init__(self, patience: float | None = None) -> None:
        """patience: seconds, whatever is asked."""
        self._patience = patience
        self._numbers = itertools.count(1)
        self._open: dict[int, _Gathering] = {}
        self._lock = threading.Lock()

    def ask(self, workers: Mapping[int, Worker], inquiry: Inquiry) -> list[Answer]:
        """Their answers, in the order of their numbers; who does not answer in time is left out."""
        if not workers:
            return []
        gathering = _Gathering(workers)
        with self._lock:
            number = next(self._numbers)
            self._open[number] = gathering
        for worker, end in workers.items():
            if not end.ask(Asked(number, inquiry)):
                self._take(gathering, worker, None)
        gathering.complete.wait(self._patience or OTHERS.get(type(inquiry), PATIENCE))
        with self._lock:
            del self._open[number]
            return [answer for _, answer in sorted(gathering.answers.items())]

    def told(self, worker: int, told: Told) -> None:
        """A worker answered; perhaps too late."""
        if (gathering := self._open.get(told.number)) is not None:
            self._take(gathering, worker, told.answer)

    def gone(self, worker: int) -> None:
        """A worker has ended: nobody waits for it."""
        with self._lock:
            under_way = list(self._open.values())
        for gathering in under_way:
            self._take(gathering, worker, None)

    def _take(self, gathering: _Gathering, worker: int, answer: Answer | None) -> None:
        with self._lock:
            gathering.missing.discard(worker)
            if isinstance(answer, Overlooked):
                answer = replace(answer, worker=worker)
            if answer is not None:
                gathering.answers[worker] = answer
            if not gathering.missing:
                gathering.complete.set()
