"""The forms that data comes in: long and wide tables, directories of sequences, texts; numbers, symbols and classes."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from training.data import Events, read, read_events
from training.errors import DataError
from training.options import TrainOptions

ROOT = Path(__file__).parents[2]


def read_as(data: Sequence[Path | str], **options: Any) -> Events:
    """As `statecast train` with these options."""
    return read(data, TrainOptions(**options))


def put(folder: Path, **files: str) -> Path:
    """The folder, with these .csv files in it."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def test_a_wide_table_has_a_stream_in_every_column_but_the_time(tmp_path: Path) -> None:
    path = put(tmp_path, w="date,HUFL,OT\n2016-07-01 00:00:00,5.5,30\n2016-07-01 01:00:00,6,31\n") / "w.csv"
    events = read_as([path], wide=True, time="date")
    assert events.keys == [b"HUFL", b"OT"]
    assert events.features == ("value",)
    assert events.values[:, 0].tolist() == [5.5, 30, 6, 31]
    assert np.diff(events.time).tolist() == [0, 3_600_000, 0]
    assert read_as([path], wide=True, time="date", value=("OT",)).keys == [b"OT"]
    pl.read_csv(path).write_parquet(tmp_path / "w.parquet")
    assert read_as([tmp_path / "w.parquet"], wide=True, time="date").values[:, 0].tolist() == [5.5, 30, 6, 31]


def test_a_streams_column_in_a_wide_table_begins_and_ends_with_its_values(tmp_path: Path) -> None:
    table = "t,a,b,none\n1,,1,\n2,5,2,NA\n3,,3,\n4,6,,\n"
    events = read_as([put(tmp_path, w=table) / "w.csv"], wide=True, time="t")
    of_stream = {
        key: events.values[index, 0].tolist() for key, index in zip(events.keys, events.per_stream(), strict=True)
    }
    np.testing.assert_equal(of_stream, {b"b": [1, 2, 3], b"a": [5, np.nan, 6]})
    assert events.notes == ("columns without any value are no streams: none",)


def test_a_wide_table_may_hold_symbols(tmp_path: Path) -> None:
    events = read_as([put(tmp_path, w="t,a,b\n1,up,\n2,down,up\n") / "w.csv"], wide=True, time="t", task="symbol")
    assert events.symbols == ("up", "down")
    assert [events.values[index, 0].tolist() for index in events.per_stream()] == [[0, 1], [0]]


def test_sequences_are_streams_named_by_their_files_in_natural_order(tmp_path: Path) -> None:
    folder = put(tmp_path, **{"10": "7\n8\n9\n", "2": "1\n", "1": "5\n6\n"})
    events = read_as([folder], sequences=True)
    assert events.keys == [b"1", b"2", b"10"]
    assert not events.timed
    assert [events.values[index, 0].tolist() for index in events.per_stream()] == [[5, 6], [1], [7, 8, 9]]


@pytest.mark.parametrize(
    ("text", "options", "features", "first"),
    [
        ("x,y\n1,2\n", {}, ("x", "y"), [1, 2]),
        ("x,y\n1,2\n", {"value": ("y",)}, ("y",), [2]),
        ("1,2\n", {}, ("c1", "c2"), [1, 2]),
        ("1,2\n", {"value": ("2",)}, ("value",), [2]),
        ("1,2\n", {"value": ("x", "y")}, ("x", "y"), [1, 2]),
        ("1\t2\n", {"delimiter": "tab"}, ("c1", "c2"), [1, 2]),
        ("a note\nand more\n1;2\n", {"delimiter": ";", "skip_lines": 2}, ("c1", "c2"), [1, 2]),
        ("0,0\n1,2\n", {"header": True}, ("0", "0"), None),
        ("0,9\n1,2\n", {"header": True}, ("0", "9"), [1, 2]),
        ("1,2,up\n3,4,up\n", {"label": "3"}, ("c1", "c2"), [1, 2]),
        ("at,x,kind\n5,1,up\n", {"label": "kind", "time": "at"}, ("x",), [1]),
    ],
)
def test_columns_of_sequences_are_told_by_name_or_by_number(
    tmp_path: Path, text: str, options: dict[str, Any], features: tuple[str, ...], first: list[float] | None
) -> None:
    folder = put(tmp_path, a=text)
    if first is None:
        with pytest.raises(DataError, match="names 2 columns so"):
            read_as([folder], sequences=True, **options)
        return
    events = read_as([folder], sequences=True, **options)
    assert events.features == features
    assert events.values[0].tolist() == first


def test_a_label_file_of_the_same_name_says_a_sequences_class_in_its_last_line(tmp_path: Path) -> None:
    features = put(tmp_path / "features", **{"0": "1\n2\n", "1": "3\n", "2": "4\n"})
    labels = put(tmp_path / "labels", **{"0": "5\n", "1": "0\n5\n\n", "2": "0"})
    events = read_as([features], sequences=True, labels=labels, task="class")
    assert events.classes == ("0", "5")
    assert [events.label[index].tolist() for index in events.per_stream()] == [[1, 1], [1], [0]]


def test_a_column_of_labels_says_an_events_class_and_may_be_empty(tmp_path: Path) -> None:
    table = "k,v,kind\na,1,walk\na,2,\nb,3,run\n"
    events = read_as([put(tmp_path, d=table) / "d.csv"], key="k", value=("v",), label="kind", task="class")
    assert events.classes == ("run", "walk")
    assert events.label is not None
    assert [events.label[index].tolist() for index in events.per_stream()] == [[1, -1], [0]]


@pytest.mark.parametrize("parquet", [False, True])
def test_symbols_are_texts_or_numbers_and_stand_in_the_order_of_their_appearance(tmp_path: Path, parquet: bool) -> None:
    path = put(tmp_path, d="t,s\n1,login ok\n3,\n2,NA\n4,login ok\n") / "d.csv"
    if parquet:
        pl.read_csv(path).write_parquet(path := tmp_path / "d.parquet")
    events = read_as([path], time="t", value=("s",), task="symbol")
    assert events.symbols == ("login ok", "NA")
    np.testing.assert_array_equal(events.values[:, 0], [0, 1, np.nan, 0])
    numbers = put(tmp_path, n="s\n5\n7\n5\n") / "n.csv"
    assert read_as([numbers], value=("s",), task="symbol").symbols == ("5", "7")


@pytest.mark.parametrize(
    ("unit", "symbols", "values"),
    [
        ("characters", ("n", "é", "\n", "o"), [0, 1, 2, 0, 3, 0]),
        ("bytes", ("6e", "c3", "a9", "0a", "6f"), [0, 1, 2, 3, 0, 4, 0]),
        ("words", ("né", "non"), [0, 1]),
    ],
)
def test_a_text_is_a_stream_of_characters_bytes_or_words(
    tmp_path: Path, unit: str, symbols: tuple[str, ...], values: list[int]
) -> None:
    (tmp_path / "a.txt").write_text("né\nnon")
    events = read_as([tmp_path / "a.txt"], text=unit)
    assert events.keys == [b"a"]
    assert events.symbols == symbols
    assert events.values[:, 0].tolist() == values
    assert events.features == ("symbol",)
    assert not events.timed


def test_several_texts_are_streams_over_one_set_of_symbols(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("ab")
    (tmp_path / "b.txt").write_text("bca")
    events = read_as([tmp_path], text="characters")
    assert events.symbols == ("a", "b", "c")
    assert [events.values[index, 0].tolist() for index in events.per_stream()] == [[0, 1], [1, 2, 0]]
    assert events.time.tolist() == [0, 0, 1, 1, 2]


def test_a_directory_and_a_pattern_stand_for_their_files(tmp_path: Path) -> None:
    put(tmp_path, **{"10": "v\n3\n", "9": "v\n1\n2\n"})
    (tmp_path / "notes.txt").write_text("no data")
    for address in (tmp_path, str(tmp_path), tmp_path / "*.csv", f"file://{tmp_path}", f"file://{tmp_path}/*.csv"):
        assert read_events([address], None, ["v"]).values[:, 0].tolist() == [1, 2, 3], address


def test_who_only_reads_a_file_loads_neither_kafka_nor_fsspec_nor_the_options() -> None:
    code = (
        "import sys; from training.data import read_events;"
        "print([m for m in ('kafka', 'fsspec', 'torch', 'export', 'training.options') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"
