"""The records of a changelog as bytes: rows, and one marker per partition. Pure; knows no topic and no broker.

key    ROW + stream key                        or MARKER
value  head, then the row's float32            or JSON
       the head alone: the stream is cold, as of its offset (a reset)
       none: a tombstone; the stream is cold, and no replay will meet an event of its past
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from engine.rows import FROZEN, Policy, Rows

FORMAT = 1
ROW, MARKER = b"r", b"m"
COLUMNS = ("offset", "time", "clock", "step")
_HEAD_TYPE = np.dtype([("format", "u1"), ("spare", "u1", 3), ("width", "<u4"), *((name, "<i8") for name in COLUMNS)])
_START = struct.Struct("<B3xI")


class Rules(msgspec.Struct, frozen=True):
    """The settings that can change a row. A replay of old events goes by those that were in force then."""

    state_ttl: int | None  # milliseconds
    max_key_bytes: int
    max_value_bytes: int
    codec: str
    poison: Policy = "skip"
    field: tuple[tuple[str, str], ...] = ()  # (name, path), by name


class Marker(msgspec.Struct, frozen=True):
    """What a commit says of one partition."""

    replay: int  # the offset from which on some row lacks events: where a silent replay begins
    clock: int  # the partition's clock before that offset, milliseconds
    position: int  # the input offset committed together with this marker
    origin: int  # the input offset where this state began, every stream cold
    lineage: str  # names this state since its origin
    input_topic_id: str | None
    writer: str  # transactional.id
    rules: Rules  # in force between replay and position
    onnxruntime: str
    machine: str  # the processor's instruction set
    format: int = FORMAT


class Foreign(Exception):
    """A record that this version did not write, or that was damaged."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index  # of the record


@dataclass(slots=True)
class Entries:
    """What some consecutive changelog records of a partition say, taken together."""

    rows: Rows
    gone: list[bytes]  # streams whose last word is a tombstone
    marker: Marker | None  # the last one


def row_keys(keys: Sequence[bytes]) -> list[bytes]:
    """Record keys of streams."""
    return [ROW + key for key in keys]


def row_values(rows: Rows) -> list[bytes]:
    """Record values of rows."""
    width = rows.state.shape[1]
    records = np.empty(len(rows), np.dtype([("head", _HEAD_TYPE), ("state", "<f4", (width,))]))
    head = records["head"]
    head["format"], head["spare"], head["width"] = FORMAT, 0, width
    head["offset"], head["time"], head["clock"], head["step"] = rows.offset, rows.time, rows.clock, rows.step
    records["state"] = rows.state
    data, size = records.tobytes(), records.itemsize
    values = [data[at : at + size] for at in range(0, len(data), size)]
    for cold in np.flatnonzero(rows.step <= 0).tolist():
        values[cold] = values[cold][: _HEAD_TYPE.itemsize]
    return values


def marker_value(marker: Marker) -> bytes:
    """The record value of a marker; its key is MARKER."""
    return msgspec.json.encode(marker)


def read(keys: Sequence[bytes | None], values: Sequence[bytes | None], width: int) -> Entries:
    """Consecutive records of one partition. width: floats of a row. Raises Foreign."""
    marker, index = None, list(range(len(keys)))
    if MARKER in keys:
        for i, key in enumerate(keys):
            if key == MARKER and values[i] is not None:
                marker = _marker(i, values[i])
        index = [i for i in index if keys[i] != MARKER]
    gone: list[bytes] = []
    if None in values:
        last = {key: i for i, key in enumerate(keys)}
        for i, key in enumerate(keys):
            if values[i] is None and (not key or key[:1] not in (ROW, MARKER)):
                raise Foreign(i, f"a tombstone with the key {key!r}, which no version of statecast writes")
        gone = [key[1:] for key, i in last.items() if key is not None and key != MARKER and values[i] is None]
        # What comes before a tombstone of its stream is no more.
        index = [i for i in index if values[i] is not None and values[last[keys[i]]] is not None]
    return Entries(_rows(keys, values, index, width), gone, marker)


def width_of(value: bytes) -> int:
    """The floats that a row has by its record's value; 0 where that is too short to tell."""
    return int(_START.unpack_from(value)[1]) if len(value) >= _START.size else 0


def _marker(index: int, value: bytes | None) -> Marker:
    try:
        marker = msgspec.json.decode(value or b"", type=Marker)
    except msgspec.MsgspecError as error:
        raise Foreign(index, f"a marker that cannot be read ({error})") from None
    if marker.format != FORMAT:
        raise Foreign(index, f"a marker of format {marker.format}; this version writes format {FORMAT}")
    return marker


def _rows(keys: Sequence[bytes | None], values: Sequence[bytes | None], index: list[int], width: int) -> Rows:
    size, head_size = _HEAD_TYPE.itemsize + 4 * width, _HEAD_TYPE.itemsize
    found: list[bytes] = [values[i] for i in index]  # type: ignore[misc]
    names: list[bytes] = [keys[i] for i in index]  # type: ignore[misc]
    if set(map(len, found)) - {size}:
        for at, (i, value) in enumerate(zip(index, found, strict=True)):
            if len(value) == head_size:
                _check_start(i, value, width)
                found[at] = value + bytes(4 * width)
    if {key[:1] if key else None for key in names} - {ROW} or set(map(len, found)) - {size}:
        for i, key, value in zip(index, names, found, strict=True):
            if not key or key[:1] != ROW or len(value) != size:
                _complain(i, key, value, width)
    records = np.frombuffer(b"".join(found), np.dtype([("head", _HEAD_TYPE), ("state", "<f4", (width,))]))
    head = records["head"]
    wrong = np.flatnonzero((head["format"] != FORMAT) | (head["width"] != width))
    for at in wrong[:1].tolist():
        _complain(index[at], names[at], found[at], width)
    # A row that was imported may be from before the input's beginning: its offset is then -1.
    least = np.where(head["step"] != 0, -1, 0)
    sound = (head["offset"] >= least) & (head["step"] >= FROZEN)
    unreal = np.flatnonzero(~sound | ~np.isfinite(records["state"]).all(axis=1))
    for at in unreal[:1].tolist():
        raise Foreign(index[at], f"a row of stream {names[at][1:]!r} whose numbers cannot be: it is damaged")
    offset, time, clock, step = (np.ascontiguousarray(head[name], np.int64) for name in COLUMNS)
    state = np.ascontiguousarray(records["state"], np.float32)
    return Rows([name[1:] for name in names], offset, time, clock, step, state)


def _complain(index: int, key: bytes | None, value: bytes, width: int) -> None:
    """Raise the Foreign that fits."""
    if not key or key[:1] != ROW:
        raise Foreign(index, f"a record with the key {key!r}, which no version of statecast writes")
    _check_start(index, value, width)
    raise Foreign(index, f"a row of stream {key[1:]!r} with {len(value)} bytes, which were cut or damaged")


def _check_start(index: int, value: bytes, width: int) -> None:
    if len(value) >= _START.size:
        written, floats = _START.unpack_from(value)
        if written != FORMAT:
            raise Foreign(index, f"a row of format {written}; this version writes format {FORMAT}")
        if floats != width:
            raise Foreign(index, f"a row of {floats} floats; this model's rows have {width}")
