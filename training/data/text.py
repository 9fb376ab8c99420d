"""Plain texts as streams of symbols: characters, bytes or words. Knows files, nothing of tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.events import Events
from training.data.files import Source, sources
from training.errors import DataError

Unit = Literal["characters", "bytes", "words"]
TXT = (".txt",)
READABLE = "give the path of a text file"
FEATURE = "symbol"

Codes = NDArray[np.int64]


def read_text(paths: Sequence[Path | str], unit: Unit) -> Events:
    """Each file a stream of symbols, in the order of the text; its key is the file's name without ending.

    characters: code points of UTF-8, line ends as they stand in the file. bytes: two hexadecimal digits each, "00" to
    "ff". words: what stands between white space; line ends are white space, punctuation stays with its word.

    Raises DataError: a file that cannot be read, is empty, or is not UTF-8 (of bytes any file is good).
    """
    if not paths:
        raise DataError("no data: give at least one text file")
    with sources(paths, TXT, READABLE) as files:
        read = [_codes(file, unit) for file in files]
        stems = [file.stem for file in files]
        keys = stems if len(set(stems)) == len(stems) else [file.name for file in files]
    known: dict[str, int] = {}
    codes = []
    for found, symbols in read:
        codes.append(np.array([known.setdefault(symbol, len(known)) for symbol in symbols], np.int64)[found])
    lengths = [len(found) for found in codes]
    time = np.concatenate([np.arange(n) for n in lengths])
    order = np.argsort(time, kind="stable") if len(files) > 1 else slice(None)
    return Events(
        keys=[key.encode() for key in keys],
        stream=np.repeat(np.arange(len(keys)), lengths)[order],
        time=time[order],
        values=np.concatenate(codes).astype(np.float64)[order, None],
        features=(FEATURE,),
        timed=False,
        symbols=tuple(known),
    )


def _codes(file: Source, unit: Unit) -> tuple[Codes, list[str]]:
    """(each symbol's place among those that differ, those that differ in order of first appearance)."""
    try:
        raw = file.path.read_bytes()
        if unit == "bytes":
            places, found = _ranked(np.frombuffer(raw, np.uint8))
            symbols = [f"{byte:02x}" for byte in found.tolist()]
        elif unit == "characters":
            text = raw.decode().removeprefix("\ufeff")
            places, found = _ranked(np.frombuffer(text.encode("utf-32-le"), np.uint32))
            symbols = [chr(code) for code in found.tolist()]
        else:
            known: dict[str, int] = {}
            words = raw.decode().removeprefix("\ufeff").split()
            places = np.fromiter((known.setdefault(word, len(known)) for word in words), np.int64, len(words))
            symbols = list(known)
    except FileNotFoundError:
        raise DataError(f"{file.name}: no such file; {READABLE}") from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{file.name}, line {line}: byte {raw[error.start]:#04x} is not UTF-8; save the text in UTF-8, or read it "
            "with --text bytes"
        ) from None
    except OSError as error:
        raise DataError(f"{file.name}: cannot be read ({error.strerror or error}); give a readable file") from None
    if not len(places):
        raise DataError(f"{file.name}: holds no {unit}; give a text")
    return places, symbols


def _ranked(codes: NDArray[np.uint8] | NDArray[np.uint32]) -> tuple[Codes, Codes]:
    """Each code's place in the order of first appearance, and the codes in that order."""
    found = pl.Series(codes).unique(maintain_order=True).to_numpy().astype(np.int64)
    rank = np.zeros(int(found.max(initial=0)) + 1, np.int64)
    rank[found] = np.arange(len(found))
    return rank[codes], found
