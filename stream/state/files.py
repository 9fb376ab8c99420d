"""--state-dir: what lies where in it, who may use it, and whether it can be used. Knows nothing of what the files hold.

STATE_DIR/APPLICATION.FINGERPRINT/partition-N.snapshot   shared by the slots of one machine, each replaced as a whole
STATE_DIR/APPLICATION.FINGERPRINT/slot-SLOT/lock         held by the slot's process; it holds that process's number
STATE_DIR/APPLICATION.FINGERPRINT/slot-SLOT/...          scratch, emptied at the start: half snapshots and the spill
"""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

from stream.errors import EnvironmentFault, StatecastError, UsageError

_USERS_TO_MEND = {
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),  # ENOENT: /proc makes no directory
}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StateDir:
    """The places of one slot, locked from `__enter__` to `__exit__`.

    Entering makes the directories and empties the slot's scratch: what a killed process left there means nothing.
    Raises UsageError where the directory cannot be used, EnvironmentFault where the disk is full or broken, or where
    another process has this slot in this directory.
    """

    def __init__(self, path: Path, application: str, fingerprint: str, slot: str) -> None:
        self.path = path.absolute()
        self._slot = slot
        self._snapshots = self.path / _safe(f"{application}.{fingerprint[:12]}")
        self.scratch_path = self._snapshots / _safe(f"slot-{slot}")  # on the file system of the snapshots
        self.spill_path = self.scratch_path / "spill"
        self._lock: int | None = None

    def snapshot_path(self, partition: int) -> Path:
        return self._snapshots / f"partition-{partition}.snapshot"

    def __enter__(self) -> "StateDir":
        check_usable(self.path)
        try:
            self.scratch_path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.scratch_path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
            try:
                self._take(lock)
                empty(self.scratch_path, keep="lock")
                self.spill_path.mkdir()
            except BaseException:
                os.close(lock)
                raise
        except OSError as error:
            raise _explained(self.path, error) from error
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "?"
            raise EnvironmentFault(
                f"--state-dir {self.path}: another process uses it for slot {self._slot} (process {owner}); "
                "give each process its own --state-dir or its own --instance-id"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def check_usable(path: Path) -> None:
    """Make the directory where it is not there, and try whether a file in it can be written down to the disk.

    Raises UsageError or EnvironmentFault.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path, prefix="try-") as file:
            file.write(bytes(4096))  # no byte at all has room on a full disk
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _explained(path, error) from error


def empty(directory: Path, keep: str = "") -> None:
    """Delete what lies in a directory, but for one name. Raises OSError."""
    for path in directory.iterdir():
        if path.name == keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Have the names in a directory on the disk. Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _explained(path: Path, error: OSError) -> StatecastError:
    reason = error.strerror or str(error)
    if path.exists() and not path.is_dir():
        return UsageError(f"--state-dir {path}: it is a file; give a directory")
    if error.errno in _USERS_TO_MEND:
        return UsageError(
            f"--state-dir {path}: cannot be written by user {os.geteuid()}: {reason}; give a writable directory"
        )
    mend = "free some space or" if error.errno in _NO_ROOM else "mend the disk or"
    return EnvironmentFault(f"--state-dir {path}: cannot be written: {reason}; {mend} give another directory")


def _safe(name: str) -> str:
    """One name in a directory, different for different names, and the name itself where it is harmless."""
    quoted = quote(name, safe="")
    if len(quoted) <= 200:
        return quoted
    return f"{quoted[:150]}-{hashlib.sha256(name.encode()).hexdigest()[:32]}"
