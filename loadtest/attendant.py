"""What goes on beside a load test: the watch, and the service where the load test runs it, with its kills.

It begins once the follower reads, and ends before anything is verified. `modes` tells it when.
"""

from types import TracebackType
from typing import Self

from loadtest.errors import UsageError
from loadtest.faults import Faults
from loadtest.follower import Followed
from loadtest.kafka import connect
from loadtest.options import LoadOptions
from loadtest.report import Told
from loadtest.service import Service
from loadtest.timeline import Timeline, Watch, timeline
from loadtest.usage import Usage, alive


class Attendant:
    """Of one load test. Leaving the block stops what it has begun."""

    def __init__(self, options: LoadOptions, told: Told) -> None:
        """Raises UsageError where the service cannot be started, or a process not be looked at."""
        for pid in options.pid:
            if not alive(pid):
                raise UsageError(f"--pid {pid}: there is no such process, or it is not yours; give the service's")
        self._options, self._told = options, told
        self._service = None if options.serve is None else Service(options.serve, options.serve_log)
        self._faults: Faults | None = None
        self._watch: Watch | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._watch is not None:
                self._watch.__exit__(kind, value, trace)
        finally:
            if self._faults is not None:
                self._faults.__exit__(kind, value, trace)

    def begin(self) -> None:
        """The topics are there and the follower reads: watch, and start the service. Raises LoadTestError."""
        options = self._options
        usage = Usage(lambda: [*options.pid, *(self._service.pids if self._service is not None else ())])
        cluster = connect(options.bootstrap_servers, options.client)  # the watch's own: it asks from its own thread
        self._watch = Watch(cluster, options.input_topic, usage, options.watch_interval).__enter__()
        if self._service is None:
            return
        self._told.note(f"the service is started here; its log is {options.serve_log}")
        self._faults = Faults(self._service, options.kill_every, options.seed).__enter__()
        if options.serve_ready is not None:
            self._service.wait_ready(options.serve_ready, check=self._faults.check)
        self._faults.arm()

    def check(self) -> None:
        """Raises EnvironmentFault once a service that was started here has ended with an error."""
        if self._faults is not None:
            self._faults.check()

    def calm(self) -> None:
        """All is offered: no more kills."""
        if self._faults is not None:
            self._faults.calm()

    @property
    def kills(self) -> int | None:
        """How often the service was killed; None where it was not to be."""
        return len(self._faults.kills) if self._faults is not None and self._options.kill_every is not None else None

    def timeline(self, followed: Followed | None) -> Timeline | None:
        """What was seen over time, after the block."""
        if self._faults is not None and self._faults.stopped != 0:
            code = self._faults.stopped
            how = "had to be killed, it did not end in time" if code is None else f"ended with exit code {code}"
            self._told.note(f"the service {how} when it was stopped; its log is {self._options.serve_log}")
        if self._watch is None:
            return None
        marks = self._faults.kills if self._faults is not None else []
        series = None if followed is None else followed.series
        return timeline(self._watch, series, marks, latencies=not self._options.drain)
