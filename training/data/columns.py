"""A table's columns as keys, times, numbers, symbols and classes. Knows polars and what is missing, nothing of files.

Each kind is an expression that is worked out while the file is read in pieces. What it cannot understand it marks, and
only then the file is looked at again, for the message.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from training.data.dialect import MARKS
from training.data.events import KEY, LABEL, TIME
from training.data.table import Table
from training.data.times import ACCEPTED, EARLIEST, LATEST, milliseconds
from training.errors import DataError

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None")
MEND = "mend the value, or leave it empty where it is missing"
BEYOND = 3.4028235677973366e38  # rounds to infinity in float32
NUMERIC = (pl.String, pl.Boolean, pl.Null)
TEXTUAL = (pl.String, pl.Boolean, pl.Null, pl.Categorical, pl.Enum, pl.Binary, pl.Date, pl.Datetime)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which columns of a table are what."""

    values: tuple[str, ...]
    key: str | None = None
    time: str | None = None
    label: str | None = None
    symbols: bool = False  # values are symbols, not numbers


def read_columns(table: Table, wanted: Wanted, stream: str = "stream") -> pl.DataFrame:
    """KEY, TIME and LABEL where they are wanted, and the values, as `assemble` takes them.

    stream: the key of all rows where no column tells it. Raises DataError, with line, column and value.
    """
    for option, name in _options(wanted):
        table.column(option, name)
    schema = table.rows.collect_schema()
    asked = [_value(table, name, schema[name], wanted.symbols) for name in wanted.values]
    if wanted.key is not None:
        asked.append(_text(table, wanted.key, schema[wanted.key], "texts or numbers; give a column of keys").alias(KEY))
    if wanted.time is not None:
        raw = pl.col(wanted.time)
        asked.append((_stripped(raw) if schema[wanted.time] == pl.String else raw).alias(TIME))
    if wanted.label is not None:
        asked.append(_text(table, wanted.label, schema[wanted.label], "names; give a column of classes").alias(LABEL))
    # A row with neither key nor time is an empty line, or an error; only then it is worth to look at all columns.
    proof = [name for name, option in ((KEY, wanted.key), (TIME, wanted.time)) if option is not None]
    blanks = bool(proof)
    frame = table.collect(asked, blanks)
    if blanks and any(frame[name].null_count() for name in proof):
        blanks = False
        frame = table.collect(asked, blanks)
    if not len(frame):
        raise DataError(f"{table.name}: holds no events, only a header; give a file with at least one row of data")
    if wanted.key is None:
        frame = frame.with_columns(pl.lit(stream).alias(KEY))
    else:
        bad = frame[KEY].is_null().to_numpy()
        table.refuse_first(wanted.key, bad, blanks, "is an empty key", "give every row its stream's key")
    if wanted.time is not None:
        frame = frame.with_columns(_times(table, wanted.time, frame[TIME], blanks))
    if not wanted.symbols:
        for name in wanted.values:
            _check_numbers(table, name, frame[name], blanks)
    return frame


def _options(wanted: Wanted) -> list[tuple[str, str]]:
    named = [("--key", wanted.key), *(("--value", name) for name in wanted.values)]
    named += [("--time", wanted.time), ("--label", wanted.label)]
    return [(option, name) for option, name in named if name is not None]


def _stripped(column: pl.Expr) -> pl.Expr:
    text = column.str.strip_chars()
    return pl.when(text != "").then(text)


def _text(table: Table, name: str, kind: pl.DataType, wanted: str) -> pl.Expr:
    if not (kind.is_numeric() or kind in TEXTUAL):
        raise table.holds(name, wanted)
    text = pl.col(name).cast(pl.String)
    if kind == pl.Binary:
        try:
            table.rows.select(text).collect()
        except pl.exceptions.PolarsError:
            raise table.holds(name, wanted) from None
    return pl.when(text != "").then(text)


def _value(table: Table, name: str, kind: pl.DataType, symbols: bool) -> pl.Expr:
    """A symbol's text, or null; or a number: NaN where it is missing, infinity where it is none."""
    if symbols:
        return _text(table, name, kind, "texts or numbers; give a column of symbols").alias(name)
    if not (kind.is_numeric() or kind in NUMERIC):
        raise table.holds(name, "numbers; give a column of numbers")
    column = pl.col(name)
    missing = column.is_null()
    if kind == pl.String:
        column = column.str.strip_chars()
        missing |= column.is_in(MISSING)
    number = column.cast(pl.Float64, strict=False)
    good = number.is_nan() | (number.abs() < BEYOND)
    chosen = pl.when(missing).then(float("nan")).when(good).then(number).otherwise(float("inf"))
    return chosen.alias(name)


def _check_numbers(table: Table, name: str, numbers: pl.Series, blanks: bool) -> None:
    marked = numbers.is_infinite().to_numpy()
    if not marked.any():
        return
    raw = table.collect([pl.col(name)], blanks)[name]
    read = raw.str.strip_chars().cast(pl.Float64, strict=False) if raw.dtype == pl.String else raw.cast(pl.Float64)
    finite = read.is_finite().fill_null(False).to_numpy()
    value = str(raw[int(marked.argmax())])
    mend = "say with --delimiter what separates the columns" if any(mark in value for mark in MARKS) else MEND
    table.refuse_first(name, marked & ~finite, blanks, "is not a number", mend)
    table.refuse_first(name, marked, blanks, "is beyond float32, about 3.4e38", MEND)


def _times(table: Table, name: str, column: pl.Series, blanks: bool) -> pl.Series:
    try:
        times = milliseconds(column)
    except pl.exceptions.PolarsError:
        raise table.holds(name, f"times; use {ACCEPTED}") from None
    bad: np.ndarray = ~times.is_between(EARLIEST, LATEST).fill_null(value=False).to_numpy()
    table.refuse_first(name, bad, blanks, "cannot be understood as a time", f"use {ACCEPTED}")
    return times.alias(TIME)
