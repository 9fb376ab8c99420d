"""Rows of a CSV file as events: one column names the stream, one or more hold the values, one may hold the time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.columns import Ints
from loadtest.errors import UsageError
from loadtest.events import Batch, Doubles, json_values
from loadtest.partitioner import partition_of

if TYPE_CHECKING:
    import polars

MISSING = ["", "NA", "NaN", "nan", "null"]


class Table:
    """The rows of a CSV file, sorted by time where there is a time column, else in the file's order."""

    def __init__(
        self,
        path: Path,
        values: Sequence[str],
        *,
        key: str | None = None,
        time: str | None = None,
        features: Sequence[str] | None = None,
        partitions: int = 1,
    ) -> None:
        """values: the columns, in the order of the features. key: None, all rows are one stream, named like the file.

        Raises UsageError where the file or a column is not there, or a cell is not what its column should hold.
        """
        self.features = tuple(features or (values if len(values) > 1 else ["value"]))
        if len(self.features) != len(values):
            raise UsageError(
                f"--value {','.join(values)}: the model's features are {', '.join(self.features)}; "
                "name one column for each, in this order"
            )
        frame = _read(path)
        for option, column in [("--key", key), ("--time", time), *(("--value", value) for value in values)]:
            if column is not None and column not in frame.columns:
                raise UsageError(f"{option} {column}: {path} has no such column; it has {', '.join(frame.columns)}")
        self._x: Doubles = np.column_stack([_numbers(path, frame, value) for value in values])
        self._time = None if time is None else _times(path, frame, time)
        names = [path.stem] * len(frame) if key is None else frame[key].to_list()
        if None in names:
            raise UsageError(
                f"--key {key}: row {names.index(None) + 1} of {path} has none; fill it, or take the row out"
            )
        self._keys = [name.encode() for name in names]
        unique = list(dict.fromkeys(self._keys))
        self.streams = len(unique)
        self._partition = dict(zip(unique, partition_of(unique, partitions).tolist(), strict=True))
        if self._time is not None:
            order = np.argsort(self._time, kind="stable")
            self._x, self._time = self._x[order], self._time[order]
            self._keys = [self._keys[i] for i in order]

    def __len__(self) -> int:
        return len(self._keys)

    def batches(self, size: int) -> Iterator[Batch]:
        """The rows once, `size` at a time."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            keys = self._keys[part]
            yield Batch(
                partitions=[self._partition[key] for key in keys],
                keys=keys,
                values=json_values(self.features, self._x[part], None if self._time is None else self._time[part]),
            )


def _read(path: Path) -> "polars.DataFrame":
    try:
        import polars
    except ImportError:
        raise UsageError(f"--csv {path}: needs polars; pip install 'statecast[loadtest]'") from None
    try:
        # Everything as text first: a wrong cell can then be named, row and all.
        frame = polars.read_csv(path, infer_schema=False, null_values=MISSING)
    except OSError as error:
        raise UsageError(f"--csv {path}: cannot be read ({error.strerror or error}); give the path of a file") from None
    except polars.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--csv {path}: is not CSV ({reason}); give a file with a header line and rows") from None
    if not len(frame):
        raise UsageError(f"--csv {path}: has no rows; give a file with a header line and rows")
    return frame


def _numbers(path: Path, frame: "polars.DataFrame", name: str) -> Doubles:
    import polars

    numbers = frame[name].str.strip_chars().cast(polars.Float64, strict=False)
    numbers = numbers.set(numbers.is_infinite(), None)  # JSON has no infinity
    _whole(path, frame, name, numbers, "number")
    return numbers.fill_null(float("nan")).to_numpy()


def _times(path: Path, frame: "polars.DataFrame", name: str) -> Ints:
    """Epoch milliseconds, or ISO 8601 (UTC where no zone is told)."""
    import polars

    if frame[name].null_count():
        row = frame[name].is_null().arg_max()
        raise UsageError(f"--time {name}: row {(row or 0) + 1} of {path} has none; fill it, or take the row out")
    whole = frame[name].cast(polars.Int64, strict=False)
    if not whole.null_count():
        return whole.to_numpy()
    moments = frame[name].str.to_datetime(time_unit="ms", time_zone="UTC", strict=False)
    _whole(path, frame, name, moments, "time (epoch milliseconds or ISO 8601)")
    return moments.to_physical().to_numpy()


def _whole(path: Path, frame: "polars.DataFrame", name: str, read: "polars.Series", kind: str) -> None:
    bad = (read.is_null() & frame[name].is_not_null()).arg_true()
    if len(bad):
        raise UsageError(
            f"--csv {path}: row {bad[0] + 1}, column {name}: {frame[name][bad[0]]!r} is not a {kind}; mend it"
        )
