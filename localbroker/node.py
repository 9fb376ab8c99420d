"""One life of the broker's JVM: format where needed, start, wait until it serves, end. Owns neither directory nor port."""

import os
import re
import signal
import subprocess
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
    controller_port = ports.free_port(besides=port)
    log_start = directory.log.stat().st_size if directory.log.exists() else 0
    settings = broker_properties(directory.data, port, controller_port, overrides)
    if not directory.is_formatted:
        with directory.formatting() as scratch:
            directory.properties.write_text(as_text({**settings, "log.dirs": str(scratch)}))
            command = java.format_command(jars, archive.flags(), directory.properties, _cluster_id())
            formatter = Process(command, directory.log, [directory.lock])
            if not formatter.wait(timeout):
                formatter.signal(signal.SIGKILL)
            if formatter.wait() and formatter.exit_code != 0:
                raise _explained(
                    directory.log, log_start, f"Kafka's directory was not formatted (exit {formatter.exit_code})"
                )
    directory.properties.write_text(as_text(settings))
    recording = archive.flags_to_record()
    command = java.broker_command(jars, recording or archive.flags(), directory.properties, heap)
    process = Process(command, directory.log, [directory.lock])
    node = Node(process, archive, bool(recording))
    try:
        while not (process.running and readiness.answers(port)):
            if not process.running:
                raise _explained(directory.log, log_start, f"Kafka ended at its start (exit {process.exit_code})")
            if time.monotonic() > deadline:
                raise _explained(directory.log, log_start, f"Kafka was not up within {timeout:g} s")
            process.wait(0.05)
    except BaseException:
        node.kill()
        raise
    return node


def _cluster_id() -> str:
    """16 random bytes as Kafka writes them, without the leading dash that a command line would take for an option."""
    return "k" + urlsafe_b64encode(os.urandom(16)).decode()[1:22]


def _explained(log: Path, start: int, what: str) -> LocalBrokerError:
    """`what`, with what Kafka has written to its log since byte `start`."""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    telling = [line for line in lines if _TELLING.search(line)]
    if any("Address already in use" in line for line in lines):
        return PortTaken("a port that was free is taken now")
    error = LocalBrokerError(f"{what}: {(telling or lines or ['it printed nothing'])[-1].strip()[:300]}")
    error.add_note("the end of Kafka's log:\n" + "\n".join(lines[-25:]))
    return error
