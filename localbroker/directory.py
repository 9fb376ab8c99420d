"""The broker's directory: who may use it, and what lies where in it. Starts no process.

DIRECTORY/kafka-version       the Kafka that owns it; it tells ours from any other directory
DIRECTORY/lock                held by owner and JVM, so that no second broker comes while either lives
DIRECTORY/broker.properties   written at every start
DIRECTORY/kafka.log           what the JVMs print
DIRECTORY/data                Kafka's own files; it is there if and only if it is formatted
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from localbroker.artifacts import KAFKA_VERSION
from localbroker.errors import LocalBrokerError


class Directory:
    """A place for one broker; `path` None is a temporary one, which `release` deletes."""

    def __init__(self, path: Path | None) -> None:
        self._temporary = path is None
        self.path = Path(tempfile.mkdtemp(prefix="statecast-kafka-")) if path is None else path.absolute()
        self.properties = self.path / "broker.properties"
        self.log = self.path / "kafka.log"
        self.data = self.path / "data"
        self._version = self.path / "kafka-version"
        self._lock: int | None = None

    @property
    def lock(self) -> int:
        """The file descriptor to hand on to the JVM: the lock is free when all who have it are gone."""
        assert self._lock is not None, "not claimed"
        return self._lock

    @property
    def is_formatted(self) -> bool:
        return self.data.is_dir()

    def claim(self, patience: float = 3.0) -> None:
        """Take the directory. A JVM whose owner has just been killed gets `patience` seconds to die.

        Raises LocalBrokerError where it cannot be written, is not ours, or is in use.
        """
        if self._lock is not None:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._check_owner()
            lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
            try:
                self._wait_for(lock, patience)
                self._version.write_text(KAFKA_VERSION + "\n")
            except BaseException:
                os.close(lock)
                raise
        except OSError as error:
            raise LocalBrokerError(
                f"cannot keep Kafka's data in {self.path}: {error.strerror or error}; give a writable directory"
            ) from error
        self._lock = lock

    @contextlib.contextmanager
    def formatting(self) -> Iterator[Path]:
        """A place to format, seen from `path`. It becomes `data` where the block ends well: half a format is none."""
        with tempfile.TemporaryDirectory(dir=self.path, prefix="format-") as scratch:
            place = Path(scratch) / "data"
            yield place.relative_to(self.path)
            place.rename(self.data)

    def release(self) -> None:
        """Give it back; a temporary one is deleted, a given one kept."""
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _check_owner(self) -> None:
        if self._version.exists():
            version = self._version.read_text().strip()
            if version != KAFKA_VERSION:
                raise LocalBrokerError(
                    f"{self.path} was formatted by Kafka {version} and this is Kafka {KAFKA_VERSION}; "
                    "give another directory or delete this one"
                )
        elif (self.path / "meta.properties").exists():
            raise LocalBrokerError(f"{self.path} was formatted by another Kafka; give an empty directory")
        elif {each.name for each in self.path.iterdir()} - {"lock"}:
            raise LocalBrokerError(f"{self.path} holds files that are not Kafka's; give an empty directory")

    def _wait_for(self, lock: int, patience: float) -> None:
        deadline = time.monotonic() + patience
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            if time.monotonic() > deadline:
                raise LocalBrokerError(f"another broker runs in {self.path}; stop it or give another directory")
            time.sleep(0.05)
