"""An independent, strict reading of input records: bytes -> columns, and which records must become dead letters.

It shares no code with the service's codec on purpose: where the two read the format differently, verification shows
it. Each record is decoded by itself, never several joined, so that no record can lean on its neighbour.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite

import msgspec
import numpy as np

from engine.columns import Bools, Columns, Floats, Ints
from export.signature import Signature
from loadtest.codecs import JSON, Codec
from loadtest.port import Records

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = range(253_402_300_800_000)  # the years 1970 to 9999, in milliseconds

MAX_KEY_BYTES = 4096
MAX_VALUE_BYTES = 1024 * 1024


@dataclass(slots=True)
class Input:
    """Records of one input partition: events and resets in columns, and those that can be neither."""

    offset: Ints  # [events] of the events and resets
    timestamp: Ints  # [events] of the record
    time: Ints  # [events] of the event: its ts, else the record's timestamp
    keys: list[bytes]
    x: Floats  # [events, features]; 0 where missing
    mask: Floats  # [events, features]
    reset: Bools  # [events]
    dead: dict[int, str]  # what must become a dead letter: its position in the records, ascending -> its code

    def columns(self, partition: int) -> Columns:
        """For the engine."""
        reset = self.reset if self.reset.any() else None
        runs = [(partition, 0, len(self.keys))]
        return Columns(runs, self.keys, self.offset, self.time, self.timestamp, self.x, self.mask, reset)


class InputFormat:
    """Reads input records by a model's features."""

    def __init__(
        self,
        signature: Signature,
        *,
        max_key_bytes: int = MAX_KEY_BYTES,
        max_value_bytes: int = MAX_VALUE_BYTES,
        codec: Codec = JSON,
    ) -> None:
        names = [f"feature{i}" for i in range(len(signature.features))]
        event = msgspec.defstruct(
            "Event",
            [*((name, float | None) for name in names), ("time", int | str | None, None)],
            rename=dict(zip([*names, "time"], [*signature.features, "ts"], strict=True)),
        )
        self._decode, self._broken = codec.decoder(event), codec.broken
        self._names = names
        self._max_key, self._max_value = max_key_bytes, max_value_bytes

    def read(self, records: Records) -> Input:
        """Tell events and resets from what must become a dead letter."""
        index: list[int] = []
        times: list[int] = []
        rows: list[tuple[float | None, ...]] = []
        resets: list[bool] = []
        dead: dict[int, str] = {}
        for i, (key, value) in enumerate(zip(records.keys, records.values, strict=True)):
            if key is None or len(key) > self._max_key:
                dead[i] = "no_key" if key is None else "key_too_long"
                continue
            if value is None:
                index.append(i)
                times.append(records.timestamps[i])
                rows.append((None,) * len(self._names))
                resets.append(True)
                continue
            event = self._event(value)
            if isinstance(event, str):
                dead[i] = event
                continue
            index.append(i)
            times.append(records.timestamps[i] if event[0] is None else event[0])
            rows.append(event[1])
            resets.append(False)
        x = np.array(rows, np.float64).reshape(len(rows), len(self._names))  # None becomes NaN
        mask = ~np.isnan(x)
        with np.errstate(over="ignore"):
            narrow = np.where(mask, x, 0).astype(np.float32)
        infinite = ~np.isfinite(narrow).all(axis=1)
        if infinite.any():
            dead = dict(sorted((dead | {index[i]: "not_finite" for i in np.flatnonzero(infinite)}).items()))
        keep = np.flatnonzero(~infinite)
        where = np.array(index, np.int64)[keep]
        return Input(
            offset=np.array(records.offsets, np.int64)[where],
            timestamp=np.array(records.timestamps, np.int64)[where],
            time=np.array(times, np.int64)[keep],
            keys=[key for i in where if (key := records.keys[i]) is not None],
            x=narrow[keep],
            mask=mask[keep].astype(np.float32),
            reset=np.array(resets, np.bool_)[keep],
            dead=dead,
        )

    def _event(self, value: bytes) -> tuple[int | None, tuple[float | None, ...]] | str:
        """(ts or None, one number or None per feature); where the value is not an event, the code of its dead letter.

        Numbers beyond float32 are told later, for all records at once, but where the time is bad, too.
        """
        if len(value) > self._max_value:
            return "value_too_long"
        try:
            event = self._decode(value)
        except msgspec.ValidationError:
            return "wrong_field"
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._broken
        *row, time = msgspec.structs.astuple(event)
        if any(number is not None and not isfinite(number) for number in row):  # of MessagePack; JSON has no such thing
            return "not_finite"
        if time is None:
            return None, tuple(row)
        if isinstance(time, str):
            time = milliseconds(time)
        if time is not None and time in TIMES:
            return time, tuple(row)
        with np.errstate(over="ignore"):
            finite = np.isfinite(np.array(row, np.float64).astype(np.float32)) | np.isnan(np.array(row, np.float64))
        return "bad_time" if finite.all() else "not_finite"


def milliseconds(text: str) -> int | None:
    """ISO 8601 to milliseconds since the epoch, rounded down; UTC where no zone is told; None where it is no time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(milliseconds=1)
