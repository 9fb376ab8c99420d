"""The life of several workers: started, started again when they die, stopped together.

The parent runs no model and knows no broker. Each worker is a process, and a member of the group, of its own.
"""

import signal
import socket
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait

import structlog
from prometheus_client.core import Metric

from stream import metrics
from stream.bell import belled
from stream.child import COMMAND, Child, Release, Report, Standing, Task, Told
from stream.errors import EnvironmentFault, StatecastError, UsageError
from stream.gathering import Gatherings
from stream.inquiries import Answer, Inquiry

log = structlog.get_logger()

AGAIN = 1.0  # seconds after which a signal is a second one; `timeout` and some shells send the first one twice
STEADY = 60.0  # seconds of life after which a death is no sequel of the one before
LONGEST_PAUSE = 30.0  # seconds between a death and the next start
WELL = frozenset({Standing.READY, Standing.EMPTY})
SILENT = 5.0  # seconds, several reports, after which the last one says nothing about now


def pause(deaths: int) -> float:
    """Seconds until a worker that died so many times in a row is started again."""
    return 0.0 if deaths < 2 else min(LONGEST_PAUSE, 2.0 ** min(deaths - 2, 10))


class Place:
    """One worker's place in the fleet, whoever fills it."""

    def __init__(self, task: Task, now: float) -> None:
        self.task = task
        self.child: Child | None = None
        self.due: float | None = now  # when it is to be started; None: it runs, or has done its work
        self.started_at = now
        self.lives = 0  # so far
        self.deaths = 0  # in a row
        self.turned_at = now  # when its loop last came round
        self.report: Report | None = None
        self.heard_at = now  # when that came
        self.well_at: float | None = None  # when it last had nothing on the way, in this life or one before

    @property
    def done(self) -> bool:
        """Whether it needs nobody any more."""
        return self.child is None and self.due is None

    @property
    def standing(self) -> Standing:
        """By its last report, as long as that can be believed."""
        report = self.report
        fresh = time.monotonic() - self.heard_at < SILENT
        return report.standing if report is not None and fresh else Standing.ON_THE_WAY

    def hear(self, report: Report) -> None:
        now = time.monotonic()
        self.report, self.heard_at, self.turned_at = report, now, now - report.idle
        if report.standing in WELL:
            self.well_at = now


class Fleet:
    """All workers of one service, from `run`'s beginning to its end. `beats`, `ready`, `metrics` and `ask` may be used
    on other threads."""

    def __init__(
        self,
        tasks: Sequence[Task],
        stop_timeout: float,
        broker_timeout: float,
        end_patience: float | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        """broker_timeout: how long a worker that was well may fail to come back. end_patience: with --until-end, how
        long to wait for partitions that no worker has. Seconds."""
        self._places = [Place(task, time.monotonic()) for task in tasks]
        for task in tasks:
            metrics.RESTARTS.labels(str(task.number))  # at 0, so that the first one counts
        self._stop_timeout = stop_timeout
        self._broker_timeout = broker_timeout
        self._end_patience = end_patience
        self._reached: set[int] = set()  # partitions that were worked off to their ends
        self._calm_since: float | None = None  # since when no worker has anything to do
        self._released = False
        self._command = command
        self._gatherings = Gatherings()
        self._failure: StatecastError | None = None  # the first one: what the service ends with
        self._deadline: float | None = None  # of a stop that is under way
        self._told_at: float | None = None  # when a signal came

    def beats(self) -> Mapping[str, float]:
        """Worker -> seconds since its loop came round."""
        now = time.monotonic()
        return {f"worker {p.task.number}": now - p.turned_at for p in self._places if not p.done}

    @property
    def ready(self) -> bool:
        """Whether every worker runs and has nothing on its way, and at least one has something."""
        found = {p.standing for p in self._places if not p.done}
        return Standing.READY in found and found <= WELL

    def metrics(self) -> Mapping[str, Sequence[Metric]]:
        """Worker -> its metrics, of those that run."""
        reports = [(str(p.task.number), p.report) for p in self._places]
        return {number: report.metrics for number, report in reports if report is not None}

    def ask(self, inquiry: Inquiry) -> list[Answer]:
        """One answer of each worker that gives one in time. One that has been silent for a while is not asked."""
        now = time.monotonic()
        talking = [p for p in self._places if p.report is not None and now - p.heard_at < SILENT]
        ends = {p.task.number: child for p in talking if (child := p.child) is not None}
        return self._gatherings.ask(ends, inquiry)

    def run(self) -> None:
        """Until every worker has ended and none is to be started again."""
        try:
            with belled() as bell:
                while not all(p.done for p in self._places):
                    self._start()
                    self._wait(bell)
        finally:
            for place in self._places:
                if place.child is not None:
                    place.child.signal(signal.SIGKILL)
                    place.child.end()
                    self._gatherings.gone(place.task.number)  # the process does not end before whoever waits for it
        if self._failure is not None:
            raise self._failure

    def _start(self) -> None:
        for place in self._places:
            if place.due is None or place.due > time.monotonic():
                continue
            try:
                place.child = Child(place.task, self._command)
            except OSError as error:
                self._died(place, f"could not be started: {error.strerror}")
                continue
            place.due, place.started_at = None, time.monotonic()
            place.lives += 1
            if self._released:
                place.child.tell(Release.ALL)
            log.info("worker_started", worker=place.task.number, process=place.child.pid)

    def _wait(self, bell: socket.socket) -> None:
        """For the next thing that happens."""
        times = [t for t in (self._deadline, *(p.due for p in self._places)) if t is not None]
        pipes = {p.child.pipe: p for p in self._places if p.child is not None}
        until = max(0.0, min(times) - time.monotonic()) if times else None
        heard = wait([bell, *pipes], until)
        if bell in heard:
            self._signalled(signal.Signals(bell.recv(1)[0]))
        for pipe, place in pipes.items():
            if pipe in heard:
                self._hear(place)
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._force(f"the stop took longer than --stop-timeout {self._stop_timeout:g} s")

    def _hear(self, place: Place) -> None:
        assert place.child is not None
        report = place.child.hear()
        if isinstance(report, Told):
            self._gatherings.told(place.task.number, report)
            return
        if report is not None:
            place.hear(report)
            self._reached |= report.reached
            if self._end_patience is None:
                self._despair()
            elif not self._released:
                self._consider(self._end_patience, report.partitions)
            return
        code, words = place.child.end()
        place.child = place.report = None
        self._gatherings.gone(place.task.number)
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        log.info("worker_ended", worker=place.task.number, how=how, said=words)
        if self._deadline is not None and code in (0, -signal.SIGTERM):
            return  # SIGTERM: it came before there was anything to bring in order
        if code == 0 and self._released:
            return
        if 0 < code != UsageError.exit_code and self._deadline is None and self._passing(place):
            self._died(place, words or how)
        elif code > 0 or self._deadline is not None:
            self._failed(code, words or f"worker {place.task.number} {how}, without a word; see the log")
        else:
            self._died(place, how)

    def _consider(self, patience: float, partitions: int) -> None:
        """Let the workers end where nothing is left to do: all is worked off, or what is not is not to be had."""
        now = time.monotonic()
        reports = [p.report for p in self._places if not p.done]
        calm = all(report is not None and not report.working for report in reports)
        self._calm_since = (self._calm_since or now) if calm else None
        missing = sorted(set(range(partitions)) - self._reached)
        if missing and (self._calm_since is None or now - self._calm_since < patience):
            return
        if missing:
            log.warning("ended_without_partitions", partitions=missing, mend="other members of the group have them")
        self._released = True
        for place in self._places:
            if place.child is not None:
                place.child.tell(Release.ALL)

    def _despair(self) -> None:
        """Where no worker can serve any of its partitions, a service that stays would only hide it."""
        if self._deadline is None and all(p.standing is Standing.HALTED for p in self._places):
            self._stop()

    def _passing(self, place: Place) -> bool:
        """Whether what ended this worker may pass, as it does for its siblings: a life before was well, not long ago.
        A first life has only its own patience."""
        well = place.well_at
        return place.lives > 1 and well is not None and time.monotonic() - well < self._broker_timeout

    def _died(self, place: Place, how: str) -> None:
        """Start it again. The brokers abort what it had not committed, and its successor in the slot has its place."""
        now = time.monotonic()
        place.deaths = 1 if now - place.started_at > STEADY else place.deaths + 1
        place.due = now + pause(place.deaths)
        metrics.RESTARTS.labels(str(place.task.number)).inc()
        log.warning("worker_died", worker=place.task.number, how=how, starts_again_in=pause(place.deaths))

    def _failed(self, code: int, words: str) -> None:
        """A start would meet the same again. What the others have is brought in order first."""
        if self._failure is None:
            self._failure = UsageError(words) if code == UsageError.exit_code else EnvironmentFault(words)
        if self._deadline is None and self._end_patience is None:
            self._stop()

    def _signalled(self, number: signal.Signals) -> None:
        now = time.monotonic()
        if self._told_at is not None and now - self._told_at > AGAIN:
            self._force(f"{number.name} came before the workers had stopped")
        if self._told_at is None:
            self._told_at = now
            log.info("stopping", signal=number.name)
            if self._deadline is None:
                self._stop()

    def _stop(self) -> None:
        self._deadline = time.monotonic() + self._stop_timeout
        for place in self._places:
            place.due = None
            if place.child is not None:
                place.child.signal(signal.SIGTERM)

    def _force(self, why: str) -> None:
        raise self._failure or EnvironmentFault(f"{why}; ended by force")
