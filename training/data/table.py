"""One CSV or Parquet file as a lazy frame. Does not know what its columns mean.

Only the columns that are asked for are read, in pieces, so that a file may be larger than the memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.dialect import MARKS, Dialect, form, no_text, spoken, uneven, unreadable
from training.data.files import Source
from training.errors import DataError

PARQUET, CSV = (".parquet", ".pq"), (".csv",)
ROW, SHORT = "(row)", "(short)"  # names of our own columns, such as no file of the user's has


@dataclass(frozen=True, slots=True)
class Table:
    """A file that has been opened but not read."""

    source: Source
    rows: pl.LazyFrame  # the file's columns, of CSV all texts, and ROW
    header: tuple[str, ...]  # as the file has it; a name may stand in it twice
    written: Dialect | None  # None of Parquet

    @property
    def name(self) -> str:
        """As messages name the file."""
        return self.source.name

    def place(self, row: int) -> str:
        """Where a row stands: lines of CSV and rows of Parquet are counted from 1."""
        if self.written is None:
            return f"{self.name}, row {row + 1}"
        return f"{self.name}, line {row + 1 + self.written.skip_lines + self.written.header}"

    def collect(self, columns: Sequence[pl.Expr], blanks: bool) -> pl.DataFrame:
        """These columns of all rows. blanks: whether rows without any value stay.

        Raises DataError where the file cannot be read, or has rows of unequal length.
        """
        rows, asked = self.rows, list(columns)
        if self.written is not None and len(self.header) > 1:
            asked.append(pl.col(self.rows.collect_schema().names()[-1]).is_null().alias(SHORT))
            if not blanks:
                rows = rows.filter(~pl.all_horizontal(pl.exclude(ROW).is_null()))
        try:
            frame = rows.select(asked).collect(engine="streaming")
        except OSError as error:
            raise DataError(f"{self.name}: cannot be read ({error}); give a readable file") from None
        except pl.exceptions.PolarsError as error:
            raise DataError(unreadable(self.source, self.written, str(error).splitlines()[0])) from None
        if SHORT in frame.columns:
            if frame[SHORT].any() and (found := uneven(self.source, self.written or Dialect(), suspicion=True)):
                raise DataError(found)
            frame = frame.drop(SHORT)
        return frame

    def first_row(self) -> list[str]:
        """The first row as texts, empty where a value is missing. Raises DataError where the file cannot be read."""
        try:
            row = self.rows.select(pl.exclude(ROW)).head(1).collect().row(0)
        except pl.exceptions.PolarsError as error:
            raise DataError(unreadable(self.source, self.written, str(error).splitlines()[0])) from None
        return [str(field or "").strip() for field in row]

    def column(self, option: str, name: str) -> str:
        """The name, where there is exactly one such column. Raises DataError."""
        if (found := self.header.count(name)) != 1:
            raise DataError(_no_column(self, option, name, found))
        return name

    def refuse_first(self, name: str, bad: NDArray[np.bool_], blanks: bool, what: str, mend: str) -> None:
        """Raise DataError for the first bad one of the rows that `collect` gave."""
        if not bad.any():
            return
        there = self.collect([pl.col(ROW), pl.col(name)], blanks)
        at = int(bad.argmax())
        value = there[name][at]
        shown = "(empty)" if value is None else repr(str(value)[:60])
        others = int(bad.sum()) - 1
        more = f" (and {others} more such {'rows' if others > 1 else 'row'})" if others else ""
        raise DataError(f"{self.place(int(there[ROW][at]))}, column {name}: {shown} {what}{more}; {mend}")

    def holds(self, name: str, wanted: str) -> DataError:
        """The error of a column of another kind than wanted."""
        return DataError(f"{self.name}, column {name}: holds {self.rows.collect_schema()[name]}, not {wanted}")


def opened(source: Source, written: Dialect) -> Table:
    """A file by its ending: Parquet, or else CSV in UTF-8, or in UTF-16 with a byte order mark.

    Raises DataError where it is not there, not readable, empty, or neither.
    """
    parquet = source.path.suffix in PARQUET
    if source.path.is_dir():
        raise DataError(f"{source.name}: is a directory; give the path of a CSV or Parquet file")
    try:
        if parquet:
            rows = pl.scan_parquet(source.path, glob=False)
            header = tuple(rows.collect_schema().names())
            return Table(source, rows.with_row_index(ROW), header, None)
        rows, header = _scanned(source.path, written)
    except FileNotFoundError:
        raise DataError(f"{source.name}: no such file; give the path of a CSV or Parquet file") from None
    except OSError as error:
        raise DataError(f"{source.name}: cannot be read ({error.strerror or error}); give a readable file") from None
    except pl.exceptions.NoDataError:
        raise DataError(f"{source.name}: is empty; give a file with a header and at least one row of data") from None
    except UnicodeDecodeError:
        raise DataError(no_text(source)) from None
    except pl.exceptions.PolarsError as error:
        raise DataError(unreadable(source, None if parquet else written, str(error).splitlines()[0])) from None
    if any("\0" in name for name in header):
        raise DataError(no_text(source))
    return Table(source, rows.with_row_index(ROW), header, written)


def _scanned(path: Path, written: Dialect) -> tuple[pl.LazyFrame, tuple[str, ...]]:
    """The rows as texts, and the header; without one the columns are named by their numbers, from 1."""
    encoding, end = form(path)
    eager = encoding == "utf-16"

    def scan(header: bool, rows: int | None = None) -> pl.LazyFrame:
        options = {
            "infer_schema": False,
            "has_header": header,
            "separator": written.delimiter,
            "skip_lines": written.skip_lines,
            "eol_char": end,
            "n_rows": rows,
        }
        if eager:  # what is not UTF-8 polars cannot read in pieces
            return pl.read_csv(path, encoding=encoding, **options).lazy()  # type: ignore[arg-type]
        return pl.scan_csv(path, glob=False, **options)  # type: ignore[arg-type]

    frame = scan(written.header)
    names = frame.collect_schema().names()
    if not written.header:
        numbers = [str(number) for number in range(1, len(names) + 1)]
        return frame.rename(dict(zip(names, numbers, strict=True))), tuple(numbers)
    if any(name.endswith("_duplicated_0") for name in names):  # what polars makes of a name's second column
        names = [name or "" for name in scan(header=False, rows=1).collect().row(0)]
    return frame, tuple(names)


def _no_column(table: Table, option: str, column: str, found: int) -> str:
    there = table.header
    if found:
        return f"{table.name}: {option} {column}: the header names {found} columns so; rename all but one"
    listed = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
    message = f"{table.name}: {option} {column}: no such column; the columns are {listed}"
    if table.written is not None and not table.written.header:
        return message + "; without a header they are named by their numbers"
    if any(name.replace(".", "", 1).isdecimal() for name in there):
        message += "; the first line must name the columns"
    if table.written is not None and len(there) == 1 and any(mark in there[0] for mark in MARKS):
        message += f"; the file seems to be separated by something else than {spoken(table.written.delimiter)}"
        message += ", which --delimiter can say"
    return message


def renamed(table: Table, names: dict[str, str]) -> Table:
    """The table with other names for some columns."""
    header = tuple(names.get(name, name) for name in table.header)
    return replace(table, rows=table.rows.rename(names), header=header)
