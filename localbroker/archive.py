"""Class data sharing (JEP 350): a file of Kafka's loaded classes that halves the start of the JVM.

The Java runtime from PyPI brings no archive at all, so two are made in the cache, once: a base of the JDK's own
classes before the first start, and above it Kafka's, written by the JVM itself at the end of the first broker that is
stopped in order. A missing or unfit archive costs time and nothing else.
"""

import contextlib
import hashlib
import subprocess
import uuid
from pathlib import Path


class Archive:
    """The archive for one Java runtime, whose class path is in `cache`."""

    def __init__(self, java: Path, cache: Path) -> None:
        self._java = java
        self._cache = cache
        # The JVM refuses an archive made with another file of its modules, and it knows that file by size and time.
        modules = (java.parent.parent / "lib" / "modules").stat()
        self._place = _short(str(java))
        key = f"{self._place}-{_short(f'{modules.st_size} {modules.st_mtime_ns}')}"
        self._base = cache / f"jdk-{key}.jsa"
        self._kafka = cache / f"kafka-{key}.jsa"
        self._recorded = cache / f"kafka-{key}.{uuid.uuid4().hex}.tmp"

    def flags(self) -> list[str]:
        """What makes a JVM use the archive; empty while there is none."""
        return [f"-XX:SharedArchiveFile={self._kafka}"] if self._kafka.exists() else []

    def flags_to_record(self) -> list[str]:
        """What makes a JVM write the archive at its orderly end, which then takes 3 s more; empty where it is there."""
        if self._kafka.exists() or not self._make_base():
            return []
        return [f"-XX:SharedArchiveFile={self._base}", f"-XX:ArchiveClassesAtExit={self._recorded}"]

    def keep(self) -> None:
        """After a JVM with flags_to_record() has ended in order: let all later ones use what it wrote."""
        with contextlib.suppress(OSError):
            self._recorded.rename(self._kafka)

    def discard(self) -> None:
        """After such a JVM was killed: what it wrote may be half a file."""
        with contextlib.suppress(OSError):
            self._recorded.unlink()

    def _make_base(self) -> bool:
        if self._base.exists():
            return True
        scratch = self._base.with_suffix(f".{uuid.uuid4().hex}.tmp")
        try:
            dump = [str(self._java), "-XX:+UseSerialGC", "-Xshare:dump", f"-XX:SharedArchiveFile={scratch}"]
            subprocess.run(dump, check=True, capture_output=True, timeout=60)
            for stale in self._cache.glob(f"*-{self._place}-*.jsa"):  # of the runtime that this one has replaced
                stale.unlink()
            scratch.rename(self._base)
        except (OSError, subprocess.SubprocessError):
            return False
        return True


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
