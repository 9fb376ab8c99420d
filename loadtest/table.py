"""Rows of a CSV or Parquet file as events: a column names the stream, one or more hold the values, one the time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.columns import Ints
from loadtest.codecs import JSON, Codec
from loadtest.errors import UsageError
from loadtest.events import Batch, Doubles
from loadtest.pace import Schedule
from loadtest.partitioner import partition_of

if TYPE_CHECKING:
    import polars

ALONE = (0, 1)
PARQUET = (".parquet", ".pq")
MISSING = ["", "NA", "NaN", "nan", "null"]


class Table:
    """The rows of a file, sorted by time where there is a time column, else in the file's order."""

    def __init__(
        self,
        path: Path,
        values: Sequence[str],
        *,
        key: str | None = None,
        time: str | None = None,
        features: Sequence[str] | None = None,
        partitions: int = 1,
        share: tuple[int, int] = ALONE,
        codec: Codec = JSON,
    ) -> None:
        """values: the columns, in the order of the features. key: None, all rows are one stream, named like the file.
        share: (k, n) gives only the rows of partitions k, k + n, ...

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
        self._keys = _keys(path, frame, key)
        unique = list(dict.fromkeys(self._keys))
        self.streams = len(unique)
        placed = dict(zip(unique, partition_of(unique, partitions).tolist(), strict=True))
        self._partitions = np.array([placed[name] for name in self._keys], np.int64)
        self._rows = np.arange(len(frame)) if self._time is None else np.argsort(self._time, kind="stable")
        self._share = share
        self._codec = codec

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def seconds(self) -> float:
        """From the first row to the last, by the file's own time; 0 where it has none."""
        return 0.0 if self._time is None else float(self._time.max() - self._time.min()) / 1000

    def schedule(self, speed: float) -> Schedule:
        """When each row is due where the file's own time runs `speed` times as fast; needs a time column."""
        assert self._time is not None, "the options' check has seen to it"
        since = self._time[self._rows]
        due = np.append(since - since[0], since[-1] - since[0] + 1) / speed
        # One past the last row may be asked for, which is due when all are over.
        return lambda numbers: np.floor(due[np.minimum(numbers, len(due) - 1)]).astype(np.int64)

    def batches(self, size: int, events: int | None = None) -> Iterator[Batch]:
        """The rows once, `size` at a time, or the first `events` of them."""
        mine, shares = self._share
        most = len(self) if events is None else min(events, len(self))
        for start in range(0, most, size):
            stop = min(start + size, most)
            index = np.arange(start, stop)
            rows = self._rows[start:stop]
            own = self._partitions[rows] % shares == mine
            rows = rows[own]
            yield Batch(
                partitions=self._partitions[rows].tolist(),
                keys=[self._keys[row] for row in rows.tolist()],
                values=self._codec.values(
                    self.features, self._x[rows], None if self._time is None else self._time[rows]
                ),
                index=index[own],
                stop=stop,
            )


def _read(path: Path) -> "polars.DataFrame":
    try:
        import polars
    except ImportError:
        raise UsageError(f"--file {path}: needs polars; pip install 'statecast[loadtest]'") from None
    kind = "Parquet" if path.suffix.lower() in PARQUET else "CSV"
    try:
        path.open("rb").close()  # whose error is in the system's own words
        # Everything as text first: a wrong cell of a CSV can then be named, row and all.
        frame = (
            polars.read_parquet(path)
            if kind == "Parquet"
            else polars.read_csv(path, infer_schema=False, null_values=MISSING)
        )
    except OSError as error:
        raise UsageError(f"--file {path}: cannot be read ({error.strerror}); give the path of a file") from None
    except polars.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--file {path}: is not {kind} ({reason}); give a file with named columns and rows") from None
    if not len(frame):
        raise UsageError(f"--file {path}: has no rows; give a file with named columns and rows")
    return frame


def _keys(path: Path, frame: "polars.DataFrame", name: str | None) -> list[bytes]:
    import polars

    if name is None:
        return [path.stem.encode()] * len(frame)
    try:
        texts = frame[name].cast(polars.String).to_list()
    except polars.exceptions.PolarsError:
        raise UsageError(f"--key {name}: {path} has {frame[name].dtype} there; name a column of texts") from None
    if None in texts:
        raise UsageError(f"--key {name}: row {texts.index(None) + 1} of {path} has none; fill it, or take the row out")
    return [text.encode() for text in texts]


def _numbers(path: Path, frame: "polars.DataFrame", name: str) -> Doubles:
    import polars

    column = frame[name].str.strip_chars() if frame[name].dtype == polars.String else frame[name]
    if not (column.dtype.is_numeric() or column.dtype in (polars.String, polars.Boolean)):
        raise UsageError(f"--value {name}: {path} has {column.dtype} there; name a column of numbers")
    numbers = column.cast(polars.Float64, strict=False)
    numbers = numbers.set(numbers.is_infinite(), None)  # JSON has no infinity
    _whole(path, frame, name, numbers, "number")
    return numbers.fill_null(float("nan")).to_numpy()


def _times(path: Path, frame: "polars.DataFrame", name: str) -> Ints:
    """Epoch milliseconds, or ISO 8601 (UTC where no zone is told), or a Parquet file's own times."""
    import polars

    column = frame[name]
    if column.null_count():
        row = column.is_null().arg_max()
        raise UsageError(f"--time {name}: row {(row or 0) + 1} of {path} has none; fill it, or take the row out")
    if column.dtype in (polars.Date, polars.Datetime):
        return column.cast(polars.Datetime("ms")).to_physical().to_numpy()
    if column.dtype.is_integer():
        return column.cast(polars.Int64).to_numpy()
    if column.dtype != polars.String:
        raise UsageError(f"--time {name}: {path} has {column.dtype} there; name a column of times")
    whole = column.cast(polars.Int64, strict=False)
    if not whole.null_count():
        return whole.to_numpy()
    moments = column.str.to_datetime(time_unit="ms", time_zone="UTC", strict=False)
    _whole(path, frame, name, moments, "time (epoch milliseconds or ISO 8601)")
    return moments.to_physical().to_numpy()


def _whole(path: Path, frame: "polars.DataFrame", name: str, read: "polars.Series", kind: str) -> None:
    bad = (read.is_null() & frame[name].is_not_null()).arg_true()
    if len(bad):
        raise UsageError(
            f"--file {path}: row {bad[0] + 1}, column {name}: {frame[name][bad[0]]!r} is not a {kind}; mend it"
        )
