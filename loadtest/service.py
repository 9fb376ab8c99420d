"""The service as the load test's child: started, killed, stopped, and never left behind. Knows no Kafka."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from loadtest.errors import EnvironmentFault, UsageError
from loadtest.usage import children

_KEEPER = Path(__file__).with_name("keeper.py")
READY_TIMEOUT = 120.0
STOP_TIMEOUT = 45.0  # `statecast serve` gives itself 30 s
WORDS = 300  # characters of its last words that are shown


class Service:
    """A command line that is run again and again, one life after the other; all write to one log."""

    def __init__(self, line: str, log: Path) -> None:
        """Raises UsageError where the line names no command, or the log cannot be written."""
        self.log = log
        try:
            self.command = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"--serve {line!r}: cannot be split into words ({error}); mend the quotes") from None
        found = self.command and (
            shutil.which(self.command[0]) or shutil.which(self.command[0], path=str(Path(sys.executable).parent))
        )
        if not found:
            raise UsageError(f"--serve {line!r}: there is no such command; give a command line, `statecast serve ...`")
        self.command[0] = found
        try:
            log.open("ab").close()
        except OSError as error:
            raise UsageError(f"--serve-log {log}: cannot be written ({error.strerror}); give another path") from None
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin a life. Raises EnvironmentFault where the machine does not let it."""
        try:
            with self.log.open("ab") as output:
                output.write(f"$ {shlex.join(self.command)}\n".encode())
                output.flush()
                self._keeper = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_KEEPER), *self.command],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a group of its own, out of the reach of Ctrl-C at the terminal
                )
        except OSError as error:
            raise EnvironmentFault(f"--serve: the service cannot be started ({error.strerror}: {self.log})") from None

    @property
    def pids(self) -> list[int]:
        """Of its processes."""
        return [] if self._keeper is None else children(self._keeper.pid)

    @property
    def exit_code(self) -> int | None:
        """None while it runs, or where it was never started."""
        return None if self._keeper is None else self._keeper.poll()

    def kill(self) -> None:
        """kill -9, the whole group."""
        if self._keeper is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._keeper.pid, signal.SIGKILL)
        self._keeper.wait()
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()

    def stop(self, timeout: float = STOP_TIMEOUT) -> int | None:
        """SIGTERM, and the exit code; None where it did not end in time and was killed."""
        if self._keeper is None:
            return 0
        self._keeper.terminate()
        try:
            return self._keeper.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill()  # also what it has left behind in its group

    def wait_ready(self, url: str, *, timeout: float = READY_TIMEOUT, check: Callable[[], None]) -> None:
        """Until the address answers with 200. check: may raise meanwhile."""
        deadline = time.monotonic() + timeout
        while not _answers(url):
            check()
            if time.monotonic() > deadline:
                raise EnvironmentFault(
                    f"--serve-ready {url}: did not answer with 200 within {timeout:g} s; its log is {self.log}"
                )
            time.sleep(0.1)

    def fault(self) -> EnvironmentFault:
        """It has ended by itself: with what, and its last words."""
        return EnvironmentFault(
            f"--serve: the service ended with exit code {self.exit_code}: {self._last_words()}; its log is {self.log}"
        )

    def _last_words(self) -> str:
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 20_000))
            lines = file.read().decode(errors="replace").strip().splitlines()
        said = lines[-1].strip() if lines and not lines[-1].startswith("$ ") else "it said nothing"
        return said if len(said) <= WORDS else f"{said[:WORDS]}..."


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
