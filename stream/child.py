"""One worker process and the pipe between it and its parent, seen from both ends. Knows nothing of Kafka, and loads
nothing that is heavy: the parent has it, too.

parent -> worker   a Task; Asked for each question; Release.ALL once nothing is left to do; the pipe's end says that
                   the parent is gone
worker -> parent   a Report from time to time; Told for each Asked; the pipe's end says that the worker is gone
stderr             lines, which the parent passes on one by one
"""

import contextlib
import ctypes
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import IO, Any, Protocol

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from stream.errors import UsageError
from stream.inquiries import Answer, Inquiry

COMMAND = (sys.executable, str(Path(__file__).parents[1] / "statecast.py"), "worker")  # of this very installation
TOLD = "statecast: "  # how the line begins in which a process says why it ended
PR_SET_PDEATHSIG = 1  # prctl(2)
LINGERS = 10.0  # seconds that a process may take from the pipe's end to its own
LARGEST = 32 << 10  # bytes of an inquiry: what a pipe with room for something takes without waiting
AT_ONCE = 32  # inquiries that a worker is at


@dataclass(frozen=True)
class Task:
    """What a worker has to know."""

    number: int  # from 1
    settings: dict[tuple[str, str], Any]  # by section and name
    terminal: bool  # whether stderr ends at one, behind the parent
    report_every: float  # seconds


class Release(Enum):
    """With --until-end: a worker whose own partitions have reached their ends may end, too."""

    ALL = auto()


class Standing(Enum):
    """What a worker's partitions are at, all in all."""

    ON_THE_WAY = auto()  # it is not in the group yet, has partitions that are not live, or finds no broker
    READY = auto()  # it has some, and each is live
    EMPTY = auto()  # it is in the group, and has none
    HALTED = auto()  # it has some, and none can be served


@dataclass(frozen=True)
class Report:
    """How a worker does."""

    idle: float  # seconds since its loop came round
    standing: Standing
    partitions: int  # of the input
    reached: frozenset[int]  # those that were worked off to their ends here
    working: bool  # on others
    metrics: list[Metric]


@dataclass(frozen=True)
class Asked:
    """What somebody wants to know."""

    number: int
    inquiry: Inquiry


@dataclass(frozen=True)
class Told:
    """What the worker says of it; None: it cannot be asked now."""

    number: int
    answer: Answer | None


class Watched(Protocol):
    """The worker, as far as a report goes."""

    partitions: int
    reached: frozenset[int]
    working: bool

    @property
    def standing(self) -> Standing: ...

    def idle_seconds(self) -> float: ...


class Child:
    """The parent's end. To be made on the main thread, with which the worker dies. Raises OSError where no process can
    be started."""

    def __init__(self, task: Task, command: Sequence[str] = COMMAND) -> None:
        self.pipe, theirs = Pipe()
        # Ctrl-C at a terminal reaches all its processes. The worker waits for its parent's word: SIGINT stays blocked.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [*command, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=[theirs.fileno()],
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._sending = threading.Lock()
        self._words: list[str] = []
        assert self._process.stderr is not None
        self._relay = threading.Thread(target=self._pass_on, args=(self._process.stderr,), name="relay", daemon=True)
        self._relay.start()
        self.tell(task)

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, message: Task | Release) -> None:
        with contextlib.suppress(OSError), self._sending:  # it has ended already, as the pipe will say
            self.pipe.send(message)

    def ask(self, asked: Asked) -> bool:
        """Whether it is on its way: not where the worker has ended, or takes nothing. Never waits. On any thread."""
        message = pickle.dumps(asked)
        if len(message) > LARGEST:
            return False
        with contextlib.suppress(OSError, ValueError), self._sending:
            room = select.poll()
            room.register(self.pipe.fileno(), select.POLLOUT)
            if room.poll(0) and not self.pipe.closed:
                self.pipe.send_bytes(message)
                return True
        return False

    def hear(self) -> Report | Told | None:
        """What it says next; None where it is gone."""
        try:
            said: Report | Told = self.pipe.recv()
            return said
        except (EOFError, OSError):
            return None

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Its exit code, minus the signal's number where one ended it, and what it said of why; once it is gone."""
        with self._sending:
            self.pipe.close()
        try:
            code = self._process.wait(LINGERS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._relay.join(LINGERS)
        return code, " ".join(self._words)

    def _pass_on(self, lines: IO[bytes]) -> None:
        """Line by line, so that no two mix; but why it ended is the parent's to tell."""
        out = structlog.PrintLogger(sys.stderr)
        with lines:
            for raw in lines:
                line = raw.decode(errors="replace").rstrip("\n")
                if line.startswith(TOLD):
                    self._words.append(line.removeprefix(TOLD))
                else:
                    out.msg(line)


class Parent:
    """The worker's end. The process dies with its parent. Raises UsageError where no parent started it."""

    def __init__(self, descriptor: int, registry: CollectorRegistry) -> None:
        try:
            os.fstat(descriptor)
            if sys.platform == "linux":  # a worker that is stopped, too, which cannot see the pipe's end
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            self._pipe: Connection[Report | Told, Any] = Connection(descriptor)
            self.task: Task = self._pipe.recv()
        except (EOFError, OSError):
            raise UsageError("worker: has no parent; `statecast serve --workers N` starts it") from None
        self._registry = registry
        self._worker: Watched | None = None
        self._answer: Callable[[Inquiry], Answer] | None = None
        self._sending = threading.Lock()
        self._room = threading.BoundedSemaphore(AT_ONCE)
        self._released = threading.Event()
        threading.Thread(target=self._attend, name="parent", daemon=True).start()

    def show(self, worker: Watched, answer: Callable[[Inquiry], Answer]) -> None:
        """From now on there is something to report, and somebody to ask, on any thread."""
        self._worker, self._answer = worker, answer

    def released(self) -> bool:
        """Whether Release.ALL has come."""
        return self._released.is_set()

    def _attend(self) -> None:
        due = time.monotonic() + self.task.report_every
        try:
            while True:
                if self._pipe.poll(max(0.0, due - time.monotonic())):
                    self._take(self._pipe.recv())
                if time.monotonic() >= due:
                    self._report()
                    due = time.monotonic() + self.task.report_every
        finally:  # the parent is gone, and nobody would start this process again
            os.kill(os.getpid(), signal.SIGKILL)

    def _take(self, message: Asked | Release) -> None:
        if message is Release.ALL:
            self._released.set()
        elif isinstance(message, Asked):
            if self._answer is None or not self._room.acquire(blocking=False):
                self._send(Told(message.number, None))
            else:  # each on a thread of its own: some take long, and none may hold up a report
                # No daemon: the interpreter must not end under a network that runs, or the process is aborted.
                threading.Thread(target=self._tell, args=(message, self._answer), name="asked", daemon=False).start()

    def _tell(self, asked: Asked, answer: Callable[[Inquiry], Answer]) -> None:
        told = None
        try:
            told = answer(asked.inquiry)
        finally:
            self._room.release()
            with contextlib.suppress(OSError):  # the parent is gone, as the other thread sees
                self._send(Told(asked.number, told))

    def _send(self, message: Report | Told) -> None:
        with self._sending:
            self._pipe.send(message)

    def _report(self) -> None:
        if (worker := self._worker) is not None:
            found = list(self._registry.collect())
            reached, working = worker.reached, worker.working
            self._send(Report(worker.idle_seconds(), worker.standing, worker.partitions, reached, working, found))
