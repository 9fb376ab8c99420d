"""Wide tables: one column of times, and each other column is a stream. Knows tables and their columns."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from training.data.columns import Wanted, read_columns
from training.data.dialect import Dialect
from training.data.events import KEY, TIME, Events, assemble, keyed
from training.data.files import sources
from training.data.long import check_values
from training.data.table import CSV, PARQUET, opened
from training.errors import DataError

VALUE = "value"  # the one feature of what was a column


def read_wide(
    paths: Sequence[Path | str], columns: Sequence[str], time: str | None, written: Dialect, symbols: bool = False
) -> Events:
    """Each of the columns (none named: all but the time) as a stream of that name, with the feature "value".

    A column's first and last values are where its stream begins and ends: empty cells before and behind are no events,
    those between are events whose value is missing. A column without any value is no stream, and a note says so.

    Raises DataError as `read_events`.
    """
    if columns:
        check_values(columns)
    empty: list[str] = []
    parts: list[pl.DataFrame] = []
    with sources(paths, CSV + PARQUET) as files:
        for file in files:
            table = opened(file, written)
            names = tuple(columns) or tuple(name for name in table.header if name != time)
            if not names:
                raise DataError(f"{table.name}: has no column but --time {time}; give a table with a column per stream")
            frame = read_columns(table, Wanted(names, time=time, symbols=symbols))
            found = [_stream(frame, name, time is not None) for name in names]
            empty += [name for name, part in zip(names, found, strict=True) if not len(part)]
            parts += [part for part in found if len(part)]
    if not parts:
        raise DataError(f"{', '.join(map(str, paths))}: no column has any value; give a table with values")
    events = assemble(*keyed(pl.concat(parts)), (VALUE,), timed=time is not None)
    if not empty:
        return events
    return replace(events, notes=(*events.notes, f"columns without any value are no streams: {', '.join(empty)}"))


def _stream(frame: pl.DataFrame, name: str, timed: bool) -> pl.DataFrame:
    """The rows from a column's first value to its last, as a stream's events."""
    there = (frame[name].is_not_null() if frame[name].dtype == pl.String else frame[name].is_not_nan()).arg_true()
    inside = frame[int(there[0]) : int(there[-1]) + 1] if len(there) else frame[:0]
    columns = [pl.lit(name).alias(KEY), pl.col(name).alias(VALUE)]
    return inside.select(([pl.col(TIME)] if timed else []) + columns)
