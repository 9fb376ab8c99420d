"""Rows of idle streams on disk, so that their number has no ceiling in RAM. Scratch: emptied on start, never the truth.

One RocksDB, a row under the partition's number (four bytes, big-endian) and the stream's key. No log is written ahead:
a crash loses the store, and the changelog has every row. Knows no bank and no Kafka.

RAM, whatever the number of rows: 24 MiB of writes on their way to the disk, 16 MiB of cached blocks (indices and
filters among them) and a few MiB of open files and compaction. Disk: the rows, for a while twice, when it compacts.
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DBCompactionStyle,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from engine.rows import Rows
from stream.errors import EnvironmentFault
from stream.state.files import empty

WRITE_BUFFER = 8 << 20
WRITE_BUFFERS = 3
BLOCK_CACHE = 16 << 20
BATCH_BYTES = 1 << 20  # of one write: a batch is never divided between buffers
_COUNTERS = 4 * 8  # bytes of offset, time, clock and step


class Spill:
    """The rows of streams that are not in the bank, of all partitions of one process. For one thread.

    `patience`: seconds that a write waits for a disk that does not keep up. Any call raises EnvironmentFault where the
    disk is full, broken or too slow; what had been put can still be taken then.
    """

    def __init__(self, path: Path, width: int, patience: float = 5.0) -> None:
        self._path, self._width, self._patience = path, width, patience
        self._counts: dict[int, int] = {}
        self._unlogged = WriteOptions()
        self._unlogged.disable_wal = True  # type: ignore[method-assign, assignment]  # a property; its stub is wrong
        # On a full disk a write that may wait for the disk waits for ever (RocksDB issues 9692, 9876): wait here.
        self._unlogged.no_slowdown = True
        with self._faults():
            path.mkdir(parents=True, exist_ok=True)
            empty(path)
            self._store = Rdict(str(path / "store"), _options())

    def __len__(self) -> int:
        return sum(self._counts.values())

    def count(self, partition: int) -> int:
        return self._counts.get(partition, 0)

    def put(self, partition: int, rows: Rows) -> None:
        """Keep rows of different keys; a row replaces the one its key had."""
        size = _COUNTERS + 4 * self._width
        packed = np.empty((len(rows), size), np.uint8)
        packed[:, :_COUNTERS] = np.stack([rows.offset, rows.time, rows.clock, rows.step], axis=1).view(np.uint8)
        packed[:, _COUNTERS:] = np.ascontiguousarray(rows.state, np.float32).view(np.uint8)
        raw = packed.tobytes()
        names = _names(partition, rows.keys)
        most = max(1, BATCH_BYTES // size)
        for start in range(0, len(names), most):
            part = names[start : start + most]

            def batch(part: list[bytes] = part, start: int = start) -> WriteBatch:
                puts = WriteBatch(raw_mode=True)
                for row, name in enumerate(part, start):
                    puts.put(name, raw[row * size : (row + 1) * size])
                return puts

            new = self._get(part).count(None)
            self._write(batch)
            self._counts[partition] = self.count(partition) + new

    def take(self, partition: int, keys: list[bytes]) -> tuple[list[int], Rows]:
        """Those of these keys, all different, that have a row here, by their index, and their rows, [found]; the rows
        are gone from here.
        """
        names = _names(partition, keys) if self.count(partition) else []
        values = self._get(names)
        found = [index for index, value in enumerate(values) if value is not None]
        if found:

            def batch() -> WriteBatch:
                deletes = WriteBatch(raw_mode=True)
                for index in found:
                    deletes.delete(names[index])
                return deletes

            self._write(batch)
            self._counts[partition] -= len(found)
        return found, self._unpacked([keys[index] for index in found], [value for value in values if value is not None])

    def look(self, partition: int, key: bytes) -> Rows | None:
        """A copy of the row that this key has here."""
        (value,) = self._get(_names(partition, [key])) if self.count(partition) else [None]
        return None if value is None else self._unpacked([key], [value])

    def drop(self, partition: int) -> None:
        """Forget a partition's rows."""
        if self._counts.pop(partition, 0) == 0:
            return

        def batch() -> WriteBatch:
            deletes = WriteBatch(raw_mode=True)
            deletes.delete_range(_prefix(partition), _prefix(partition + 1))
            return deletes

        self._write(batch)

    def rows(self, partition: int, chunk: int = 8192) -> Iterator[Rows]:
        """A partition's rows as they are at this call, whatever is put, taken or dropped before the last is read;
        `chunk` at a time. A stream that was put or taken meanwhile may have another row elsewhere, or none here.
        """
        with self._faults():
            items = self._store.items(from_key=_prefix(partition))
        return self._chunks(items, self.count(partition), chunk)

    def close(self) -> None:
        """Give the disk's room back."""
        with contextlib.suppress(Exception):  # it would like to write out what is deleted next
            self._store.cancel_all_background(True)
            self._store.close()
        self._counts.clear()
        with contextlib.suppress(OSError):
            empty(self._path)

    def _chunks(self, items: Iterator[Any], count: int, chunk: int) -> Iterator[Rows]:
        for start in range(0, count, chunk):
            keys, values = [], []
            expected = min(chunk, count - start)  # not a bound in ReadOptions: rocksdict 0.3.29 reads it after its end
            with self._faults():
                for name, value in itertools.islice(items, expected):
                    keys.append(name[4:])
                    values.append(value)
                if len(keys) != expected:  # an iterator that cannot read on just ends
                    raise OSError("the store cannot be read to its end")
            yield self._unpacked(keys, values)

    def _unpacked(self, keys: list[bytes], values: list[bytes]) -> Rows:
        packed = np.frombuffer(b"".join(values), np.uint8).reshape(len(keys), _COUNTERS + 4 * self._width)
        ints = np.ascontiguousarray(packed[:, :_COUNTERS]).view(np.int64).T.copy()  # [column, row]
        state = np.ascontiguousarray(packed[:, _COUNTERS:]).view(np.float32)
        return Rows(keys, ints[0], ints[1], ints[2], ints[3], state)

    def _get(self, names: list[bytes]) -> list[bytes | None]:
        with self._faults():
            return cast(list[bytes | None], self._store.get(cast(Any, names)))  # its stub asks for a list of anything

    def _write(self, batch: Callable[[], WriteBatch]) -> None:
        deadline = time.monotonic() + self._patience
        while True:
            with self._faults():
                try:
                    self._store.write(batch(), self._unlogged)  # a batch is used up even where it fails
                    return
                except Exception as error:
                    if "Write stall" not in str(error):
                        raise
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"the disk is full, or took no row in {self._patience:g} s") from error
            time.sleep(0.001)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # rocksdict has no class of its own for what RocksDB says
            reason = str(error).splitlines()[0] if str(error) else repr(error)
            raise EnvironmentFault(
                f"--state-dir: cannot keep the rows of idle streams in {self._path}: {reason}; free some space or give "
                "another directory, and start again; nothing is lost: the changelog has every row"
            ) from error


def _prefix(partition: int) -> bytes:
    return partition.to_bytes(4, "big")


def _names(partition: int, keys: list[bytes]) -> list[bytes]:
    prefix = _prefix(partition)
    return [prefix + key for key in keys]


def _options() -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(Cache(BLOCK_CACHE))
    table.set_bloom_filter(10, False)  # most keys that are asked for are new streams, and not here
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_cache_index_and_filter_blocks(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(WRITE_BUFFER)
    options.set_max_write_buffer_number(WRITE_BUFFERS)
    options.set_max_open_files(256)
    options.set_max_background_jobs(2)
    options.set_compression_type(DBCompressionType.none())  # a state's bits are noise
    options.set_compaction_style(DBCompactionStyle.universal())  # rows come and go: half the writing of levels
    # Here a slowed write would be a refused one, so nothing but full buffers may hold a write up.
    options.set_level_zero_slowdown_writes_trigger(1000)
    options.set_level_zero_stop_writes_trigger(1000)
    options.set_soft_pending_compaction_bytes_limit(0)
    options.set_hard_pending_compaction_bytes_limit(0)
    options.set_keep_log_file_num(1)
    options.set_max_log_file_size(1 << 20)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options
