"""Where the data lies: paths, directories, patterns, and any address that fsspec knows. Does not know what is in it.

What lies elsewhere is first copied to a temporary folder, so that all readers read plain files from the disk.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from training.errors import DataError

REMOTE = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(.*)", re.DOTALL)  # a Path has only one slash left
EXTRAS = {"s3": "s3", "s3a": "s3"}  # scheme -> our extra that brings what fsspec needs for it
READABLE = "give the path of a CSV or Parquet file"


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read."""

    name: str  # as messages name it
    path: Path  # where it can be read

    @property
    def stem(self) -> str:
        """Its name without folders and ending."""
        return Path(self.name).stem


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts names by the numbers in them: 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


@contextmanager
def sources(
    addresses: Sequence[Path | str], endings: tuple[str, ...], wanted: str = READABLE, folders: bool = False
) -> Iterator[list[Source]]:
    """The files that the addresses name, readable as long as the context lasts.

    A directory stands for its files with one of these endings, a pattern (`*`, `?`, `[`) for the files that fit, both
    in natural order. wanted: the mend of what cannot be read. folders: every address must be a directory.

    Raises DataError: nothing there, not readable, no package for the scheme.
    """
    with TemporaryDirectory(prefix="statecast-") as scratch:
        found: list[Source] = []
        for address in addresses:
            remote = REMOTE.fullmatch(str(address))
            found += (
                _fetched(f"{remote[1]}://{remote[2]}", remote[1], endings, wanted, folders, Path(scratch))
                if remote
                else _local(Path(address), endings, wanted, folders)
            )
        yield found


def _local(path: Path, endings: tuple[str, ...], wanted: str, folders: bool) -> list[Source]:
    if path.is_dir():
        inside = [Source(str(file), file) for file in path.iterdir() if file.is_file()]
        return _chosen(str(path), inside, endings, wanted)
    if folders:
        raise DataError(f"{path}: {'is a file, not' if path.exists() else 'no such'} directory; {wanted}")
    if not path.exists() and has_magic(str(path)):
        found = sorted(glob(str(path)), key=natural)  # noqa: PTH207  # Path.glob takes no absolute pattern
        matches = [Source(name, Path(name)) for name in found if Path(name).is_file()]
        if not matches:
            raise DataError(f"{path}: no file fits the pattern; {wanted}")
        return matches
    return [Source(str(path), path)]


def _chosen(address: str, inside: list[Source], endings: tuple[str, ...], wanted: str) -> list[Source]:
    files = [file for file in inside if file.name.endswith(endings) and not Path(file.name).name.startswith(".")]
    if not files:
        raise DataError(f"{address}: is a directory without any file that ends with {' or '.join(endings)}; {wanted}")
    return sorted(files, key=lambda file: natural(file.name))


def _fetched(
    address: str, scheme: str, endings: tuple[str, ...], wanted: str, folders: bool, scratch: Path
) -> list[Source]:
    files = _system(address, scheme)
    try:
        path = files._strip_protocol(address)
        if (folders or not path.endswith(endings)) and files.isdir(path):
            inside = [Source(str(files.unstrip_protocol(name)), Path(name)) for name in files.find(path, maxdepth=1)]
            there = _chosen(address, inside, endings, wanted)
        elif folders:
            raise DataError(f"{address}: no such directory; {wanted}")
        elif has_magic(path) and not files.exists(path):
            names = sorted(files.glob(path), key=natural)
            there = [Source(str(files.unstrip_protocol(name)), Path(name)) for name in names]
            if not there:
                raise DataError(f"{address}: no file fits the pattern; {wanted}")
        else:
            there = [Source(address, Path(path))]
        found = []
        for number, file in enumerate(there):
            # In a folder of its own: the copy keeps its name, by whose ending its format is told.
            copy = scratch / f"{len(list(scratch.iterdir()))}-{number}" / Path(file.name).name
            copy.parent.mkdir()
            files.get_file(files._strip_protocol(file.name), str(copy))
            found.append(Source(file.name, copy))
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{address}: no such file; {wanted}") from None
    except Exception as error:  # each scheme has errors of its own, many of them of no common kind
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{address}: cannot be read ({told}); check address, network and credentials") from None
    return found


def _system(address: str, scheme: str) -> Any:
    """fsspec's file system for this address."""
    try:
        import fsspec

        return fsspec.core.url_to_fs(address)[0]
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        mend = f"pip install 'statecast[{extra}]'" if extra else str(error).splitlines()[0]
        raise DataError(f"{address}: what reads {scheme}:// is not installed; {mend}") from None
    except ValueError as error:
        raise DataError(
            f"{address}: {str(error).splitlines()[0]}; give a path or an address that fsspec knows"
        ) from None
