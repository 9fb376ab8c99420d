"""The sending: by this process, or by several where one is not enough. Each has partitions of its own.

So a stream's events come from one process and stay in order, and what a partition holds is the same whatever the number
of processes. Parent and children talk over pipes. To a child: a stint and when it starts. To the parent: `Ready`, then
counts, then what was `Offered`, or a fault. Either side ends when the other one is gone.
"""

import multiprocessing
import signal
import time
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Self, TypeVar

from loadtest.errors import EnvironmentFault, LoadTestError
from loadtest.kafka import connect
from loadtest.offer import Offered, Progress
from loadtest.options import LoadOptions
from loadtest.port import Cluster
from loadtest.sender import Sender, Stint
from loadtest.sources import Features

AHEAD = 50  # ms from the word to the start, so that all processes have heard it
TELL = 0.25  # seconds between two words about the progress
START_TIMEOUT = 60.0

Word = TypeVar("Word", "Ready", Offered)


@dataclass(frozen=True, slots=True)
class Ready:
    """A child's first word."""

    rows: int | None  # see Sender


class Senders:
    """`with Senders(...)` returns once all are ready to send; leaving ends them."""

    def __init__(self, options: LoadOptions, features: Features | None, cluster: Cluster, partitions: int) -> None:
        """cluster: used where this process is the only one."""
        self._options, self._features, self._cluster, self._partitions = options, features, cluster, partitions
        self.rows: int | None = None  # how many events there are at most; None: without end
        self._alone: Sender | None = None
        self._pipes: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []

    def __enter__(self) -> Self:
        count = self._options.processes
        if count == 1:
            self._alone = Sender(self._options, self._features, self._cluster, self._partitions)
            self.rows = self._alone.rows
            return self
        context = multiprocessing.get_context("spawn")  # a client's threads would not survive a fork
        try:
            for k in range(count):
                near, far = context.Pipe()
                arguments = (far, self._options, self._features, self._partitions, (k, count))
                process = context.Process(target=_child, args=arguments, daemon=True)
                process.start()
                far.close()  # the child's end; without this its end would not be noticed here
                self._pipes.append(near)
                self._processes.append(process)
            self.rows = self._hear_all(Ready, lambda _: None, START_TIMEOUT)[0].rows
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            if kind is not None:
                process.terminate()
            process.join()

    def offer(self, stint: Stint, progress: Progress) -> Offered:
        """Offer a stretch of the load. progress: hears how many events are sent, and may raise."""
        if self._alone is not None:
            return self._alone.offer(stint, None, progress)
        start = int(time.time() * 1000) + AHEAD
        for pipe in self._pipes:
            pipe.send((stint, start))
        parts = self._hear_all(Offered, progress)
        return Offered(
            events=sum(part.events for part in parts),
            seconds=max(part.seconds for part in parts),
            started=start,
            late=max(part.late for part in parts),
            silent=sum(part.silent for part in parts),
        )

    def _hear_all(self, last: type[Word], progress: Progress, timeout: float | None = None) -> list[Word]:
        """Until each child has said its last word, which is of this type."""
        deadline = None if timeout is None else time.monotonic() + timeout
        counts, done = dict.fromkeys(self._pipes, 0), dict[Connection, Word]()
        while len(done) < len(self._pipes):
            for pipe in wait([pipe for pipe in self._pipes if pipe not in done], TELL):
                assert isinstance(pipe, Connection)
                word = _received(pipe)
                if isinstance(word, int):
                    counts[pipe] = word
                elif isinstance(word, LoadTestError):
                    raise word
                elif isinstance(word, last):
                    done[pipe] = word
            progress(sum(counts.values()))
            if deadline is not None and time.monotonic() > deadline:
                raise EnvironmentFault(
                    f"--processes {len(self._pipes)}: not all could send within {timeout:g} s; is the machine busy?"
                )
        return list(done.values())


def _received(pipe: Connection) -> object:
    try:
        return pipe.recv()
    except EOFError:
        raise EnvironmentFault("a sending process ended before its work was done; see the lines above") from None


def _child(
    pipe: Connection, options: LoadOptions, features: Features | None, partitions: int, share: tuple[int, int]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends the children
    told = 0.0

    def progress(events: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL:
            told = time.monotonic()
            pipe.send(events)

    try:
        with closing(connect(options.bootstrap_servers, options.client)) as cluster:
            sender = Sender(options, features, cluster, partitions, share)
            pipe.send(Ready(sender.rows))
            while True:
                stint, start = pipe.recv()
                pipe.send(sender.offer(stint, start, progress))
    except LoadTestError as error:
        pipe.send(error)
    except (EOFError, OSError):
        return  # nobody listens any more
