"""The instances of `statecast serve`: real processes, started, hit and watched. Knows no faults and no Kafka."""

import json
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from localbroker.process import Process
from tests.service import ROOT


@dataclass(frozen=True, slots=True)
class Ended:
    """An instance that ended without being told to, or not as it was told to."""

    instance: str
    code: int  # minus the signal's number where a signal ended it
    line: str  # the last one of its log
    wanted: bool  # it was told to end


class Instance:
    """One slot of the service. There is never more than one process for it."""

    def __init__(self, name: str, arguments: list[str], folder: Path) -> None:
        """arguments: of `serve`. Its log is NAME.log in the folder, over all its lives."""
        self.name, self.log = name, folder / f"{name}.log"
        traced = ["/usr/bin/env", "STATECAST_TRACEBACK=1", sys.executable]
        self._command = [*traced, "-m", "statecast", "serve", "--log-format", "json", *arguments]
        self._process: Process | None = None
        self._wanted = False  # its end
        self._begin = 0  # of this life in the log
        self.ends: list[Ended] = []  # that should not have been

    @property
    def running(self) -> bool:
        """Whether it has a process, stopped or not."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """A new life."""
        assert not self.running, f"{self.name} runs already"
        self.bury()
        self._begin = self.log.stat().st_size if self.log.exists() else 0
        self._wanted = False
        self._process = Process(self._command, ROOT, self.log)

    def kill(self) -> None:
        """kill -9, and wait for the end. Nothing where it does not run."""
        if self._process is not None:
            self._wanted = True
            self._process.signal(signal.SIGKILL)
            self._process.wait(10)

    def freeze(self) -> None:
        """SIGSTOP."""
        assert self._process is not None
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM; it is then to end with 0."""
        assert self._process is not None
        self._wanted = True
        self._process.signal(signal.SIGTERM)

    def bury(self) -> Ended | None:
        """Take note of an end that has taken place; what it was, where it should not have been."""
        if self._process is None or self._process.running:
            return None
        code, self._process = self._process.exit_code or 0, None
        # Before it has joined the group SIGTERM may end it as any process: it has nothing to bring in order yet.
        young = code == -signal.SIGTERM and not self.said("partitions_assigned")
        if self._wanted and (code in (0, -signal.SIGKILL) or young):
            return None
        lines = [line for line in self._lines() if line.strip()]
        told = [line for line in lines if not line.startswith("{")] or lines  # a library may log after the last word
        self.ends.append(Ended(self.name, code, told[-1] if told else "", self._wanted))
        return self.ends[-1]

    def said(self, event: str) -> bool:
        """Whether this life has logged the event."""
        for line in self._lines():
            with suppress(json.JSONDecodeError):
                if event in line and json.loads(line)["event"] == event:
                    return True
        return False

    def _lines(self) -> list[str]:
        with self.log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace").splitlines()
