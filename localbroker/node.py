"""One life of the broker's JVM: format where needed, start, wait until it serves, end. It owns no directory."""

import os
import re
import signal
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from localbroker import artifacts, java, ports, readiness
from localbroker.archive import Archive
from localbroker.directory import Directory
from localbroker.errors import LocalBrokerError, PortTaken
from localbroker.process import Process
from localbroker.properties import as_text, broker_properties

_ORDERLY = (0, 128 + signal.SIGTERM)  # what a JVM that ran its shutdown hooks exits with
_ARCHIVE_SECONDS = 60.0  # that the end may take longer when the JVM writes the archive
_TELLING = re.compile(r" ERROR | FATAL |^Error|^Caused by|Exception(:|$)")


class Node:
    """A JVM that has been started and serves on `port`."""

    def __init__(self, process: Process, archive: Archive, records: bool) -> None:
        self._process = process
        self._archive = archive
        self._records = records

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def exit_code(self) -> int | None:
        return self._process.exit_code

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds. Whether it has ended."""
        return self._process.wait(timeout)

    def stop(self, timeout: float) -> None:
        """SIGTERM, and SIGKILL after `timeout` seconds."""
        self._process.signal(signal.SIGTERM)
        if self._process.wait(timeout + _ARCHIVE_SECONDS * self._records) and self._process.exit_code in _ORDERLY:
            if self._records:
                self._archive.keep()
        else:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._process.signal(signal.SIGKILL)
        self._process.wait()
        if self._records:
            self._archive.discard()


def boot(
    jars: list[Path], directory: Directory, port: int, overrides: Mapping[str, str], heap: str, timeout: float
) -> Node:
    """Start a broker in a claimed directory and return when it serves, at most `timeout` seconds later.

    Raises PortTaken, or LocalBrokerError with the last lines of Kafka's log as a note.
    """
    deadline = time.monotonic() + timeout
    archive = Archive(java.java(), artifacts.cache_directory())
    settings = broker_properties(directory.data.name, port, ports.free_port(besides=port), overrides)
    if not directory.is_formatted:
        with directory.formatting() as place:
            directory.properties.write_text(as_text({**settings, "log.dirs": str(place)}))
            command = java.format_command(jars, archive.flags(), directory.properties.name, _cluster_id())
            _run(command, directory, timeout)
    directory.properties.write_text(as_text(settings))
    recording = archive.flags_to_record()
    command = java.broker_command(jars, recording or archive.flags(), directory.properties.name, heap)
    log = _Log(directory.log)
    node = Node(_process(command, directory), archive, bool(recording))
    try:
        while not readiness.answers(port):
            if node.wait(0.05):
                raise log.error(f"Kafka ended at its start (exit {node.exit_code})")
            if time.monotonic() > deadline:
                raise log.error(f"Kafka was not up within {timeout:g} s")
    except BaseException:
        node.kill()
        raise
    return node


def _process(command: list[str], directory: Directory) -> Process:
    return Process(command, directory.path, directory.log, [directory.lock])


def _run(command: list[str], directory: Directory, timeout: float) -> None:
    log = _Log(directory.log)
    process = _process(command, directory)
    try:
        if not process.wait(timeout):
            raise log.error(f"Kafka's directory was not formatted within {timeout:g} s")
    finally:
        process.signal(signal.SIGKILL)
    if process.exit_code != 0:
        raise log.error(f"Kafka's directory was not formatted (exit {process.exit_code})")


class _Log:
    """What is written to Kafka's log from here on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = path.stat().st_size if path.exists() else 0

    def error(self, what: str) -> LocalBrokerError:
        """`what`, with the line of the log that tells most, and the last ones as a note."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            lines = file.read().decode(errors="replace").splitlines()
        if any("Address already in use" in line for line in lines):
            return PortTaken("a port that was free a moment before is taken")
        telling = [line for line in lines if _TELLING.search(line)] or lines[-1:] or ["it printed nothing"]
        error = LocalBrokerError(f"{what}: {telling[-1].strip()[:300]}")
        error.add_note("\n".join(["the end of Kafka's log:", *lines[-25:]]))
        return error


def _cluster_id() -> str:
    """16 random bytes as Kafka writes them, without the leading dash that a command line would take for an option."""
    return "k" + urlsafe_b64encode(os.urandom(16)).decode()[1:22]
