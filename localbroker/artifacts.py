"""The class path of Apache Kafka: found in the user's cache, else resolved from Maven Central once. Starts no JVM.

jgo's resolver is asked for the artifacts rather than `jgo.build` for an environment: the latter downloads a whole JDK
to sort the jars into modules, which a class path has no use for. The resolver is pure Python: it calls no mvn, no java.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from localbroker.errors import LocalBrokerError

KAFKA_VERSION = "4.1.0"
_COORDINATES = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")
_MEGABYTES = 44
# Over the jars' names and contents: what runs here is what was tested, whichever mirror it came from.
_DIGEST = "761379bf49cac30792df08bc54e3d687614b0854f7d91cad732afe590164cb7b"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def cache_directory() -> Path:
    """What may be deleted at any time and is then made again: $XDG_CACHE_HOME/statecast/kafka-4.1.0."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(home) if Path(home).is_absolute() else Path.home() / ".cache"
    return base / "statecast" / f"kafka-{KAFKA_VERSION}"


def class_path(tell: Callable[[str], None] = _tell) -> list[Path]:
    """The jars of Kafka, in the order of the class path. `tell` gets one line when they must be downloaded first.

    Only the first call on a machine touches the network. Raises LocalBrokerError where the download fails.
    """
    cache = cache_directory()
    jars = cache / "jars"
    if not jars.is_dir():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with (cache / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # of two first starts at once, one downloads and the other waits
                if not jars.is_dir():
                    tell(f"resolving Apache Kafka {KAFKA_VERSION} (once, about {_MEGABYTES} MB) ...")
                    _fill(jars)
        except OSError as error:
            raise LocalBrokerError(
                f"cannot keep Kafka in {cache}: {error.strerror or error}; make it writable or set XDG_CACHE_HOME"
            ) from error
    return sorted(jars.glob("*.jar"))


def _fill(jars: Path) -> None:
    """All or nothing: the jars appear under their final name in one rename, once they are complete."""
    for left in jars.parent.glob("download-*"):  # by a process that was killed; the lock says that it is not at work
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix="download-") as scratch:
        complete = Path(scratch) / "jars"
        complete.mkdir()
        for jar in _resolve(Path(scratch) / "repository"):
            shutil.move(jar, complete / jar.name)
        seen = _digest(complete.glob("*.jar"))
        if seen != _DIGEST:
            raise LocalBrokerError(
                f"what arrived as Apache Kafka {KAFKA_VERSION} is not what was published (SHA-256 {seen}); start "
                "again, and where it stays so look at the proxy or mirror between here and Maven Central"
            )
        complete.rename(jars)


def _resolve(repository: Path) -> list[Path]:
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext, PythonResolver
    except ImportError as error:
        raise LocalBrokerError(f"{error.name} is not installed; install statecast[broker]") from error
    try:
        # A mirror of Maven Central is named where jgo's users name it: [repositories] in jgo.conf.
        remote = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
        context = MavenContext(resolver=PythonResolver(), repo_cache=repository, remote_repos=remote)
        named, needed = context.resolver.resolve([context.create_dependency(each) for each in _COORDINATES])
        wanted = [*named, *(each for each in needed if each.scope in ("compile", "runtime"))]
        return [Path(each.artifact.resolve()) for each in wanted]
    except Exception as error:  # requests', the XML parser's and the resolver's own: all mean that it did not arrive
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LocalBrokerError(
            f"Apache Kafka {KAFKA_VERSION} could not be downloaded: {reason[:200]}; it is needed once: connect to "
            "https://repo.maven.apache.org, or name a mirror as central under [repositories] in ~/.config/jgo.conf"
        ) from error


def _digest(jars: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for jar in sorted(jars):
        total.update(f"{jar.name} {hashlib.sha256(jar.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
