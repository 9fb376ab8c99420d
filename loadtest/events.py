"""What is offered: batches of events as columns, and the JSON text of their values. No Kafka, no clock."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.columns import Bools, Ints

Doubles = NDArray[np.float64]


@dataclass(slots=True)
class Batch:
    """Events in the order in which they are offered, as columns of equal length."""

    partitions: list[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]  # JSON; None resets the stream
    # Of the whole load, which may be shared by several processes. None: these are the next events, and all of them.
    index: Ints | None = None  # the number of each event, ascending
    stop: int | None = None  # one past the last number that this batch stands for
    silent: Bools | None = None  # which of them must have no output; None: none

    def __len__(self) -> int:
        return len(self.keys)

    def cut(self, start: int, stop: int) -> "Batch":
        """Events start..stop of it."""
        if start == 0 and stop >= len(self):
            return self
        part = slice(start, stop)
        index = None if self.index is None else self.index[part]
        silent = None if self.silent is None else self.silent[part]
        return Batch(self.partitions[part], self.keys[part], self.values[part], index, self.stop, silent)


def json_values(features: Sequence[str], x: Doubles, time: Ints | None) -> list[bytes]:
    """One JSON object per event. x [events, features], NaN where missing; time: epoch milliseconds, None: no ts.

    Numbers become text in one call per column (0.1 us a number) and the rest is one % per event, 0.2 us: a third of
    what encoding an object per event costs.
    """
    columns = [_texts(x[:, i]) for i in range(len(features))]
    names = list(features)
    if time is not None:
        columns.append(_texts(time))
        names.append("ts")
    pairs = b", ".join(orjson.dumps(name).replace(b"%", b"%%") + b": %b" for name in names)
    form = b"{" + pairs + b"}"
    return [form % row for row in zip(*columns, strict=True)]


def _texts(column: Doubles | Ints) -> list[bytes]:
    if not len(column):
        return []
    return orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
