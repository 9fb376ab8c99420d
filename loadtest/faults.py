"""kill -9 of the service, now and then, and its next life. The moments come from a seed. Knows only the service."""

import random
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from loadtest.errors import EnvironmentFault
from loadtest.service import Service
from loadtest.timeline import Mark

TICK = 0.1  # seconds between two looks at whether it lives


def distances(every: float, seed: int) -> Iterator[float]:
    """Seconds from kill to kill: from half to one and a half of `every`, evenly."""
    chance = random.Random(seed)
    while True:
        yield every * chance.uniform(0.5, 1.5)


class Faults:
    """Keeps the service running inside the block: kills and restarts it; stops it at the end.

    A thread of its own, so that nothing that the load test waits for puts a kill off.
    """

    def __init__(self, service: Service, every: float | None, seed: int) -> None:
        """every: seconds between two kills on average; None: no kills."""
        self.kills: list[Mark] = []
        self.stopped: int | None = 0  # the exit code of the last life; None where it had to be killed
        self._service = service
        self._distances = None if every is None else distances(every, seed)
        self._armed, self._over = threading.Event(), threading.Event()
        self._acting = threading.Lock()
        self._fault: EnvironmentFault | None = None
        self._thread = threading.Thread(target=self._keep, name="faults", daemon=True)

    def __enter__(self) -> Self:
        self._service.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if kind is None and self._service.exit_code is None:
            self.stopped = self._service.stop()
        else:
            self._service.kill()

    def arm(self) -> None:
        """Kills may begin."""
        self._armed.set()

    def calm(self) -> None:
        """No more kills, and the service runs again after the last one: what was offered may be worked off."""
        with self._acting:
            self._armed.clear()

    def check(self) -> None:
        """Raises EnvironmentFault once the service has ended by itself, with an error."""
        if self._fault is not None:
            raise self._fault

    def _keep(self) -> None:
        due: float | None = None
        while not self._over.wait(TICK):
            if self._service.exit_code is not None:
                # With 0 it has done what it was told to, as with --until-end.
                self._fault = self._service.fault() if self._service.exit_code else None
                return
            if self._distances is None or not self._armed.is_set():
                due = None
                continue
            due = due or time.monotonic() + next(self._distances)
            if time.monotonic() >= due:
                due = None
                try:
                    self._act()
                except EnvironmentFault as fault:
                    self._fault = fault
                    return

    def _act(self) -> None:
        with self._acting:
            if self._armed.is_set():
                self.kills.append(Mark(time.time(), "kill -9"))
                self._service.kill()
                self._service.start()
