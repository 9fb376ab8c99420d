"""The life of one embedded broker: start, stop, kill, restart. What a JVM is told is in java.py and properties.py."""

import atexit
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from localbroker import artifacts, ports
from localbroker.directory import Directory
from localbroker.errors import LocalBrokerError, PortTaken
from localbroker.node import Node, boot
from localbroker.properties import HOST

_ATTEMPTS = 5  # at ports that were free a moment before


class LocalBroker:
    """Apache Kafka, one node, on 127.0.0.1. Not safe for use by several threads at once.

    directory: where the data lies; it is kept. None: a temporary one, deleted by `stop`.
    port: what clients connect to. None: a free one, the same for every start of this object.
    properties: Kafka's own settings, which win over localbroker.properties. heap: the JVM's largest heap.

    The JVM never outlives this process, whatever ends it.
    """

    def __init__(
        self,
        directory: Path | None = None,
        port: int | None = None,
        *,
        properties: Mapping[str, str] | None = None,
        heap: str = "512m",
    ) -> None:
        self._given_directory = directory
        self._overrides = dict(properties or {})
        self._heap = heap
        self._port = port
        self._directory: Directory | None = None
        self._node: Node | None = None
        self._owner = 0

    @property
    def port(self) -> int:
        """What clients connect to; known once it has started."""
        if self._port is None:
            raise RuntimeError("the broker has not been started")
        return self._port

    @property
    def bootstrap_servers(self) -> str:
        """HOST:PORT for clients; known once it has started."""
        return f"{HOST}:{self.port}"

    @property
    def directory(self) -> Path:
        """Where the data lies; known once it has started."""
        return self._claimed().path

    @property
    def log_path(self) -> Path:
        """What Kafka prints, over all starts in this directory."""
        return self._claimed().log

    @property
    def pid(self) -> int:
        """Of the JVM."""
        if self._node is None:
            raise RuntimeError("the broker has not been started")
        return self._node.pid

    @property
    def running(self) -> bool:
        return self._node is not None and self._node.running

    def start(self, timeout: float = 60) -> None:
        """Start, and return when it serves. Formats a new directory. The first start on a machine downloads Kafka,
        which does not count towards `timeout` seconds.

        Raises LocalBrokerError, with the last lines of Kafka's log as a note where it got that far.
        """
        if self.running:
            raise RuntimeError("the broker is running")
        self._owner = os.getpid()
        atexit.register(self._stop_at_exit)
        first = self._directory is None
        try:
            if self._directory is None:
                self._directory = Directory(self._given_directory)
            self._directory.claim()
            if self._port is not None:
                _demand(self._port)
            jars = artifacts.class_path()
            self._node = self._boot(jars, self._directory, time.monotonic() + timeout)
        except BaseException as error:
            where = self._directory.path if self._directory else "a temporary directory"
            if first:  # else its data are still wanted: the next restart may do better
                self.stop()
            if isinstance(error, OSError):
                raise LocalBrokerError(
                    f"cannot run Kafka in {where}: {error.strerror or error}; give another directory"
                ) from error
            raise

    def stop(self, timeout: float = 15) -> None:
        """Stop in order (SIGTERM), after `timeout` seconds by force (SIGKILL). Nothing where it does not run.

        The first orderly stop on a machine takes about 3 s more: the JVM then writes the archive for faster starts.
        """
        if self._node is not None:
            self._node.stop(timeout)
        if self._directory is not None:
            self._directory.release()
            self._directory = None
        atexit.unregister(self._stop_at_exit)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the JVM ends, by itself or by another's hand, at most `timeout` seconds. Whether it has ended."""
        return self._node is None or self._node.wait(timeout)

    def kill(self) -> None:
        """SIGKILL: the crash. The directory stays, a temporary one too, until `restart` or `stop`."""
        if self._node is not None:
            self._node.kill()

    def restart(self, timeout: float = 60) -> None:
        """Start again, in the same directory and on the same port; first stop it in order where it runs."""
        if self._node is not None:
            self._node.stop(timeout)
        self.start(timeout)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _claimed(self) -> Directory:
        if self._directory is None:
            raise RuntimeError("the broker has not been started, or was stopped")
        return self._directory

    def _boot(self, jars: list[Path], directory: Directory, deadline: float) -> Node:
        attempts = _ATTEMPTS
        while True:
            attempts -= 1
            if self._port is not None:
                _demand(self._port)  # the port that was taken may also have been the controller's
            port = self._port or ports.free_port()
            try:
                node = boot(jars, directory, port, self._overrides, self._heap, deadline - time.monotonic())
            except PortTaken:
                if not attempts:
                    raise
            else:
                self._port = port
                return node

    def _stop_at_exit(self) -> None:
        if os.getpid() == self._owner:  # a fork of the owner runs exit handlers too
            self.stop()


def _demand(port: int) -> None:
    if not ports.is_free(port):
        raise PortTaken(f"port {port} on {HOST} is taken; give another port or stop what listens there")
