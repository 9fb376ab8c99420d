"""`statecast state get` and `list`: what an application's changelog says of its streams, and as of when.

The service may run meanwhile: a row is then as old as its last checkpoint. Of each partition the marker tells how far
its rows are complete: they lack no event below `complete_below`.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import orjson

from engine.columns import Floats
from export.signature import Signature
from stream.broker.admin import Admin, TopicInfo
from stream.broker.clients import choose
from stream.broker.port import Client, Identity, Records
from stream.errors import Refused, UsageError
from stream.ops.changelogs import CALL, Columns, Named, Newest, find, of_keys, records, spans
from stream.ops.letters import moment, name_of
from stream.said import plain
from stream.settings import Settings
from stream.state.changelog import MARKER, ROW, Marker

Say = Callable[[str], None]

STATES = {"empty": "empty: it was reset, and begins anew", "frozen": "frozen: it takes no events until it is reset"}


@dataclass(frozen=True)
class Seen:
    """One stream, as its changelog tells it."""

    key: bytes
    partition: int
    row: Columns
    marker: Marker | None
    values: Floats | None = None  # [width]
    input_end: int | None = None
    newer: int | None = None  # events of the stream in the input that the row lacks

    def table(self, signature: Signature | None) -> dict[str, Any]:
        """For JSON. signature: tells the state's tensors apart."""
        row, marker = self.row, self.marker
        told: dict[str, Any] = {
            "key": _text(self.key),
            "key_percent": quote_from_bytes(self.key, safe=""),
            "partition": self.partition,
            "offset": row.offset,
            "time": row.time,
            "step": row.step,
            "clock": row.clock,
            "state": row.state,
            "complete_below": None if marker is None else marker.replay,
            "position": None if marker is None else marker.position,
        }
        if self.newer is not None:
            told |= {"input_end": self.input_end, "newer_events": self.newer}
        if self.values is not None:
            told["values"] = tensors(self.values, signature)
        return told

    def lines(self, changelog: str) -> Iterator[str]:
        """For people."""
        row, marker = self.row, self.marker
        yield f"stream {name_of(self.key)} in {changelog} [{self.partition}]"
        yield f"  state     {STATES.get(row.state, f'{row.step} steps since its cold start')}"
        yield f"  event     offset {row.offset}, time {moment(row.time)}, clock {moment(row.clock)}"
        yield f"  as of     {_fresh(marker)}"
        if self.newer is not None:
            lacks = {0: "no event", 1: "1 event of this stream"}.get(self.newer, f"{self.newer} events of this stream")
            yield f"  input     ends at {self.input_end}; the row lacks {lacks}"


def get(
    settings: Settings,
    identity: Identity,
    key: bytes,
    *,
    model: Path | None,
    partition: int | None,
    values: bool,
    json: bool,
    say: Say,
) -> None:
    """Tell of the streams of one key, one in each partition that has it. With an input topic in the settings, also how
    many of their events the rows lack. Raises Refused where no partition has it, and as `find`.
    """
    client = choose(settings.kafka.client)
    with closing(Admin(identity, timeout=CALL)) as admin:
        named = find(admin, identity, model)
        source = input_of(admin, settings.kafka.input_topic)
        seen = list(_streams_of(client, identity, admin, named, key, partition))
        if not seen:
            raise Refused(
                f"{named.name}: has no row of stream {name_of(key)}; it had no event, was forgotten, or its first "
                "event is younger than a checkpoint"
            )
        if source is not None:
            seen = [_held_against(client, identity, admin, source, stream) for stream in seen]
    for stream in seen:
        table = stream.table(named.signature)
        if json:
            say(orjson.dumps(table if values else {n: v for n, v in table.items() if n != "values"}).decode())
            continue
        for line in stream.lines(named.name):
            say(line)
        if values:
            say(orjson.dumps(table["values"]).decode())


def _streams_of(
    client: Client, identity: Identity, admin: Admin, named: Named, key: bytes, partition: int | None
) -> Iterator[Seen]:
    for number, newest, kept in partitions(client, identity, admin, named, partition, only=key):
        if (row := newest.rows.get(key)) is not None:
            yield Seen(key, number, row, newest.marker, kept)


def partitions(
    client: Client,
    identity: Identity,
    admin: Admin,
    named: Named,
    partition: int | None = None,
    only: bytes | None = None,
) -> Iterator[tuple[int, Newest, Floats | None]]:
    """Each partition's newest rows, one partition after the other. only: of this stream alone, and its floats.

    Raises UsageError where there is no such partition.
    """
    todo = spans(admin, named.topic)
    if partition is not None and partition not in todo:
        raise UsageError(f"--partition {partition}: {named.name} has {len(todo)} partitions, numbered from 0")
    for number in todo if partition is None else [partition]:
        newest, values = Newest(named.name, named.width), None
        for batch in records(client, identity, named.name, {number: todo[number]}):
            rows = newest.take(batch if only is None else of_keys(batch, {MARKER, ROW + only}))
            if only is not None and len(rows):
                values = rows.state[-1]
        yield number, newest, values


def input_of(admin: Admin, name: str) -> TopicInfo | None:
    """The input topic, where one is named. Raises Refused where it is not there."""
    if not name:
        return None
    topic = admin.describe(name)
    if topic is None:
        raise Refused(f"--input-topic {name}: does not exist; mend its name")
    return topic


def _held_against(client: Client, identity: Identity, admin: Admin, source: TopicInfo, stream: Seen) -> Seen:
    """The same with what the input has beyond the row."""
    number = stream.partition
    if number >= source.partitions:
        raise Refused(
            f"--input-topic {source.name}: has no partition {number}, which stream {name_of(stream.key)} is in; name "
            "the topic that the application reads"
        )
    begin = admin.watermarks(source.name, [number], CALL)[number][0]
    end = admin.ends(source.name, [number], CALL)[number]
    complete = stream.marker.replay if stream.marker else 0
    span = {number: (max(begin, complete, stream.row.offset + 1), end)}
    newer = sum(_count(batch, stream) for batch in records(client, identity, source.name, span))
    return Seen(stream.key, number, stream.row, stream.marker, stream.values, end, newer)


def _count(batch: Records, stream: Seen) -> int:
    pairs = zip(batch.keys, batch.offsets, strict=True)
    return sum(key == stream.key and offset > stream.row.offset for key, offset in pairs)


def listing(
    settings: Settings,
    identity: Identity,
    *,
    model: Path | None,
    prefix: bytes,
    partition: int | None,
    limit: int,
    json: bool,
    say: Say,
) -> None:
    """Tell of each stream, partition by partition and by key. limit: at most so many. Raises as `find`.

    Memory: the keys and columns of one partition's streams.
    """
    with closing(Admin(identity, timeout=CALL)) as admin:
        named = find(admin, identity, model)
        if not json:
            say(f"{'partition':>9} {'offset':>12} {'step':>9}  {'time':24}  stream")
        client, told = choose(settings.kafka.client), 0
        for number, newest, _ in partitions(client, identity, admin, named, partition):
            keys = sorted(key for key in newest.rows if key.startswith(prefix))
            for key in keys[: limit - told]:
                stream = Seen(key, number, newest.rows[key], newest.marker)
                say(orjson.dumps(stream.table(None)).decode() if json else _line(stream))
            if not json and (keys or newest.marker):
                say(f"# partition {number}: {len(keys)} streams, {_fresh(newest.marker)}")
            told += len(keys[: limit - told])
            if told >= limit:
                return


def _line(stream: Seen) -> str:
    row = stream.row
    step = str(row.step) if row.state == "warm" else row.state
    return f"{stream.partition:>9} {row.offset:>12} {step:>9}  {moment(row.time):24}  {name_of(stream.key)}"


def _fresh(marker: Marker | None) -> str:
    if marker is None:
        return "no marker: no commit has told of this partition"
    return f"complete below input offset {marker.replay}, committed at {marker.position}"


def _text(key: bytes) -> str | None:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return None


def tensors(values: Floats, signature: Signature | None) -> Any:
    """A row's floats: by the names and shapes of the state's tensors, or as they stand where no model is given."""
    if signature is None:
        return plain(values)
    found, at = {}, 0
    for tensor in signature.state:
        found[tensor.input] = plain(values[at : at + tensor.width].reshape(tensor.shape))
        at += tensor.width
    return found
