"""An application as it is after a clean stop: rows and markers in its changelog, and its offsets committed.

The records are those of stream.state.changelog, so the service cannot tell them from its own.
"""

import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import psutil
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka import admin as confluent_admin

from benchmarks.common import until
from engine.model import Model
from engine.rows import Rows
from loadtest.partitioner import partition_of
from stream.state.changelog import MARKER, Marker, Rules, marker_value, row_keys, row_values
from stream.state.keeper import machine
from stream.topics import CHANGELOG, changelog_name

admin: Any = confluent_admin  # its types leave out half of what it has

CHUNK = 20_000  # rows
RULES = Rules(None, 4096, 1_048_576, "json")  # serve's defaults


def write(servers: str, model_path: Path, application: str, topic: str, streams: int, ends: dict[int, int]) -> float:
    """Write the rows of so many streams, as if `topic` had been worked off to its `ends`. MiB of values written."""
    model, partitions = Model(model_path), len(ends)
    name = changelog_name(application, model.fingerprint)
    cluster = admin.AdminClient({"bootstrap.servers": servers})
    for future in cluster.create_topics([admin.NewTopic(name, partitions, -1, config=CHANGELOG)]).values():
        future.result(30)
    producer = Producer(
        {
            "bootstrap.servers": servers, "transactional.id": "benchmark-fill", "linger.ms": 20,
            "batch.num.messages": 20_000, "queue.buffering.max.messages": 200_000, "delivery.report.only.error": True,
            "log_level": 2,
        }
    )  # fmt: skip
    producer.init_transactions(30)
    random, written = np.random.default_rng(0), 0
    keys = [b"stream-%0*d" % (len(str(streams - 1)), i) for i in range(streams)]
    places = partition_of(keys, partitions)
    limits = np.array([ends[p] for p in range(partitions)])
    for start in range(0, streams, CHUNK):
        part, where = keys[start : start + CHUNK], places[start : start + CHUNK]
        size = len(part)
        state = random.uniform(-1, 1, (size, model.row_width)).astype(np.float32)
        when = np.full(size, 1_700_000_000_000)
        rows = Rows(part, random.integers(0, limits[where]), when, when, np.full(size, 100), state)
        producer.begin_transaction()
        for partition, key, value in zip(where.tolist(), row_keys(part), row_values(rows), strict=True):
            written += len(value)
            while True:
                try:
                    producer.produce(name, value, key, partition)
                    break
                except BufferError:
                    producer.poll(0.01)
        if start + CHUNK >= streams:
            for partition, end in ends.items():
                producer.produce(name, marker_value(_marker(end)), MARKER, partition)
        producer.commit_transaction(60)
    until("the group's offsets", lambda: _commit(cluster, application, topic, ends))
    return written / 2**20


def _commit(cluster: Any, application: str, topic: str, ends: dict[int, int]) -> bool:
    """Whether it could be done: the group's coordinator may have just begun."""
    group = ConsumerGroupTopicPartitions(application, [TopicPartition(topic, p, end) for p, end in ends.items()])
    (done,) = cluster.alter_consumer_group_offsets([group]).values()
    return all(tp.error is None for tp in done.result(30).topic_partitions)


def _marker(end: int) -> Marker:
    return Marker(
        replay=end, clock=1_700_000_000_000, position=end, origin=0, lineage=uuid.uuid4().hex, input_topic_id=None,
        writer="benchmark-fill", rules=RULES, onnxruntime=onnxruntime.__version__, machine=machine(),
    )  # fmt: skip


def until_quiet(pid: int, timeout: float = 60.0) -> None:
    """Wait until the broker has done what it does after so many writes: compaction runs beside everything else."""
    broker, deadline = psutil.Process(pid), time.monotonic() + timeout
    while broker.cpu_percent(1.0) > 15 and time.monotonic() < deadline:
        pass
