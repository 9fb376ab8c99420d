"""An application's changelog as it is read from outside: which one, and the newest row of each of its streams.

Only what was committed is read, up to the high watermark of the moment. What is in an open transaction is waited for.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.rows import FROZEN, Rows
from export.signature import Signature, fingerprint, load
from stream.broker.admin import Admin, TopicInfo
from stream.broker.port import Client, Identity, Records
from stream.errors import Refused, Unavailable, UsageError
from stream.state import changelog
from stream.state.changelog import ROW, Marker
from stream.topics import changelog_name, changelogs_of

AT_ONCE = 8192  # records of one poll
PATIENCE = 30.0  # seconds without a step forward; a transaction whose writer died ends in 15
CALL = 30.0  # seconds of one question; brokers at work may take some

Spans = Mapping[int, tuple[int, int]]  # partition -> the offsets to read, from and up to


@dataclass(frozen=True)
class Named:
    """A changelog, and what is known of its model."""

    topic: TopicInfo
    signature: Signature | None = None

    @property
    def name(self) -> str:
        return self.topic.name

    @property
    def fingerprint(self) -> str:
        """Its first 12 hex digits."""
        return self.name.split(".")[-2]

    @property
    def width(self) -> int | None:
        """Floats of a row."""
        return None if self.signature is None else self.signature.row_width


def find(admin: Admin, identity: Identity, model: Path | None) -> Named:
    """The changelog of this model; without one, the only one that the application has.

    Raises Refused where there is none, UsageError where there are several, and the ModelFileError of the file.
    """
    where = f"--application-id {identity.group}"
    if model is not None:
        loaded, signature = load(model)
        name = changelog_name(identity.group, fingerprint(loaded))
        topic = admin.describe(name)
        if topic is None:
            raise Refused(f"{where}: has no changelog {name} for --model {model}; check the id and the model")
        return Named(topic, signature)
    names = changelogs_of(identity.group, admin.topics())
    if len(names) > 1:
        raise UsageError(f"{where}: has {len(names)} changelogs: {', '.join(names)}; give --model MODEL.onnx")
    topic = admin.describe(names[0]) if names else None
    if topic is None:
        raise Refused(f"{where}: has no changelog at {identity.bootstrap_servers}; check the id")
    return Named(topic)


def spans(admin: Admin, topic: TopicInfo) -> Spans:
    """All that the partitions of a topic hold now."""
    return admin.watermarks(topic.name, range(topic.partitions), CALL)


def records(
    client: Client, identity: Identity, topic: str, spans: Spans, patience: float = PATIENCE
) -> Iterator[Records]:
    """The committed records of each span, partition after partition.

    Raises Unavailable where nothing comes for so many seconds, Refused where rights are missing.
    """
    todo = {number: span for number, span in spans.items() if span[0] < span[1]}
    if not todo:
        return
    with closing(client.reader(identity, topic, timeout=CALL)) as reader:
        for number, (begin, end) in todo.items():
            reader.add(number, begin)
            at, moved = begin, time.monotonic()
            while at < end:
                for batch in reader.poll(AT_ONCE, 0.5):
                    if batch.offsets and batch.partition == number:
                        yield batch.below(end)
                now = reader.position(number) or at
                if now > at:
                    at, moved = now, time.monotonic()
                elif time.monotonic() - moved > patience:
                    raise Unavailable(
                        f"{topic} [{number}]: nothing came for {patience:g} s after offset {at}, and it ends at {end}; "
                        "a transaction may be open there, which the broker ends after its timeout: try again"
                    )
            reader.remove(number)


def last_words(batch: Records) -> Records:
    """Of each key its last record in the batch: a changelog's later record of a stream stands for the earlier ones."""
    last = {key: i for i, key in enumerate(batch.keys)}
    return batch if len(last) == len(batch) else batch.picked(sorted(last.values()))


def of_keys(batch: Records, keys: set[bytes | None]) -> Records:
    """The records of these keys."""
    return batch.picked([i for i, key in enumerate(batch.keys) if key in keys])


@dataclass(slots=True)
class Columns:
    """A stream's row without its floats; units as of `Rows`."""

    offset: int
    time: int
    clock: int
    step: int
    at: int  # the record's offset in the changelog

    @property
    def state(self) -> Literal["warm", "empty", "frozen"]:
        """empty: the stream was reset, as of its offset; frozen: it takes no events since, until it is reset."""
        return "empty" if self.step == 0 else "frozen" if self.step == FROZEN else "warm"


@dataclass(slots=True)
class Newest:
    """The newest row of each stream of one partition, as far as it was read, and the last marker."""

    topic: str
    width: int | None = None  # floats of a row; None until the first one tells
    rows: dict[bytes, Columns] = field(default_factory=dict)
    marker: Marker | None = None

    @property
    def offset(self) -> int:
        """The largest offset of any row; -1: no row."""
        return max((row.offset for row in self.rows.values()), default=-1)

    def take(self, batch: Records) -> Rows:
        """Records that follow; returns their rows. Raises Refused where one cannot be read."""
        last = last_words(batch)
        at = dict(zip(last.keys, last.offsets, strict=True))
        rows, gone, marker = self.decode(last)
        self.marker = marker or self.marker
        for key in gone:
            self.rows.pop(key, None)
        columns = (column.tolist() for column in (rows.offset, rows.time, rows.clock, rows.step))
        for key, offset, moment, clock, step in zip(rows.keys, *columns, strict=True):
            row = Columns(offset, moment, clock, step, at[ROW + key])
            if key not in self.rows or row.offset >= self.rows[key].offset:
                self.rows[key] = row
        return rows

    def decode(self, batch: Records) -> tuple[Rows, list[bytes], Marker | None]:
        """Rows, streams that are gone, and the last marker of records. Raises Refused where one cannot be read."""
        if self.width is None:
            told = (v for k, v in zip(batch.keys, batch.values, strict=True) if v is not None and k and k[:1] == ROW)
            self.width = next((changelog.width_of(value) for value in told), None)
        try:
            entries = changelog.read(batch.keys, batch.values, self.width or 0)
        except changelog.Foreign as foreign:
            raise Refused(
                f"{self.topic} [{batch.partition}], offset {batch.offsets[foreign.index]}: {foreign}; use the version "
                "and the model that wrote it"
            ) from None
        return entries.rows, entries.gone, entries.marker


def unreset(newest: Newest, prefix: bytes = b"") -> list[bytes]:
    """Streams whose key begins so and that are not empty, by key."""
    return sorted(key for key, row in newest.rows.items() if row.state != "empty" and key.startswith(prefix))
