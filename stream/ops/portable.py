"""The file of `statecast state export`: all rows of an application, and where it stood. Knows no broker.

A ZIP archive, stored and not compressed, whose members are
    state.json         `Header`: whose state, of which model, and per partition the committed offset and the marker
    partition-N.rows   per row: u32 bytes of key, u32 bytes of value, key, value; little-endian, as in the changelog
The archive's CRC-32 tells damage of any member, its directory at the end that the file was cut short. The digest in
the header is of the rows, whatever their order and their offsets: see `Digest`.
"""

import contextlib
import hashlib
import itertools
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Annotated

import msgspec
import numpy as np

import stream
from engine.rows import Rows
from stream.errors import EnvironmentFault, UsageError
from stream.state import changelog
from stream.state.changelog import Marker
from stream.state.files import sync_directory

FORMAT = 1
KIND = "statecast state"
HEADER = "state.json"
HEADER_BYTES = 64 << 20  # a file with a larger header is none of ours
RECORD_BYTES = 32 << 20  # of a key, and of a value; no changelog holds a larger one
AT_ONCE = 2048  # rows
_LENGTHS = struct.Struct("<II")

Record = tuple[bytes, bytes]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Part(msgspec.Struct, frozen=True):
    """One partition."""

    partition: Count
    committed: Count  # the group's offset of the input
    rows: Count
    marker: Marker

    @property
    def clean(self) -> bool:
        """Whether the rows lack nothing below the committed offset."""
        return self.marker.replay >= self.committed


class Header(msgspec.Struct, frozen=True):
    """What the file says of itself."""

    fingerprint: str  # of the model, the first 12 hex digits
    width: Count  # floats of a row
    application: str
    input_topic: str
    input_topic_id: str | None
    partitions: Count  # of the input
    parts: list[Part]  # those that had begun
    rows: Count
    digest: str
    written_at: float  # seconds since the epoch
    kind: str = KIND
    format: int = FORMAT
    statecast: str = stream.VERSION


class Digest:
    """A fingerprint of rows that does not depend on their order, nor on offsets: those are another topic's elsewhere.

    The sum, modulo 2^256, of the SHA-256 of each row: its partition, its key, and its record with the offset 0.
    """

    def __init__(self) -> None:
        self._sum = 0
        self.rows = 0

    def add(self, partition: int, rows: Rows) -> None:
        values = changelog.row_values(replace(rows, offset=np.zeros_like(rows.offset)))
        for key, value in zip(rows.keys, values, strict=True):
            text = _LENGTHS.pack(partition, len(key)) + key + value
            self._sum += int.from_bytes(hashlib.sha256(text).digest(), "big")
        self.rows += len(rows)

    @property
    def hex(self) -> str:
        return f"{self._sum % (1 << 256):064x}"


class Writer:
    """Writes a file that takes its name when it is whole. A context manager."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where the path cannot be written, or is there already."""
        self._path = path
        try:
            if os.path.lexists(path):
                raise UsageError(f"--out {path}: is there already; give another path")
            handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
        except OSError as error:
            raise UsageError(f"--out {path}: cannot be written ({error.strerror}); give another path") from None
        self._scratch = Path(name)
        self._file = os.fdopen(handle, "w+b")
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, ValueError):  # a half archive, on a full disk perhaps
            self._archive.close()
        with contextlib.suppress(OSError):
            self._file.close()
        self._scratch.unlink(missing_ok=True)

    def rows(self, partition: int, records: Iterable[Record]) -> int:
        """Write a partition's rows; how many. Raises EnvironmentFault where the disk is full or broken."""
        count = 0
        with self._faults(), self._archive.open(_member(partition), "w", force_zip64=True) as member:
            for key, value in records:
                member.write(_LENGTHS.pack(len(key), len(value)) + key + value)
                count += 1
        return count

    def finish(self, header: Header) -> None:
        """All rows are written: the file takes its name. Raises EnvironmentFault."""
        with self._faults():
            self._archive.writestr(HEADER, msgspec.json.format(msgspec.json.encode(header), indent=2))
            self._archive.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._scratch.rename(self._path)
            sync_directory(self._path.absolute().parent)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EnvironmentFault(
                f"--out {self._path}: cannot be written ({error.strerror or error}); make room, or give another path"
            ) from None


class Export:
    """A file to be read. A context manager."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where the file is not there, is none of ours, or was cut short."""
        self._path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except OSError as error:
            raise UsageError(
                f"{path}: cannot be read ({error.strerror}); give a file of `statecast state export`"
            ) from None
        except (zipfile.BadZipFile, NotImplementedError, ValueError):
            raise self._damaged("is no file of `statecast state export`, or was cut short") from None
        try:
            self.header = self._read_header()
            self._check_members()
        except BaseException:
            self._archive.close()
            raise

    def __enter__(self) -> "Export":
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def rows(self, part: Part) -> Iterator[Rows]:
        """A partition's rows, some at a time. Raises UsageError where the file is damaged."""
        count = 0
        with self._faults(), self._archive.open(_member(part.partition)) as member:
            records = _records(member)
            while some := list(itertools.islice(records, AT_ONCE)):
                keys, values = zip(*some, strict=True)
                entries = changelog.read(keys, values, self.header.width)
                if len(entries.rows) < len(some):
                    raise _Wrong("holds something else than rows")
                count += len(some)
                yield entries.rows
        if count != part.rows:
            raise self._damaged(f"has {count} rows of partition {part.partition}, not {part.rows}")

    def check(self) -> None:
        """Read all of it once. Raises UsageError where the rows are not those that were exported."""
        digest = Digest()
        for part in self.header.parts:
            newest = -1
            for rows in self.rows(part):
                digest.add(part.partition, rows)
                newest = max(newest, int(rows.offset.max()))
            if newest >= part.committed:
                raise self._damaged(
                    f"has a row of offset {newest} in partition {part.partition}, committed at {part.committed}"
                )
        if (digest.hex, digest.rows) != (self.header.digest, self.header.rows):
            raise self._damaged(f"holds {digest.rows} rows with digest {digest.hex[:16]}, not what its header says")

    def _read_header(self) -> Header:
        try:
            info = self._archive.getinfo(HEADER)
            if info.file_size > HEADER_BYTES or info.compress_type != zipfile.ZIP_STORED:
                raise self._damaged("has a header that no version writes")
            with self._faults():
                text = self._archive.read(info)
        except KeyError:
            raise self._damaged("is no file of `statecast state export`") from None
        try:
            version = msgspec.json.decode(text, type=_Version)
            if version.kind == KIND and version.format != FORMAT:
                raise self._damaged(f"is of format {version.format}, this version reads {FORMAT}")
            return msgspec.json.decode(text, type=Header)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._damaged(f"has a header that cannot be read ({error})") from None

    def _check_members(self) -> None:
        header = self.header
        numbers = [part.partition for part in header.parts]
        if header.kind != KIND or len(set(numbers)) < len(numbers) or max(numbers, default=0) >= header.partitions:
            raise self._damaged("has a header that contradicts itself")
        if not 0 <= header.width <= RECORD_BYTES // 4:
            raise self._damaged(f"has rows of {header.width} floats")
        members = {info.filename: info for info in self._archive.infolist()}
        for part in header.parts:
            info = members.get(_member(part.partition))
            if info is None or info.compress_type != zipfile.ZIP_STORED:
                raise self._damaged(f"lacks the rows of partition {part.partition}")
            if part.marker.format != changelog.FORMAT:
                raise self._damaged(
                    f"has a marker of format {part.marker.format}, this version reads {changelog.FORMAT}"
                )

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (changelog.Foreign, _Wrong, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise self._damaged(f"is damaged: {error}") from None
        except OSError as error:
            raise self._damaged(f"cannot be read ({error.strerror or error})") from None

    def _damaged(self, reason: str) -> UsageError:
        return UsageError(f"{self._path}: {reason}; nothing was written. Give a whole file of `statecast state export`")


class _Version(msgspec.Struct):
    kind: str = ""
    format: int = 0


class _Wrong(Exception):
    """What a member holds is none of ours."""


def _member(partition: int) -> str:
    return f"partition-{partition}.rows"


def _records(member: IO[bytes]) -> Iterator[Record]:
    while lengths := member.read(_LENGTHS.size):
        if len(lengths) < _LENGTHS.size:
            raise _Wrong("it ends within a row")
        key, value = _LENGTHS.unpack(lengths)
        if max(key, value) > RECORD_BYTES:
            raise _Wrong(f"a row of {max(key, value)} bytes")
        text = member.read(key + value)
        if len(text) < key + value:
            raise _Wrong("it ends within a row")
        yield text[:key], text[key:]
