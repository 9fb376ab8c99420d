"""The follower as a process of its own, so that reading takes no time from sending, nor sending from reading.

Parent and child talk over a pipe. To the child: the Goal, once all is sent. To the parent: `ready`, then counts, then
a `Followed`, or the text of a fault; and so on with the next goal. Either side ends when the other one is gone.
"""

import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from hdrh.histogram import HdrHistogram

from loadtest.codecs import CODECS, CodecName
from loadtest.errors import EnvironmentFault, LoadTestError
from loadtest.follow import Goal, follow
from loadtest.kafka import connect
from loadtest.latency import Arrivals, Arrived
from loadtest.offer import WallClock
from loadtest.port import ClientName, Cluster
from loadtest.series import Series

READY = "ready"
START_TIMEOUT = 60.0
CHECK = 0.25  # seconds between two looks at something else


@dataclass(frozen=True, slots=True)
class Followed:
    """What arrived."""

    complete: bool  # every output, as far as offsets tell
    events: int
    first_events: int  # with the first read
    first_us: int  # moments, microseconds since the epoch
    last_us: int
    histogram: bytes  # encoded, microseconds
    series: Series[Arrived]  # the same over time

    def latencies(self) -> HdrHistogram:
        """The histogram, microseconds."""
        return HdrHistogram.decode(self.histogram)

    @property
    def drained_per_second(self) -> float | None:
        """Outputs a second between the first read and the last; None where all came with one read."""
        if self.last_us == self.first_us:
            return None
        return (self.events - self.first_events) / (self.last_us - self.first_us) * 1e6


@dataclass(frozen=True, slots=True)
class Order:
    """What a follower reads, and how."""

    bootstrap_servers: str
    client: ClientName
    topic: str  # of the outputs; it may still be missing
    start: dict[int, int]  # per input partition, the first offset that counts
    codec: CodecName
    timeout: float  # seconds without any new output after which the rest is given up
    interval: float  # seconds between two points of the figures over time


class Follower:
    """The parent's end. `with Follower(...)` returns once the child reads; leaving ends the child."""

    def __init__(self, order: Order, progress: Callable[[int], None]) -> None:
        self._progress = progress
        context = multiprocessing.get_context("spawn")  # a client's threads would not survive a fork
        self._pipe, self._far = context.Pipe()
        self._process = context.Process(target=_child, args=(self._far, order), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._far.close()  # the child's end; without this its end would not be noticed here
        try:
            if not self._pipe.poll(START_TIMEOUT):
                raise EnvironmentFault(f"the follower did not start within {START_TIMEOUT:g} s; is the machine busy?")
            self._hear()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        if kind is not None:
            self._process.terminate()
        self._process.join()

    def listen(self) -> None:
        """Take what the child has said meanwhile."""
        while self._pipe.poll():
            self._hear()

    def finish(self, goal: Goal, check: Callable[[], None] = lambda: None) -> Followed:
        """Tell the goal, and wait for the end; then all but the series begins anew, for another goal.

        check: is called now and then, and may raise.
        """
        self._pipe.send(goal)
        while True:
            while not self._pipe.poll(CHECK):
                check()
            followed = self._hear()
            if followed is not None:
                return followed

    def _hear(self) -> Followed | None:
        try:
            word = self._pipe.recv()
        except EOFError:
            raise EnvironmentFault(
                "the follower's process ended before its work was done; see the lines above"
            ) from None
        if isinstance(word, Followed):
            return word
        if isinstance(word, int):
            self._progress(word)
        elif word != READY:
            raise EnvironmentFault(word)
        return None


def _child(pipe: Connection, order: Order) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the parent ends the child
    try:
        _follow(pipe, order)
    except LoadTestError as error:
        pipe.send(str(error))
    except (EOFError, OSError):
        return  # nobody listens any more


def _follow(pipe: Connection, order: Order) -> None:
    topic, start, timeout = order.topic, order.start, order.timeout
    cluster = connect(order.bootstrap_servers, order.client)
    goal: list[Goal] = []

    def asked() -> Goal | None:
        if not goal and pipe.poll():
            goal.append(pipe.recv())
        return goal[0] if goal else None

    positions = {p: high for p, (_, high) in cluster.watermarks(topic).items()}
    if not positions:
        pipe.send(READY)
        positions = dict.fromkeys(range(_appear(cluster, topic, pipe, asked, timeout)), 0)
    if len(positions) != len(start):
        raise EnvironmentFault(
            f"--output-topic {topic}: has {len(positions)} partitions, the input topic has {len(start)}; "
            "an event's outcome goes to its own partition number, so they must be equal"
        )
    arrivals = Arrivals(start, interval=order.interval, codec=CODECS[order.codec])
    reader = cluster.reader(topic)
    reader.assign(positions)
    arrivals.begin(time.time_ns() // 1000)
    pipe.send(READY)
    while True:
        complete = follow(reader, arrivals, asked, WallClock(), timeout=timeout, progress=pipe.send)
        followed = Followed(
            complete,
            arrivals.count,
            arrivals.first_count,
            arrivals.first_us,
            arrivals.last_us,
            arrivals.histogram.encode(),
            arrivals.sealed(),
        )
        pipe.send(followed)
        goal.clear()
        arrivals.again()


def _appear(cluster: Cluster, topic: str, pipe: Connection, goal: Callable[[], Goal | None], timeout: float) -> int:
    """How many partitions the topic has, once the service has created it."""
    deadline = None
    while (partitions := cluster.partitions(topic)) is None:
        if goal() is not None:
            deadline = deadline or time.monotonic() + timeout
            if time.monotonic() > deadline:
                raise EnvironmentFault(
                    f"--output-topic {topic}: there is no such topic after {timeout:g} s; is the service running?"
                )
        pipe.poll(0.1)
    return partitions
