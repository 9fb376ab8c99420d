"""The demo's child processes: each a `statecast` command, as a user would start it, with a log of its own.

A child lives in a session of its own, so that Ctrl-C reaches only the demo, which then stops the children in its order;
and the kernel ends it when the demo is gone, whatever ended that. Knows nothing of what the commands do.
"""

import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from demo.errors import StepFailed
from localbroker.process import Process

TICK = 0.1  # seconds between two looks at a child that runs


class Child:
    """One `statecast` command that runs. name: how messages call it."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name, self.log = name, log
        command = [sys.executable, "-m", "statecast", *arguments]
        log.write_text(f"$ {shlex.join(['statecast', *arguments])}\n")
        self._process = Process(command, Path.cwd(), log)

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raises StepFailed where it has ended, for it should run on."""
        if not self._process.running:
            raise self._failure(f"{self.name} ended too early (exit code {self._process.exit_code})")

    def finish(self, meanwhile: Callable[[], None] | None = None) -> None:
        """Wait for its end, calling `meanwhile` now and then. Raises StepFailed where it did not end with 0."""
        while not self._process.wait(TICK):
            if meanwhile is not None:
                meanwhile()
        if self._process.exit_code:
            raise self._failure(f"{self.name} failed (exit code {self._process.exit_code})")

    def stop(self, patience: float) -> bool:
        """SIGTERM, and SIGKILL after `patience` seconds. Whether it ended by itself, with 0."""
        if self._process.running:
            self._process.signal(signal.SIGTERM)
            if not self._process.wait(patience):
                self._process.signal(signal.SIGKILL)
                self._process.wait()
        return self._process.exit_code == 0

    def said(self) -> str:
        """The last line of its log that says something."""
        lines = self.log.read_text(errors="replace").strip().splitlines()[1:]
        return lines[-1].strip() if lines else ""

    def _failure(self, message: str) -> StepFailed:
        said = self.said()
        return StepFailed(f"{message}: {said}" if said else message, self.log)


@contextmanager
def started(name: str, arguments: Sequence[str], log: Path, *, patience: float = 10.0) -> Iterator[Child]:
    """A child that is gone when the block ends, however it ends."""
    child = Child(name, arguments, log)
    try:
        yield child
    finally:
        child.stop(patience)


def wait_until(condition: Callable[[], bool], child: Child, what: str, timeout: float) -> None:
    """Wait for a condition that the child brings about. Raises StepFailed where it ends first, or after `timeout` s."""
    deadline = time.monotonic() + timeout
    while not condition():
        child.check()
        if time.monotonic() > deadline:
            raise child._failure(f"{what} did not happen within {timeout:.0f} s")
        time.sleep(TICK)
