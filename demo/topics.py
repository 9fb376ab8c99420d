"""The demo's topics: a set of its own for each run, so that a broker that others use too is left as it was found."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from loadtest.kafka import Cluster, read_to

PARTITIONS = 4
CHUNK = 20_000
TIMEOUT = 30.0  # seconds


class Output(msgspec.Struct):
    """One message of the output topic, or one line of `statecast replay`."""

    offset: int
    ts: int
    step: int
    prediction: float | None
    lower: float | None
    upper: float | None
    surprise: float | None
    key: str = ""  # in the topic it is the record's key


decode = msgspec.json.Decoder(Output).decode


class Names:
    """Names that no earlier run has used; all begin with the application's id."""

    def __init__(self) -> None:
        self.application = f"statecast-demo-{secrets.token_hex(4)}"
        self.input = f"{self.application}.weather"
        self.output = f"{self.application}.predictions"


@contextmanager
def temporary(bootstrap_servers: str, cluster: Cluster, names: Names) -> Iterator[None]:
    """The input topic; every topic of the application, and its group, is gone when the block ends."""
    try:
        cluster.create(names.input, PARTITIONS)
        yield
    finally:
        _delete(bootstrap_servers, names.application)


def _delete(bootstrap_servers: str, application: str) -> None:
    """As far as the broker lets us: what cannot be deleted, or is gone already, is no fault of the run."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 2})
    try:
        found = [topic for topic in admin.list_topics(timeout=5).topics if topic.startswith(application)]
        futures = list(admin.delete_topics(found, request_timeout=10).values()) if found else []
        futures += admin.delete_consumer_groups([application], request_timeout=10).values()
    except KafkaException:
        return
    for future in futures:
        future.exception(15)


def read_all(cluster: Cluster, topic: str) -> list[tuple[str, Output]]:
    """(key, message) of everything that is committed now, in offset order within each partition."""
    found = []
    with closing(cluster.reader(topic)) as reader:
        ends: Mapping[int, tuple[int, int]] = cluster.watermarks(topic)
        for partition, (low, high) in ends.items():
            for records in read_to(reader, topic, partition, low, high, chunk=CHUNK, timeout=TIMEOUT):
                for key, value in zip(records.keys, records.values, strict=True):
                    found.append(((key or b"").decode(), decode(value or b"")))
    return found
