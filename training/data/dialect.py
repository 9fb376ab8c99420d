"""How a CSV file is written, and the one line for each way in which it is broken. Knows files, not what is in them."""

import codecs
import csv
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from training.data.files import Source
from training.errors import DataError

MARKS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written."""

    delimiter: str = ","
    skip_lines: int = 0  # before the header, or the data
    header: bool = True

    def __post_init__(self) -> None:
        if len(self.delimiter.encode()) != 1 or self.delimiter in '"\r\n':
            raise DataError(f"--delimiter {self.delimiter!r}: must be one ASCII character, or `tab`")


def dialect(delimiter: str = ",", skip_lines: int = 0, header: bool = True) -> Dialect:
    """As the options tell it: `tab` and a backslash with t are a tabulator."""
    return Dialect("\t" if delimiter in ("tab", "\\t") else delimiter, skip_lines, header)


def form(path: Path) -> tuple[str, str]:
    """(encoding, the last character of a line) of a text file, by how it begins."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if wide else "utf8", "\r" if b"\r" in head and b"\n" not in head else "\n"


def no_text(source: Source) -> str:
    """The message for a file that is not text."""
    return f"{source.name}: is not text in UTF-8; save it as CSV in UTF-8, or as Parquet"


def unreadable(source: Source, written: Dialect | None, reason: str) -> str:
    """Why polars gave up, with the line where that can be found."""
    if written is None:
        return f"{source.name}: is not a Parquet file ({reason}); give a Parquet or CSV file"
    found = uneven(source, written, suspicion=False)
    return found or f"{source.name}: cannot be read as CSV ({reason}); give a CSV file with a header line"


def uneven(source: Source, written: Dialect, suspicion: bool) -> str | None:
    """The first row that is longer or shorter than the first one, or not CSV at all.

    suspicion: rows may only end with a missing value, which a quick look at the lines can tell.
    """
    encoding, end = form(source.path)
    if suspicion and encoding == "utf8" and not _short_lines(source.path, written, end):
        return None
    try:
        with source.path.open(newline="", encoding=encoding) as lines:
            for _ in range(written.skip_lines):
                next(lines)
            reader = csv.reader(lines, strict=True, delimiter=written.delimiter)
            width, line = len(next(reader)), written.skip_lines + reader.line_num
            for row in reader:
                line = written.skip_lines + reader.line_num
                if len(row) != width and row:
                    first = "header" if written.header else "first row"
                    mend = (
                        f"put texts that contain {spoken(written.delimiter)} into double quotes"
                        if len(row) > width
                        else f"give every row as many {spoken(written.delimiter)}, also where values are missing"
                    )
                    return f"{source.name}, line {line}: has {len(row)} fields where the {first} has {width}; {mend}"
    except UnicodeDecodeError:
        return no_text(source)
    except csv.Error as error:
        if str(error) == "unexpected end of data":
            return f"{source.name}, line {line + 1}: a double quote is opened and not closed; close it"
    return None


def _short_lines(path: Path, written: Dialect, end: str) -> bool:
    """Whether a line without quotes, and not empty, has fewer delimiters than the first."""
    lines = pl.scan_csv(
        path, has_header=False, separator="\x01", quote_char=None, infer_schema=False, eol_char=end, glob=False,
        skip_lines=written.skip_lines, new_columns=["line"], truncate_ragged_lines=True,
    )  # fmt: skip
    count = pl.col("line").str.count_matches(written.delimiter, literal=True)
    bare = ~pl.col("line").str.contains('"', literal=True) & (pl.col("line").str.strip_chars("\r") != "")
    found = lines.select((bare & (count < count.first())).any()).collect(engine="streaming")
    return bool(found.item())


def spoken(delimiter: str) -> str:
    """As messages name it."""
    return {",": "commas", ";": "semicolons", "\t": "tabulators"}.get(delimiter, repr(delimiter))
