"""A topic's records to events, as the service reads them (JSON objects). Knows nothing of brokers."""

from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

EPOCH = datetime.fromtimestamp(0, UTC)
LATEST = 253_402_300_800_000  # the year 10000, in milliseconds


@dataclass
class Partition:
    """The events of one partition, in the order of their offsets."""

    streams: dict[bytes, list[int]] = field(default_factory=dict)  # each key's; -1 for one without an event yet
    latest: list[int] = field(default_factory=list)  # [streams] the largest time so far
    stream: "array[int]" = field(default_factory=lambda: array("q"))
    time: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    texts: list[str | None] = field(default_factory=list)  # task symbol: in place of values
    labels: list[str | None] = field(default_factory=list)


@dataclass
class Log:
    """What is to be told of the records."""

    records: int = 0
    bad: int = 0
    first: str = ""
    late: int = 0


class Reader:
    """Records to events."""

    def __init__(self, features: tuple[str, ...], label: str | None, symbols: bool) -> None:
        kind: Any = (str | int | float | None) if symbols else (float | None)
        # Feature names need not be identifiers, so the fields are numbered and renamed.
        fields: list[Any] = [(f"f{i}", kind) for i in range(len(features))]
        fields.append(("ts", int | str | None, None))
        names = {f"f{i}": name for i, name in enumerate(features)}
        if label is not None:
            fields.append(("label", str | int | None, None))
            names["label"] = label
        event: Any = msgspec.defstruct("Event", fields, rename=names, gc=False)
        self._decode = msgspec.json.Decoder(event).decode
        self._features, self._label, self._symbols = features, label, symbols

    def take(self, part: Partition, log: Log, record: Any) -> None:
        """Add one record to its partition's events, or count it."""
        log.records += 1
        if record.key is not None and record.value is None:
            streams = part.streams.get(record.key)
            if streams:
                streams.append(-1)
            return
        try:
            if record.key is None:
                raise ValueError("it has no key")
            event = self._decode(record.value)
            values = [getattr(event, f"f{i}") for i in range(len(self._features))]
            if not self._symbols:
                values = [float("nan") if value is None else value for value in values]
                with np.errstate(over="ignore"):
                    if np.isinf(np.array(values).astype(np.float32)).any():
                        raise ValueError(f"{values} is beyond float32")
            time = record.timestamp if event.ts is None else _milliseconds(event.ts)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            log.bad += 1
            log.first = log.first or f"partition {record.partition}, offset {record.offset}: {error}"
            return
        self._add(part, log, record.key, time, values, event)

    def _add(self, part: Partition, log: Log, key: bytes, time: int, values: list[Any], event: Any) -> None:
        streams = part.streams.setdefault(key, [-1])
        if streams[-1] < 0:
            streams[-1] = len(part.latest)
            part.latest.append(time)
        stream = streams[-1]
        log.late += time < part.latest[stream]
        part.latest[stream] = max(time, part.latest[stream])
        part.stream.append(stream)
        part.time.append(part.latest[stream])
        if self._symbols:
            part.texts.append(None if values[0] is None else str(values[0]))
        else:
            part.values.extend(values)
        if self._label is not None:
            part.labels.append(None if event.label is None else str(event.label))


def _milliseconds(ts: int | str) -> int:
    """Epoch milliseconds, or ISO 8601 (UTC where it names no zone), as epoch milliseconds. Raises ValueError."""
    time = ts
    if isinstance(time, str):
        named = datetime.fromisoformat(time)
        time = ((named if named.tzinfo else named.replace(tzinfo=UTC)) - EPOCH) // timedelta(milliseconds=1)
    if not 0 <= time < LATEST:
        raise ValueError(f"ts = {ts!r} lies outside the years 1970 to 9999")
    return time
