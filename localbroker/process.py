"""A child process that never outlives this one, and that Ctrl-C at the terminal does not reach."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

_TETHER = Path(__file__).with_name("tether.py")


class Process:
    """Runs `command` in `folder`, its output appended to the file `log`; it inherits the `descriptors`.

    Raises OSError where the log cannot be opened or the command not be forked.

    The child dies with the thread that forked it (that is what prctl's "parent" means), not with the whole process, so
    a thread of its own forks it and waits for its end: a start from a short-lived thread is safe.
    """

    def __init__(self, command: Sequence[str], folder: Path, log: Path, descriptors: Sequence[int] = ()) -> None:
        self._popen: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._forked = threading.Event()
        self._ended = threading.Event()
        threading.Thread(
            target=self._keep, args=(command, folder, log, descriptors), name="kafka-keeper", daemon=True
        ).start()
        self._forked.wait()
        if self._failure is not None:
            raise self._failure

    def _keep(self, command: Sequence[str], folder: Path, log: Path, descriptors: Sequence[int]) -> None:
        tied = [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *command]
        try:
            with log.open("ab") as output:
                # A session of its own: SIGINT and SIGHUP of the terminal go to the owner, who stops the child in order.
                self._popen = subprocess.Popen(
                    tied,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=descriptors,
                    start_new_session=True,
                )
        except OSError as error:
            self._failure = error
            self._ended.set()
            return
        finally:
            self._forked.set()
        self._popen.wait()
        self._ended.set()

    @property
    def pid(self) -> int:
        assert self._popen is not None
        return self._popen.pid

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number where a signal ended it."""
        return None if self.running or self._popen is None else self._popen.returncode

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing where it has ended."""
        if self.running and self._popen is not None:
            self._popen.send_signal(number)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds. Whether it has ended."""
        return self._ended.wait(timeout)
