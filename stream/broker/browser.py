"""Records with their headers, read by no group: for whoever looks at a topic once. Through kafka-python for both
clients, as the calls of `admin`, because it is always installed. Not for the loop."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import kafka.errors as kafka_errors

from stream.broker.kafka_python_common import fault
from stream.broker.kafka_python_reader import KafkaPythonReader
from stream.broker.port import Headers, Identity
from stream.errors import Unavailable

AT_ONCE = 2000  # records of one poll
PATIENCE = 30.0  # seconds without a record or a step forward; a transaction that its writer left open ends in 15


@dataclass(slots=True)
class Browsed:
    """One record."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def browse(
    identity: Identity, topic: str, begins: Mapping[int, int], ends: Mapping[int, int], patience: float = PATIENCE
) -> Iterator[Browsed]:
    """The committed records of each partition from its offset in `begins` up to, not including, that in `ends`.

    In offset order within a partition. Raises Unavailable where nothing comes for so many seconds, Refused where the
    topic is not there, or rights are missing.
    """
    todo = {p for p in begins if begins[p] < ends[p]}
    if not todo:
        return
    with closing(_Browser(identity, topic, timeout=10.0)) as reader:
        for partition in sorted(todo):
            reader.add(partition, begins[partition])
        before, moved = {p: begins[p] for p in todo}, time.monotonic()
        while todo:
            for record in reader.browse(AT_ONCE, 0.5):
                if record.offset < ends[record.partition]:
                    yield record
            now = {p: reader.position(p) or before[p] for p in todo}
            if now != before:
                before, moved = now, time.monotonic()
            elif time.monotonic() - moved > patience:
                raise Unavailable(
                    f"topic {topic}: nothing came for {patience:g} s at {now}; a transaction may be open there, which "
                    "ends by itself in 15 s, or the broker does not answer; try again"
                )
            for partition in [p for p in todo if now[p] >= ends[p]]:
                reader.remove(partition)
                todo.discard(partition)
                del before[partition]


class _Browser(KafkaPythonReader):
    """A reader that does not leave the headers out."""

    def browse(self, max_records: int, timeout: float) -> list[Browsed]:
        try:
            polled = self._consumer.poll(int(timeout * 1000), max_records)
        except kafka_errors.KafkaError as error:
            raise fault(error, f"read topic {self._topic}") from None
        return [
            Browsed(tp.partition, r.offset, r.timestamp, r.key, r.value, list(r.headers))
            for tp, of_one in polled.items()
            for r in of_one
        ]
