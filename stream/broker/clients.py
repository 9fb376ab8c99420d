"""Which client library serves. Each is imported only when it is chosen."""

import importlib.metadata
import importlib.util

from stream.broker.port import Client
from stream.errors import UsageError

NAMES = ("auto", "kafka-python", "confluent")


def choose(name: str) -> Client:
    """The client called name; "auto" is confluent-kafka where it is installed. Raises UsageError."""
    if name not in NAMES:
        raise UsageError(f"--client {name}: not a client; choose one of {', '.join(NAMES)}")
    installed = importlib.util.find_spec("confluent_kafka") is not None
    if name == "confluent" and not installed:
        raise UsageError("--client confluent: confluent-kafka is not installed; pip install 'statecast[fast]'")
    if name == "confluent" or (name == "auto" and installed):
        from stream.broker.confluent import ConfluentClient

        return ConfluentClient()
    from stream.broker.kafka_python import KafkaPythonClient

    return KafkaPythonClient()


def library(client: Client) -> str:
    """The name of its library, as it is installed by."""
    return "confluent-kafka" if client.name == "confluent" else client.name


def version(client: Client) -> str:
    """Of its library, as it is installed."""
    return importlib.metadata.version(library(client))
