"""A Kafka cluster for the load test: the choice of the client library, and what is done alike with either."""

import importlib.util
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import fields

from loadtest.errors import EnvironmentFault, UsageError
from loadtest.port import CONNECT_TIMEOUT, ClientName, Cluster, Headers, Reader, Records, Writer

__all__ = [
    "ClientName", "Cluster", "Headers", "Reader", "Records", "Writer", "connect", "create", "existing", "read_to",
]  # fmt: skip


def connect(bootstrap_servers: str, client: ClientName = "auto") -> Cluster:
    """The cluster, through the faster client that is installed. Raises EnvironmentFault where no broker answers."""
    if client == "auto":
        client = "confluent" if importlib.util.find_spec("confluent_kafka") else "kafka-python"
    if client == "confluent":
        if not importlib.util.find_spec("confluent_kafka"):
            raise UsageError("--client confluent: confluent-kafka is not installed; pip install 'statecast[fast]'")
        from loadtest.with_confluent import ConfluentCluster

        return ConfluentCluster(bootstrap_servers)
    if client != "kafka-python":
        raise UsageError(f"--client {client}: unknown; give auto, confluent or kafka-python")
    from loadtest.with_kafka_python import KafkaPythonCluster

    return KafkaPythonCluster(bootstrap_servers)


def existing(cluster: Cluster, option: str, topic: str) -> int:
    """The number of partitions of a topic that must be there."""
    partitions = cluster.partitions(topic)
    if partitions is None:
        raise EnvironmentFault(f"{option} {topic}: there is no such topic; create it, or mend the name")
    return partitions


def create(cluster: Cluster, topic: str, partitions: int) -> None:
    """Create a topic where it is missing, and wait until the cluster shows it."""
    if cluster.partitions(topic) is not None:
        return
    cluster.create(topic, partitions)
    deadline = time.monotonic() + CONNECT_TIMEOUT
    while cluster.partitions(topic) is None:
        if time.monotonic() > deadline:
            raise EnvironmentFault(f"topic {topic}: was created but is not shown; is the cluster well?")
        time.sleep(0.05)


def read_to(
    reader: Reader, topic: str, partition: int, start: int, end: int, *, chunk: int, timeout: float
) -> Iterator[Records]:
    """The committed records of one partition from start up to end, in chunks.

    end is a high watermark, so a transaction that is still open holds the reader back (it ends at the
    last stable offset). Raises EnvironmentFault after `timeout` seconds without any
    progress.
    """
    if start >= end:
        return
    reader.assign({partition: start})
    position, deadline = start, time.monotonic() + timeout
    while position < end:
        records = reader.poll(chunk, 0.2)
        moved = reader.position(partition)
        if moved > position:
            position, deadline = moved, time.monotonic() + timeout
        if len(records):
            below = records if records.offsets[-1] < end else _below(records, end)
            if len(below):
                yield below
            deadline = time.monotonic() + timeout
        elif time.monotonic() > deadline:
            raise EnvironmentFault(
                f"topic {topic}, partition {partition}: nothing to read from offset {position} for {timeout:g} s, "
                f"though it ends at {end}; an open transaction may hold it back: end it, or give more --timeout"
            )


def _below(records: Records, end: int) -> Records:
    """Those of one partition's records whose offset is below end."""
    n = bisect_left(records.offsets, end)
    return Records(*(getattr(records, column.name)[:n] for column in fields(records)))
