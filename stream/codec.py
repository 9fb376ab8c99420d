"""bytes <-> columns: which records are events, in whatever format, and what a prediction says.

Decoding refuses single records and never raises: a record that is not an event is told with its code and its place,
and costs its neighbours nothing. Knows nothing of rows, partitions' phases or delivery.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.columns import Bools, Columns, Outcome
from export.signature import Signature
from stream.broker.port import Records
from stream.chances import Places, chances
from stream.fields import event_type
from stream.formats import UNREADABLE, Format, Outputs

EPOCH = datetime.fromtimestamp(0, UTC)
LATEST_TIME = 253_402_300_800_000  # the year 10000, in milliseconds; a time beyond it is a mistake in its unit


@dataclass(slots=True)
class Rejected:
    """A record that has no prediction, and why."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    code: str  # a metric's label: one of a short, fixed list
    message: str


@dataclass(slots=True)
class Decoded:
    """Records as events."""

    columns: Columns
    rejected: list[Rejected]


@dataclass(slots=True)
class _Part:
    """The events of one batch."""

    keys: list[bytes]
    offsets: list[int]
    timestamps: list[int]
    x: NDArray[np.float32]  # [events, features]; NaN where the value is missing
    times: NDArray[np.int64]
    resets: list[int]  # which of them are no values but orders to forget the stream, or poison
    poison: list[int]  # which of these are values that were rejected


class Rejection(Exception):
    """Why one record is not an event."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Codec:
    """Events and predictions of one model, in one format."""

    def __init__(
        self,
        form: Format,
        signature: Signature,
        fingerprint: str,
        *,
        max_key_bytes: int,
        max_value_bytes: int,
        poison: bool = False,
        fields: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """poison: what is rejected stands in the columns, too, where its key names a stream. fields: the paths of those
        that do not lie at a message's top under their own names."""
        self._format = form
        self._features = signature.features
        self._signature = signature
        self._places = Places(signature) if signature.task == "symbol" else None
        self._max_key, self._max_value, self._poison = max_key_bytes, max_value_bytes, poison
        kind: Any = float | None if self._places is None else str | int | None
        message, made = event_type(self._features, kind, fields)
        decode = form.decoder(message)
        self._decode = decode if made is None else lambda value: made(decode(value))
        if signature.task == "number":
            self._encode: Callable[..., list[bytes]] = form.encoder(signature.targets, fingerprint[:8])
        else:
            self._encode = form.chances(signature, fingerprint[:8])

    def decode(self, batches: Sequence[Records]) -> Decoded:
        """All records of the batches; those that are not events are told apart. Order is kept."""
        rejected: list[Rejected] = []
        parts = [self._plain(batch) or self._one_by_one(batch, rejected) for batch in batches]
        runs, at = [], 0
        for batch, part in zip(batches, parts, strict=True):
            runs.append((batch.partition, at, at + len(part.keys)))
            at += len(part.keys)
        x = np.concatenate([part.x for part in parts])
        missing = np.isnan(x)
        x[missing] = 0
        starts = [start for _, start, _ in runs]
        columns = Columns(
            runs=runs,
            keys=list(chain.from_iterable(part.keys for part in parts)),
            offset=np.array(list(chain.from_iterable(part.offsets for part in parts)), np.int64),
            time=np.concatenate([part.times for part in parts]),
            timestamp=np.array(list(chain.from_iterable(part.timestamps for part in parts)), np.int64),
            x=x,
            mask=(~missing).astype(np.float32),
            reset=_marked(at, [start + i for start, part in zip(starts, parts, strict=True) for i in part.resets]),
            poison=_marked(at, [start + i for start, part in zip(starts, parts, strict=True) for i in part.poison]),
        )
        return Decoded(columns, rejected)

    def _plain(self, batch: Records) -> "_Part | None":
        """The batch where every record of it is a plain event, else None: it is then read one by one."""
        keys, raw = batch.keys, batch.values
        if None in keys or None in raw:
            return None
        if max(map(len, keys)) > self._max_key or max(map(len, raw)) > self._max_value:  # type: ignore[arg-type]
            return None
        decode = self._decode
        try:
            events = [decode(value) for value in raw]  # type: ignore[arg-type]
        except UNREADABLE:
            return None
        times = [event.ts for event in events]
        kinds = set(map(type, times))
        if str in kinds:
            return None
        if type(None) in kinds:
            times = [own if time is None else time for time, own in zip(times, batch.timestamps, strict=True)]
        numbers: Any
        if len(self._features) == 1:
            numbers = [event.f0 for event in events]
            missing = numbers.count(None)
            if self._places is not None:
                numbers = [self._places[symbol] for symbol in numbers]
        else:
            numbers = [msgspec.structs.astuple(event)[:-1] for event in events]
            missing = sum(several.count(None) for several in numbers)
        try:
            time = np.array(times, np.int64)
            with np.errstate(over="raise"):
                x = np.array(numbers, np.float64).astype(np.float32).reshape(len(raw), -1)
        except (OverflowError, FloatingPointError):  # a time beyond int64, a value beyond float32
            return None
        if time.min() < 0 or time.max() >= LATEST_TIME:
            return None
        if np.count_nonzero(np.isfinite(x)) + missing < x.size:  # NaN or infinity, which JSON has not
            return None
        return _Part(keys, batch.offsets, batch.timestamps, x, time, [], [])  # type: ignore[arg-type]

    def _one_by_one(self, batch: Records, rejected: list[Rejected]) -> "_Part":
        part = _Part([], [], [], np.empty(0, np.float32), np.empty(0, np.int64), [], [])
        values: list[tuple[float | None, ...]] = []
        times: list[int] = []
        for offset, timestamp, key, value in zip(
            batch.offsets, batch.timestamps, batch.keys, batch.values, strict=True
        ):
            try:
                numbers, time = self._one(key, value, timestamp)
            except Rejection as why:
                rejected.append(Rejected(batch.partition, offset, timestamp, key, value, why.code, str(why)))
                if not self._poison or key is None or len(key) > self._max_key:
                    continue
                numbers, time = (None,) * len(self._features), timestamp
                part.poison.append(len(part.keys))
                part.resets.append(len(part.keys))
            if value is None:
                part.resets.append(len(part.keys))
            assert key is not None
            part.keys.append(key)
            part.offsets.append(offset)
            part.timestamps.append(timestamp)
            values.append(numbers)
            times.append(time)
        part.x = np.array(values, np.float32).reshape(len(values), len(self._features))
        part.times = np.array(times, np.int64)
        return part

    def _one(self, key: bytes | None, value: bytes | None, timestamp: int) -> tuple[tuple[float | None, ...], int]:
        """(values, time) of one record. Raises Rejection."""
        if key is None:
            raise Rejection("no_key", "the record has no key, so it belongs to no stream; send one")
        if len(key) > self._max_key:
            raise Rejection("key_too_long", f"the key has {len(key)} bytes, more than max_key_bytes = {self._max_key}")
        if value is None:
            return (None,) * len(self._features), timestamp
        if len(value) > self._max_value:
            raise Rejection(
                "value_too_long", f"the value has {len(value)} bytes, more than max_value_bytes = {self._max_value}"
            )
        try:
            event = self._decode(value)
        except msgspec.ValidationError as error:
            raise Rejection("wrong_field", f"the value does not fit the model: {self._named(error)}") from None
        except UNREADABLE as error:
            raise Rejection(self._format.code, f"the value is not {self._format.document}: {error}") from None
        *numbers, ts = msgspec.structs.astuple(event)
        if self._places is not None:
            numbers = [self._places[symbol] for symbol in numbers]
        for name, number in zip(self._features, numbers, strict=True):
            with np.errstate(over="ignore"):
                if number is not None and not np.isfinite(np.float32(number)):
                    raise Rejection("not_finite", f"{name} = {number!r} is beyond float32")
        return tuple(numbers), timestamp if ts is None else _milliseconds(ts)

    def _named(self, error: msgspec.ValidationError) -> str:
        return str(error).replace("`$.", "`")

    def encode(
        self, columns: Columns, outcome: Outcome, start: int, stop: int
    ) -> tuple[NDArray[np.int64], list[bytes]]:
        """Events start..stop -> (indices of those that were stepped, their output values), in order."""
        stepped = np.arange(start, stop)
        if not outcome.stepped[start:stop].all():
            stepped = stepped[outcome.stepped[start:stop]]
        if self._signature.task != "number":
            return stepped, self._encode(chances(self._signature, columns, outcome, stepped))
        quantiles = outcome.predicted[stepped]
        outputs = Outputs(
            columns.offset[stepped],
            columns.time[stepped],
            outcome.step[stepped],
            prediction=quantiles[:, :, self._signature.levels.index(0.5)],
            lower=quantiles[:, :, 0],
            upper=quantiles[:, :, -1],
            surprise=outcome.surprise[stepped],
        )
        return stepped, self._encode(outputs)


def _marked(events: int, which: list[int]) -> Bools | None:
    """[events]: whether each is among these; None where none is."""
    if not which:
        return None
    marked = np.zeros(events, np.bool_)
    marked[which] = True
    return marked


def _milliseconds(ts: int | str) -> int:
    """Epoch milliseconds, or ISO 8601 (UTC where it names no zone), as epoch milliseconds. Raises Rejection."""
    try:
        if isinstance(ts, int):
            time = ts
        else:
            moment = datetime.fromisoformat(ts)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            time = (moment - EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise Rejection("bad_time", f"ts = {ts!r} is neither epoch milliseconds nor ISO 8601") from None
    if not 0 <= time < LATEST_TIME:
        raise Rejection("bad_time", f"ts = {ts!r} lies outside the years 1970 to 9999; is its unit milliseconds?")
    return time
