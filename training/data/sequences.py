"""Directories with one CSV file for each sequence, and perhaps another one with their classes. Knows tables."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from training.data.columns import MISSING, Wanted, read_columns
from training.data.dialect import Dialect, form, no_text
from training.data.events import LABEL, Events, assemble, keyed
from training.data.files import Source, sources
from training.data.long import check_values
from training.data.table import CSV, Table, opened, renamed
from training.errors import DataError

DIRECTORY = "give a directory with one .csv file for each sequence"
VALUE = "value"


@dataclass(frozen=True, slots=True)
class Layout:
    """How each file is built."""

    values: tuple[str, ...] = ()  # columns by name, or by number from 1 where there is no header; none: all
    time: str | None = None
    label: str | None = None
    header: bool | None = None  # None: found out from the first file
    symbols: bool = False


def read_sequences(
    directories: Sequence[Path | str], layout: Layout, written: Dialect, labels: Path | str | None = None
) -> Events:
    """Every .csv file a stream: its key is the file's name without ending; files in natural order, 2 before 10.

    labels: a directory with one file of the same name for each sequence, whose last line that is not empty is the
    sequence's class.

    Raises DataError as `read_events`, and where sequences and labels do not belong to each other.
    """
    with sources(directories, CSV, DIRECTORY, folders=True) as files:
        keys = _keys(files)
        classes = None if labels is None else _classes(labels, files)
        header = layout.header
        if header is None:
            header = _has_header(files[0], layout, written)
        features: tuple[str, ...] | None = None
        parts: list[pl.DataFrame] = []
        for number, (key, file) in enumerate(zip(keys, files, strict=True)):
            table, names = _named(opened(file, replace(written, header=header)), layout)
            if features is not None and names != features:
                raise DataError(
                    f"{file.name}: has the columns {', '.join(names)} where {files[0].name} has {', '.join(features)}; "
                    "give every file the same columns, or choose some with --value"
                )
            features = names
            frame = read_columns(table, Wanted(names, None, layout.time, layout.label, layout.symbols), key)
            if classes is not None:
                frame = frame.with_columns(pl.lit(classes[number]).alias(LABEL))
            parts.append(frame)
    return assemble(*keyed(pl.concat(parts)), features or (VALUE,), timed=layout.time is not None)


def _keys(files: list[Source]) -> list[str]:
    """The files' stems; where two are alike, their whole names."""
    stems = [file.stem for file in files]
    return stems if len(set(stems)) == len(stems) else [file.name for file in files]


def _has_header(file: Source, layout: Layout, written: Dialect) -> bool:
    """Whether the first line names the columns that are asked for, or else holds texts where numbers are wanted."""
    fields = opened(file, replace(written, header=False)).first_row()
    asked = [name for name in (*layout.values, layout.time, layout.label) if name is not None]
    if asked and all(name in fields for name in asked):
        return not all(name.isdecimal() for name in asked)
    return not layout.symbols and not any(_number(field) for field in fields)


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in MISSING
    return True


def _named(table: Table, layout: Layout) -> tuple[Table, tuple[str, ...]]:
    """The table and the names of its features: without a header, columns get names here."""
    others = {layout.time, layout.label}
    free = tuple(name for name in table.header if name not in others)
    if table.written is None or table.written.header:
        return table, layout.values or free
    if layout.values and not all(name.isdecimal() for name in layout.values):
        check_values(layout.values)
        if len(layout.values) != len(free):
            raise DataError(
                f"{table.name}: --value {' '.join(layout.values)}: names {len(layout.values)} columns where the file "
                f"has {len(free)} and no header; name them all, or give their numbers from 1"
            )
        return renamed(table, dict(zip(free, layout.values, strict=True))), layout.values
    chosen = layout.values or free
    check_values(chosen)
    for name in chosen:
        table.column("--value", name)
    names = (VALUE,) if len(chosen) == 1 else tuple(f"c{name}" for name in chosen)
    return renamed(table, dict(zip(chosen, names, strict=True))), names


def _classes(directory: Path | str, sequences: list[Source]) -> list[str]:
    """Each sequence's class, from the file of the same name."""
    wanted = {Path(file.name).name: file for file in sequences}
    with sources([directory], CSV, "give a directory with one .csv file for each sequence", folders=True) as files:
        found = {Path(file.name).name: file for file in files}
        for name, file in wanted.items():
            if name not in found:
                raise DataError(f"--labels {directory}: has no {name} for {file.name}; give every sequence its class")
        for name, file in found.items():
            if name not in wanted:
                raise DataError(f"{file.name}: is the class of no sequence; remove it, or add the sequence {name}")
        return [_last_line(found[Path(file.name).name]) for file in sequences]


def _last_line(file: Source) -> str:
    try:
        lines = file.path.read_text(form(file.path)[0]).split("\n")
    except UnicodeDecodeError:
        raise DataError(no_text(file)) from None
    except OSError as error:
        raise DataError(f"{file.name}: cannot be read ({error.strerror or error}); give a readable file") from None
    filled = [line.strip() for line in lines if line.strip()]
    if not filled:
        raise DataError(f"{file.name}: is empty; give it a line with the sequence's class")
    return filled[-1].strip("\ufeff")
