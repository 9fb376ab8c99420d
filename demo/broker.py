"""The run's Kafka: one that the user names, or an embedded one that ends with the run."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from demo.errors import StepFailed
from demo.screen import Screen
from demo.workspace import Options, Workspace
from localbroker.artifacts import KAFKA_VERSION
from localbroker.broker import LocalBroker
from localbroker.errors import LocalBrokerError


@dataclass(frozen=True)
class Kafka:
    """Where it is, and what the report calls it."""

    bootstrap_servers: str
    told: str


@contextmanager
def kafka(options: Options, screen: Screen, workspace: Workspace) -> Iterator[Kafka]:
    """Kafka for as long as the block runs. Raises StepFailed where it does not start."""
    if options.bootstrap_servers:
        screen.head(f"Apache Kafka at {options.bootstrap_servers}, as KAFKA_BOOTSTRAP_SERVERS says")
        yield Kafka(options.bootstrap_servers, "as KAFKA_BOOTSTRAP_SERVERS said")
        return
    screen.head(f"Apache Kafka {KAFKA_VERSION}, one node, for this run alone (the first time it is downloaded)")
    log = workspace.log("kafka")
    began = time.monotonic()
    broker = LocalBroker()
    try:
        try:
            broker.start()
        except LocalBrokerError as error:
            log.write_text("\n".join([str(error), *getattr(error, "__notes__", [])]) + "\n")
            raise StepFailed(f"Kafka did not start: {error}", log) from None
        screen.say(f"listens on {broker.bootstrap_servers} after {time.monotonic() - began:.1f} s")
        yield Kafka(broker.bootstrap_servers, f"Apache Kafka {KAFKA_VERSION} (KRaft, one node) on the same machine")
    finally:
        with suppress(OSError, RuntimeError):  # no log yet
            shutil.copyfile(broker.log_path, log)
        broker.stop()
