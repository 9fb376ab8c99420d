"""A Kafka topic from a start to an end as events. Knows Kafka's client, not what stands in a record."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from training.data.events import LABEL, STREAM, TIME, Events, assemble
from training.data.login import PREFIX, login
from training.data.records import Log, Partition, Reader
from training.data.times import moment
from training.errors import DataError

if TYPE_CHECKING:
    from kafka import KafkaConsumer, TopicPartition

PATIENCE = 30.0  # seconds without an answer after which the broker is given up
AT_ONCE = 5000  # records of a poll


def read_topic(
    topic: str,
    servers: str,
    features: Sequence[str],
    label: str | None = None,
    symbols: bool = False,
    start: str | None = None,
    end: str | None = None,
    patience: float = PATIENCE,
) -> Events:
    """The committed records of all partitions from start up to, not with, end: an offset, or a time of the records.

    A record is read as the service reads it: a JSON object with each feature (null where missing), perhaps `ts`, else
    the record's timestamp. What is no event is left out, and a note counts it. A key's events in one partition are a
    stream, in the order of their offsets; an event whose time lies before its predecessor's gets that time. A record
    without a value ends its stream; what follows is a stream of its own. A key's further streams are named KEY#2 and so
    on.

    patience: seconds without an answer after which the broker is given up.

    How to log in comes from the environment; see `login`.

    Raises DataError: no broker, no such topic, no event, an offset or time that is none.
    """
    from kafka import KafkaConsumer, errors

    fields = ["ts", *features, *([] if label is None else [label])]
    if len(set(fields)) < len(fields):
        raise DataError(f"--topic {topic}: the fields {', '.join(fields)} must differ (ts is the time); name others")
    how = login(os.environ)
    protocol = how.get("security_protocol", "PLAINTEXT")
    try:
        consumer = KafkaConsumer(
            **how,
            bootstrap_servers=servers.split(","),
            bootstrap_timeout_ms=int(patience * 1000),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
        )
    except (errors.KafkaError, ValueError, OSError) as error:
        raise DataError(
            f"--bootstrap-servers {servers}: no Kafka answers ({type(error).__name__}); is it running, and is the "
            f"address right? It was asked by {PREFIX}SECURITY_PROTOCOL={protocol}"
        ) from None
    try:
        ranges = _ranges(consumer, topic, start, end)
        partitions, log = _read(consumer, ranges, Reader(tuple(features), label, symbols), patience)
    except errors.KafkaError as error:
        raise DataError(f"--topic {topic}: cannot be read ({type(error).__name__}: {error}); try again") from None
    finally:
        consumer.close()
    if not sum(len(part.stream) for part in partitions):
        why = f"; {log.bad} records are none: {log.first}" if log.bad else ""
        raise DataError(f"--topic {topic}: holds no events between --start and --end{why}; give another range or topic")
    events = _assembled(partitions, tuple(features), label is not None, symbols)
    notes = []
    if log.bad:
        notes.append(f"{log.bad} of {log.records} records are no events and were left out (the first: {log.first})")
    if log.late:
        notes.append(f"{log.late} events came after a later one of their stream, and were given its time")
    return replace(events, notes=(*events.notes, *notes))


def _ranges(
    consumer: "KafkaConsumer", topic: str, start: str | None, end: str | None
) -> "dict[TopicPartition, tuple[int, int]]":
    """The first offset of each partition, and the one behind its last."""
    from kafka import TopicPartition

    found = consumer.partitions_for_topic(topic)
    if not found:
        raise DataError(f"--topic {topic}: is not there, or may not be seen; mend its name or the rights")
    partitions = [TopicPartition(topic, number) for number in sorted(found)]
    lowest, highest = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)

    def offsets(option: str, text: str) -> dict[Any, int]:
        if text.isdecimal():
            return {at: int(text) for at in partitions}
        time = moment(option, text)
        looked = consumer.offsets_for_times(dict.fromkeys(partitions, time))
        return {at: highest[at] if looked[at] is None else looked[at].offset for at in partitions}

    first = lowest if start is None else offsets("--start", start)
    last = highest if end is None else offsets("--end", end)
    return {at: (max(first[at], lowest[at]), min(last[at], highest[at])) for at in partitions}


def _read(
    consumer: "KafkaConsumer", ranges: "dict[TopicPartition, tuple[int, int]]", reader: Reader, patience: float
) -> tuple[list[Partition], Log]:
    found, log = {at: Partition() for at in ranges}, Log()
    left = {at for at, (first, last) in ranges.items() if first < last}
    consumer.assign(sorted(left))
    for at in left:
        consumer.seek(at, ranges[at][0])
    quiet = 0.0
    while left:
        before = {at: consumer.position(at) for at in left}
        for at, records in consumer.poll(timeout_ms=1000, max_records=AT_ONCE).items():
            for record in records:
                if record.offset < ranges[at][1]:
                    reader.take(found[at], log, record)
        # Not by the records: behind the last one may stand marks of transactions.
        positions = {at: consumer.position(at) for at in left}
        quiet = 0.0 if positions != before else quiet + 1.0
        if quiet > patience:
            at = min(left)
            raise DataError(
                f"--topic {at.topic}: partition {at.partition} gave no record after offset {positions[at]} for "
                f"{patience:g} s; try again"
            )
        done = {at for at in left if positions[at] >= ranges[at][1]}
        if done:
            left -= done
            consumer.pause(*done)
    return list(found.values()), log


def _assembled(partitions: list[Partition], features: tuple[str, ...], labelled: bool, symbols: bool) -> Events:
    keys: list[bytes] = []
    taken = {key for part in partitions for key in part.streams}
    begun: set[bytes] = set()
    frames = []
    for part in partitions:
        first = len(keys)
        keys += [b""] * len(part.latest)
        for key, streams in part.streams.items():
            for stream in streams:
                if stream >= 0:
                    keys[first + stream] = _free(key, begun, taken)
        columns: dict[str, Any] = {STREAM: np.array(part.stream, np.int64) + first, TIME: np.array(part.time, np.int64)}
        if symbols:
            columns[features[0]] = pl.Series(part.texts, dtype=pl.String)
        else:
            values = np.array(part.values, np.float64).reshape(-1, len(features))
            columns |= {name: values[:, i] for i, name in enumerate(features)}
        if labelled:
            columns[LABEL] = pl.Series(part.labels, dtype=pl.String)
        frames.append(pl.DataFrame(columns))
    return assemble(pl.concat(frames), keys, features, timed=True)


def _free(key: bytes, begun: set[bytes], taken: set[bytes]) -> bytes:
    """The key for its first stream, KEY#2 and so on for the others, unless that is another stream's key."""
    if key not in begun:
        begun.add(key)
        return key
    number = 2
    while (name := b"%b#%d" % (key, number)) in taken:
        number += 1
    taken.add(name)
    return name
