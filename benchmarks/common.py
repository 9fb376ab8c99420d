"""What every benchmark needs: the service as a process, its log, what a reader of its output sees, a table."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from localbroker.process import Process

ROOT = Path(__file__).parents[1]
CLIENTS = ("confluent", "kafka-python")
Line = dict[str, Any]


@contextmanager
def benchmark(sizes: str) -> Iterator[None]:
    """Say what this runs on, and how busy the machine was before and after."""
    names = ("onnxruntime", "confluent-kafka", "kafka-python", "numpy")
    print(f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in names)}")
    print(f"{sizes}; {os.cpu_count()} processors, load average before: {load_average()}", flush=True)
    yield
    print(f"load average after: {load_average()}", flush=True)


def load_average() -> str:
    """Over 1, 5 and 15 minutes."""
    return " ".join(f"{load:.2f}" for load in os.getloadavg())


def show(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table. Floats get two decimals."""
    texts = [list(columns), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)), flush=True)


def _text(cell: object) -> str:
    return "-" if cell is None else f"{cell:.2f}" if isinstance(cell, float) else str(cell)


def statecast(*arguments: str) -> str:
    """Run a statecast command to its end; what it told. Exits where it failed."""
    command = [sys.executable, "-m", "statecast", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        sys.exit(f"statecast {arguments[0]} failed:\n{done.stderr}")
    return done.stderr


def preload(servers: str, topic: str, streams: int, events: int, partitions: int = 4) -> None:
    """Fill an input topic, which is created."""
    statecast(
        "loadtest", "--bootstrap-servers", servers, "--input-topic", topic, "--create-topics",
        "--partitions", str(partitions), "--streams", str(streams), "--events", str(events), "--preload",
    )  # fmt: skip


@contextmanager
def steady_load(folder: Path, servers: str, topic: str, streams: int, rate: int) -> Iterator[None]:
    """So many events a second while the block runs."""
    process = Process(
        [
            sys.executable, "-m", "statecast", "loadtest", "--bootstrap-servers", servers, "--input-topic", topic,
            "--streams", str(streams), "--rate", str(rate), "--seconds", "600", "--preload",
        ],
        ROOT, folder / "load.log",
    )  # fmt: skip
    try:
        yield
    finally:
        process.signal(signal.SIGKILL)
        process.wait(10)


def until(what: str, condition: Callable[[], Any], timeout: float = 60.0) -> Any:
    """The condition's first true result; exits at the deadline."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > deadline:
            sys.exit(f"not within {timeout:g} s: {what}")
        time.sleep(0.02)
    return result


class Service:
    """One `statecast serve` and its log. Ended by `kill` or `stop`, or with this process."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.log, self.arguments = log, arguments
        self._skip = log.stat().st_size if log.exists() else 0  # of an earlier life
        self.started = time.time()
        command = [sys.executable, "-m", "statecast", "serve", "--log-format", "json", *arguments]
        self._process = Process(command, ROOT, log)

    @property
    def running(self) -> bool:
        return self._process.running

    def lines(self) -> list[Line]:
        """Of this life's log."""
        found = []
        for line in self.log.read_bytes()[self._skip :].splitlines():
            with suppress(json.JSONDecodeError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]

    def said(self, event: str) -> list[Line]:
        return [line for line in self.lines() if line.get("event") == event]

    def until_said(self, event: str, count: int, timeout: float = 60.0) -> list[Line]:
        """The lines of this event, once there are so many. Exits with the log where the service ends before."""

        def there() -> list[Line]:
            lines = self.said(event)
            if len(lines) < count and not self.running:
                sys.exit(f"the service has ended; its log:\n{self.log.read_text()}")
            return lines if len(lines) >= count else []

        found: list[Line] = until(f"{count} times {event!r} in {self.log}", there, timeout)
        return found

    def until_ended(self, timeout: float) -> None:
        until(f"the end of the service; its log is {self.log}", lambda: not self.running, timeout)
        if self._process.exit_code:
            sys.exit(f"the service has failed; its log:\n{self.log.read_text()}")

    def memory(self, name: str = "VmRSS") -> float:
        """Of the process, now (VmRSS) or at most (VmHWM). MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith(f"{name}:")) / 1024

    def processor_time(self) -> float:
        """Of the process until now, user and system. Seconds."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """kill -9."""
        self._process.signal(signal.SIGKILL)
        self._process.wait(10)

    def terminate(self) -> None:
        self._process.signal(signal.SIGTERM)

    def stop(self, timeout: float = 60.0) -> None:
        """SIGTERM, and wait."""
        self.terminate()
        self.until_ended(timeout)


def told_at(line: Line) -> float:
    """When a line was logged: seconds since the epoch."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def live(services: dict[str, Service]) -> dict[int, str]:
    """Partition -> the name of the instance where it is live now, by the logs."""
    owners = {}
    for name, service in services.items():
        mine = set[int]()
        for line in service.lines():
            if line.get("event") == "live":
                mine.add(line["partition"])
            elif str(line.get("event")).startswith("partitions_"):
                mine -= set(line["partitions"])
        owners.update(dict.fromkeys(mine, name))
    return owners
