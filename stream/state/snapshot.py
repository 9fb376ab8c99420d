"""One partition's rows in a local file: it makes a restore short, and is never the truth. Knows no bank and no Kafka.

magic, u32 length, header (Head as JSON)
chunks: "ROWS", u32 rows, u64 bytes of keys, u32 CRC-32 of these and of what follows:
        int64 offset, time, clock, step [rows] each; float32 state [rows, width]; u32 key lengths [rows]; the keys
trailer: "ENDS", u64 rows, u64 chunks, u64 bytes of the file, u32 CRC-32 of magic to header and of these

All little-endian. The trailer is found from the end of the file, so a file cut short is known before a row is read.
"""

import contextlib
import os
import struct
import tempfile
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

import msgspec
import numpy as np

from engine.rows import Rows
from stream.state.files import sync_directory

FORMAT = 1
MAGIC = b"statecast snapshot\n"
CHUNK_ROWS = 8192
CHUNK_BYTES = 4 << 20  # of columns, so that a chunk of broad rows too is read within a slice of the loop
QUEUE = 4  # Rows that may wait for the disk
_CHUNK = struct.Struct("<4sIQ")
_TRAILER = struct.Struct("<4sQQQ")
_U32 = struct.Struct("<I")
_ENDING = _TRAILER.size + _U32.size


class SnapshotFailed(Exception):
    """This snapshot will not come to be; the one before stands. One line with path and reason."""


class SnapshotDamaged(Exception):
    """The file does not hold what was written; forget what was read of it. One line with path and reason."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a snapshot says of itself."""

    width: int  # float32 columns of a row
    changelog_topic_id: str
    changelog_position: int  # where to read on in the changelog: its position when the snapshot was begun
    taken_at: float  # then too; seconds since the epoch, wall clock
    marker: bytes  # the caller's own
    format: int = FORMAT


class Writer:
    """Writes a snapshot in a thread of its own; `path` has the old one until the new one is whole and on the disk.

    `scratch` is a directory on the same file system, for the half file; without it, the directory of `path`.
    Nothing here waits for the disk but `done`.
    """

    def __init__(self, path: Path, head: Head, scratch: Path | None = None) -> None:
        self._path, self._head, self._scratch = path, head, scratch or path.parent
        self._queue: SimpleQueue[Rows | None] = SimpleQueue()
        self._turn = threading.Lock()  # between `abandon` and the moment the new file takes its name
        self._abandoned = False
        self._failure: str | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name=f"snapshot-{path.name}", daemon=True).start()

    def add(self, rows: Rows) -> bool:
        """Hand over rows, whose arrays nobody writes to any more. False: the disk is behind and nothing was taken;
        offer them again later. Raises SnapshotFailed.
        """
        self._check()
        if rows.state.shape != (len(rows), self._head.width):
            raise ValueError(f"{rows.state.shape} is not [{len(rows)}, {self._head.width}]")
        if self._queue.qsize() >= QUEUE:
            return False
        self._queue.put(rows)
        return True

    def finish(self) -> None:
        """That was the last row; `done` tells when the file has its name. Raises SnapshotFailed."""
        self._check()
        self._queue.put(None)

    def done(self, wait: float = 0) -> bool:
        """Whether the file is whole, on the disk and has its name, within `wait` seconds. Raises SnapshotFailed."""
        ended = self._ended.wait(wait)
        self._check()
        return ended

    def abandon(self) -> None:
        """Give it up, where it is not done yet: the half file goes, the one before stands."""
        with self._turn:
            self._abandoned = True
        self._queue.put(None)

    def _check(self) -> None:
        if self._failure is not None:
            raise SnapshotFailed(self._failure)

    def _run(self) -> None:
        temporary = None
        try:
            descriptor, name = tempfile.mkstemp(dir=self._scratch, prefix=f"{self._path.name}.", suffix=".new")
            temporary = Path(name)
            with os.fdopen(descriptor, "wb") as file:
                self._fill(file)
                file.flush()
                if not self._abandoned:
                    os.fsync(file.fileno())
            with self._turn:
                if not self._abandoned:
                    temporary.replace(self._path)
            sync_directory(self._path.parent)
        except Exception as error:  # whatever it is, the loop must hear of it, and a snapshot is not worth the service
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or repr(error)
            self._failure = f"cannot write the snapshot {self._path}: {reason}; the one before stands"
        finally:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
            self._ended.set()

    def _fill(self, file: BinaryIO) -> None:
        header = msgspec.json.encode(self._head)
        opening = MAGIC + _U32.pack(len(header)) + header
        file.write(opening)
        most = max(1, min(CHUNK_ROWS, CHUNK_BYTES // (36 + 4 * self._head.width)))
        total = chunks = 0
        while (rows := self._queue.get()) is not None and not self._abandoned:
            for start in range(0, len(rows), most):
                _write_chunk(file, rows, slice(start, start + most))
                chunks += 1
            total += len(rows)
        ending = _TRAILER.pack(b"ENDS", total, chunks, file.tell() + _ENDING)
        file.write(ending + _U32.pack(zlib.crc32(ending, zlib.crc32(opening))))


class Snapshot:
    """A snapshot to be read: its head, the number of its rows, and the rows in chunks.

    Opening checks all but the chunks. Raises SnapshotDamaged, and FileNotFoundError where there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, path.open("rb")
        self._end = os.fstat(self._file.fileno()).st_size - _ENDING  # of the chunks
        try:
            self.head, self._start = self._read_head()
            self.rows, self._chunks = self._read_trailer()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()

    def chunks(self) -> Iterator[Rows]:
        """All rows, at most CHUNK_ROWS at a time; a chunk's columns are views of one buffer. Raises SnapshotDamaged."""
        self._file.seek(self._start)
        total = 0
        for _ in range(self._chunks):
            rows = self._read_chunk()
            total += len(rows)
            yield rows
        if total != self.rows or self._file.tell() != self._end:
            raise self._damaged("the chunks do not make up the file")

    def _read_head(self) -> tuple[Head, int]:
        if self._read(len(MAGIC)) != MAGIC:
            raise self._damaged("it does not begin as one")
        (length,) = _U32.unpack(self._read(_U32.size))
        if self._file.tell() + length > self._end:
            raise self._damaged("it is cut short")
        header = self._read(length)
        try:
            head = msgspec.json.decode(header, type=Head)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._damaged(f"its header cannot be read: {error}") from None
        if head.format != FORMAT:
            raise self._damaged(f"its format is {head.format}, not {FORMAT}")
        return head, self._file.tell()

    def _read_trailer(self) -> tuple[int, int]:
        self._file.seek(0)
        check = zlib.crc32(self._read(self._start))
        self._file.seek(self._end)
        ending = self._read(_TRAILER.size)
        tag, rows, chunks, length = _TRAILER.unpack(ending)
        if tag != b"ENDS" or length != self._end + _ENDING:
            raise self._damaged("it is cut short")
        if self._read(_U32.size) != _U32.pack(zlib.crc32(ending, check)):
            raise self._damaged("header or trailer have another checksum")
        return rows, chunks

    def _read_chunk(self) -> Rows:
        opening = self._read(_CHUNK.size)
        tag, count, key_bytes = _CHUNK.unpack(opening)
        (check,) = _U32.unpack(self._read(_U32.size))
        width = self.head.width
        size = count * (36 + 4 * width) + key_bytes
        if tag != b"ROWS" or size > self._end - self._file.tell():
            raise self._damaged("a chunk is not where it should be")
        buffer = self._read(size)
        if zlib.crc32(buffer, zlib.crc32(opening)) != check:
            raise self._damaged("a chunk has another checksum")
        ints = np.frombuffer(buffer, "<i8", 4 * count).reshape(4, count)
        state = np.frombuffer(buffer, "<f4", count * width, 32 * count).reshape(count, width)
        lengths = np.frombuffer(buffer, "<u4", count, (32 + 4 * width) * count)
        ends = np.cumsum(lengths, dtype=np.int64).tolist()
        blob = bytes(memoryview(buffer)[size - key_bytes :])
        keys = [blob[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        return Rows(keys, ints[0], ints[1], ints[2], ints[3], state)

    def _read(self, size: int) -> bytearray:
        buffer = bytearray(size)
        try:
            found = self._file.readinto(buffer)
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from error
        if found != size:
            raise self._damaged("it is cut short")
        return buffer

    def _damaged(self, reason: str) -> SnapshotDamaged:
        return SnapshotDamaged(f"{self._path} is not a whole snapshot: {reason}; it is not used")


def _write_chunk(file: BinaryIO, rows: Rows, part: slice) -> None:
    keys = rows.keys[part]
    blob = b"".join(keys)
    columns = [np.ascontiguousarray(column[part], "<i8") for column in (rows.offset, rows.time, rows.clock, rows.step)]
    state = np.ascontiguousarray(rows.state[part], "<f4")
    lengths = np.fromiter(map(len, keys), "<u4", len(keys))
    opening = _CHUNK.pack(b"ROWS", len(keys), len(blob))
    check = zlib.crc32(opening)
    pieces = [array.data.cast("B") for array in (*columns, state, lengths) if array.size] + [memoryview(blob)]
    for piece in pieces:
        check = zlib.crc32(piece, check)
    file.write(opening + _U32.pack(check))
    for piece in pieces:
        file.write(piece)
