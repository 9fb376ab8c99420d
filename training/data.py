"""Files to events. Knows polars and the user's columns, nothing of streams' states, torch or Kafka.

One row is one event: a key, a time, one or more values. Used by training, and by whatever else reads events from a
file (`statecast replay`, the load test), so it must import fast and never torch.
"""

import codecs
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.errors import DataError
from training.times import ACCEPTED, EARLIEST, LATEST, milliseconds

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None")
# Names of our own columns, such as no file of the user's has.
KEY, TIME, STREAM = "(key)", "(time)", "(stream)"
PARQUET = (".parquet", ".pq")
MEND = "mend the value, or leave it empty where it is missing"


@dataclass(slots=True)
class Events:
    """Columns of equal length, in time order; events of the same time keep the order of the files."""

    keys: list[bytes]  # each stream's key, once, in order of its first event
    stream: NDArray[np.int64]  # [events] index into keys
    time: NDArray[np.int64]  # [events] milliseconds since the epoch; the stream's event number where there is no time
    values: NDArray[np.float64]  # [events, features]; NaN where missing
    features: tuple[str, ...]
    timed: bool  # whether the file had a time

    def __len__(self) -> int:
        return len(self.stream)

    def per_stream(self) -> list[NDArray[np.int64]]:
        """For each stream the indexes of its events, in time order."""
        order = np.argsort(self.stream, kind="stable")
        bounds = np.searchsorted(self.stream[order], np.arange(len(self.keys) + 1))
        return [order[first:last] for first, last in pairwise(bounds.tolist())]


@dataclass(frozen=True, slots=True)
class Place:
    """Where each row stands in its file, for messages."""

    path: Path
    header: tuple[str, ...]  # as the file has it; a name may stand in it twice
    kind: str  # "line" or "row"
    numbers: NDArray[np.int64]


def read_events(paths: Sequence[Path | str], key: str | None, values: Sequence[str], time: str | None = None) -> Events:
    """Read long CSV or Parquet files (by their ending: .parquet, .pq) as one set of events.

    key: the column that names the stream; None takes all rows as one stream, "stream". values: the columns of numbers,
    the model's features. time: ISO 8601, epoch seconds or milliseconds, or what polars can parse; None takes the order
    of rows. Empty, NA, NaN and null values are missing. CSV is text in UTF-8, or in UTF-16 with a byte order mark.

    Raises DataError: a file that cannot be read or is empty, a column that is not there or there twice, text in a
    number column, a value beyond float32, a time that cannot be understood, a row without key or time. Lines are
    counted from 1, the header included.
    """
    if not paths:
        raise DataError("no data: give at least one CSV or Parquet file")
    if not values or len(set(values)) < len(values):
        raise DataError(f"--value {' '.join(values) or '(none)'}: give at least one column, each once")
    parts = [_read(Path(path), key, list(values), time) for path in paths]
    frame = pl.concat(parts)
    streams = frame.select(KEY).unique(maintain_order=True).with_row_index(STREAM)
    frame = frame.join(streams, on=KEY, how="left", maintain_order="left")
    if time is None:
        frame = frame.with_columns(pl.int_range(pl.len()).over(STREAM).alias(TIME))
    frame = frame.sort(TIME, maintain_order=True)
    renamed = frame.select(STREAM).unique(maintain_order=True)[STREAM].to_numpy()
    place = np.empty(len(renamed), np.int64)
    place[renamed] = np.arange(len(renamed))
    names = streams[KEY].to_list()
    return Events(
        keys=[str(names[i]).encode() for i in renamed],
        stream=place[frame[STREAM].to_numpy()],
        time=frame[TIME].to_numpy().astype(np.int64),
        values=frame.select(values).to_numpy().astype(np.float64).reshape(len(frame), len(values)),
        features=tuple(values),
        timed=time is not None,
    )


def _read(path: Path, key: str | None, values: list[str], time: str | None) -> pl.DataFrame:
    """One file as the columns key (String), time (Int64 milliseconds) and values (Float64, null made NaN)."""
    frame, place = _open(path)
    wanted = {"--key": [key] if key else [], "--value": values, "--time": [time] if time else []}
    for option, columns in wanted.items():
        for column in columns:
            if (found := place.header.count(column)) != 1:
                raise DataError(_no_column(place, option, column, found))
    if not len(frame):
        raise DataError(f"{path}: holds no events, only a header; give a file with at least one row of data")
    try:
        keys = frame[key].cast(pl.String) if key else pl.Series(["stream"]).new_from_index(0, len(frame))
    except pl.exceptions.PolarsError:
        raise DataError(_holds(place, key or "", frame, "texts or numbers; give a column of keys")) from None
    _refuse_first(
        place, key or "", frame, keys.is_null().to_numpy(), "is an empty key", "give every row its stream's key"
    )
    parts: list[pl.Series] = [keys.alias(KEY)]
    if time:
        try:
            times = milliseconds(frame[time])
        except pl.exceptions.PolarsError:
            raise DataError(_holds(place, time, frame, f"times; use {ACCEPTED}")) from None
        bad = ~times.is_between(EARLIEST, LATEST).fill_null(value=False).to_numpy()
        _refuse_first(place, time, frame, bad, "cannot be understood as a time", f"use {ACCEPTED}")
        parts.append(times.alias(TIME))
    parts += [_numbers(place, name, frame) for name in values]
    return pl.DataFrame(parts)


def _open(path: Path) -> tuple[pl.DataFrame, Place]:
    if path.is_dir():
        raise DataError(f"{path}: is a directory; give the path of a CSV or Parquet file")
    try:
        if path.suffix in PARQUET:
            frame = pl.read_parquet(path)
            return frame, Place(path, tuple(frame.columns), "row", np.arange(len(frame)) + 1)
        encoding, end = _form(path)
        frame = pl.read_csv(path, infer_schema=False, null_values=list(MISSING), encoding=encoding, eol_char=end)
        header = tuple(frame.columns)
        if any(name.endswith("_duplicated_0") for name in header):  # what polars makes of a name's second column
            first = pl.read_csv(path, infer_schema=False, has_header=False, n_rows=1, encoding=encoding, eol_char=end)
            header = tuple(name or "" for name in first.row(0))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give the path of a CSV or Parquet file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); give a readable file") from None
    except pl.exceptions.NoDataError:
        raise DataError(f"{path}: is empty; give a file with a header and at least one row of data") from None
    except UnicodeDecodeError:
        raise DataError(_no_text(path)) from None
    except pl.exceptions.PolarsError as error:
        raise DataError(_unreadable(path, str(error).splitlines()[0])) from None
    if any("\0" in name for name in header):
        raise DataError(_no_text(path))
    lines = np.arange(len(frame)) + 2
    if frame.width > 1:  # of one column an empty line is a missing value
        blank = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
        frame, lines = frame.filter(~blank), lines[~blank.to_numpy()]
    return frame, Place(path, header, "line", lines)


def _form(path: Path) -> tuple[str, str]:
    """(encoding, the last character of a line) of a CSV file, by how it begins."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if wide else "utf8", "\r" if b"\r" in head and b"\n" not in head else "\n"


def _no_text(path: Path) -> str:
    return f"{path}: is not text in UTF-8; save it as CSV in UTF-8, or as Parquet"


def _unreadable(path: Path, reason: str) -> str:
    """Why polars gave up, with the line where that can be found."""
    if path.suffix in PARQUET:
        return f"{path}: is not a Parquet file ({reason}); give a Parquet or CSV file"
    try:
        with path.open(newline="", encoding=_form(path)[0]) as lines:
            reader = csv.reader(lines, strict=True)
            width, line = len(next(reader)), reader.line_num
            for row in reader:
                line = reader.line_num
                if len(row) > width:
                    return (
                        f"{path}, line {reader.line_num}: has {len(row)} fields where the header has {width}; "
                        "put texts that contain commas into double quotes"
                    )
    except UnicodeDecodeError:
        return _no_text(path)
    except csv.Error as error:
        if str(error) == "unexpected end of data":
            return f"{path}, line {line + 1}: a double quote is opened and not closed; close it"
    return f"{path}: cannot be read as CSV ({reason}); give a CSV file with a header line"


def _no_column(place: Place, option: str, column: str, found: int) -> str:
    there = place.header
    if found:
        return f"{place.path}: {option} {column}: the header names {found} columns so; rename all but one"
    listed = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
    message = f"{place.path}: {option} {column}: no such column; the columns are {listed}"
    if any(name.replace(".", "", 1).isdecimal() for name in there):
        message += "; the first line must name the columns"
    if len(there) == 1 and any(mark in there[0] for mark in ";\t|"):
        message += "; the file seems to be separated by something else than commas"
    return message


def _numbers(place: Place, name: str, frame: pl.DataFrame) -> pl.Series:
    column = frame[name]
    if column.dtype == pl.String:
        column = column.str.strip_chars().replace({"": None})
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Boolean, pl.Null)):
        raise DataError(_holds(place, name, frame, "numbers; give a column of numbers"))
    numbers = column.cast(pl.Float64, strict=False)
    bad = (numbers.is_null() & column.is_not_null() | numbers.is_infinite().fill_null(False)).to_numpy()
    _refuse_first(place, name, frame, bad, "is not a number", MEND)
    numbers = numbers.fill_null(float("nan"))
    with np.errstate(over="ignore"):
        beyond = np.isinf(numbers.to_numpy().astype(np.float32))
    _refuse_first(place, name, frame, beyond, "is beyond float32, about 3.4e38", MEND)
    return numbers.alias(name)


def _holds(place: Place, name: str, frame: pl.DataFrame, wanted: str) -> str:
    return f"{place.path}, column {name}: holds {frame[name].dtype}, not {wanted}"


def _refuse_first(place: Place, name: str, frame: pl.DataFrame, bad: NDArray[np.bool_], what: str, mend: str) -> None:
    """Raise for the first bad row, with its line (CSV, the header is line 1) or row (Parquet, from 1)."""
    if not bad.any():
        return
    row = int(bad.argmax())
    value = frame[name][row]
    shown = "(empty)" if value is None else repr(str(value)[:60])
    others = int(bad.sum()) - 1
    more = f" (and {others} more such {'rows' if others > 1 else 'row'})" if others else ""
    raise DataError(f"{place.path}, {place.kind} {place.numbers[row]}, column {name}: {shown} {what}{more}; {mend}")
