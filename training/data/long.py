"""Long tables: each row is one event, and names its stream. Knows tables and their columns."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from training.data.columns import Wanted, read_columns
from training.data.dialect import Dialect
from training.data.events import Events, assemble, keyed
from training.data.files import sources
from training.data.table import CSV, PARQUET, opened
from training.errors import DataError


def read_events(paths: Sequence[Path | str], key: str | None, values: Sequence[str], time: str | None = None) -> Events:
    """Read long CSV or Parquet files (by their ending: .parquet, .pq) as one set of events.

    key: the column that names the stream; None takes all rows as one stream, "stream". values: the columns of numbers,
    the model's features. time: ISO 8601, epoch seconds or milliseconds, or what polars can parse; None takes the order
    of rows. Empty, NA, NaN and null values are missing. CSV is text in UTF-8, or in UTF-16 with a byte order mark.

    Raises DataError: a file that cannot be read or is empty, rows of unequal length, a column that is not there or
    there twice, text in a number column, a value beyond float32, a time that cannot be understood, a row without key or
    time. Lines are counted from 1, the header included.
    """
    return read_long(paths, Wanted(tuple(values), key, time), Dialect())


def read_long(paths: Sequence[Path | str], wanted: Wanted, written: Dialect) -> Events:
    """As `read_events`; with labels or symbols where they are wanted, too."""
    if not paths:
        raise DataError("no data: give at least one CSV or Parquet file")
    check_values(wanted.values)
    with sources(paths, CSV + PARQUET) as files:
        frame = pl.concat([read_columns(opened(file, written), wanted) for file in files])
    return assemble(*keyed(frame), wanted.values, timed=wanted.time is not None)


def check_values(values: Sequence[str]) -> None:
    """Raise DataError where no column is named, or one twice."""
    if not values or len(set(values)) < len(values):
        raise DataError(f"--value {' '.join(values) or '(none)'}: give at least one column, each once")
