"""What becomes of awkward data: each treatment of docs/data.md."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.unit.test_data_forms import read_as
from training.data import Events, read_events
from training.errors import DataError
from training.splits import TEST, TRAIN, check_values, split

LONG: dict[str, Any] = {"key": "k", "value": ("v",), "time": "t"}


def read(folder: Path, rows: str, **options: Any) -> Events:
    path = folder / "data.csv"
    path.write_text("t,k,v\n" + rows)
    return read_as([path], **(LONG | options))


def of_streams(events: Events) -> dict[bytes, list[float]]:
    return dict(zip(events.keys, (events.values[i, 0].tolist() for i in events.per_stream()), strict=True))


def test_events_are_sorted_by_time_and_those_of_one_time_keep_the_order_of_the_data(tmp_path: Path) -> None:
    events = read(tmp_path, "9,a,1\n3,b,2\n3,a,3\n3,b,4\n1,c,5\n")
    assert events.values[:, 0].tolist() == [5, 2, 3, 4, 1]
    assert events.keys == [b"c", b"b", b"a"]


def test_events_of_one_stream_and_time_are_all_kept_and_counted(tmp_path: Path) -> None:
    events = read(tmp_path, "1,a,5\n1,b,5\n2,a,6\n2,a,6\n2,a,7\n2,b,\n2,b,\n")
    assert len(events) == 7
    (note,) = events.notes
    assert note.startswith("3 of 7 events have the time of the event before them in their stream, 2 its values, too")
    assert read(tmp_path, "1,a,5\n1,b,5\n2,a,5\n").notes == ()


def test_events_without_a_time_are_never_taken_for_repeated(tmp_path: Path) -> None:
    assert read(tmp_path, "1,a,5\n1,a,5\n", time=None).notes == ()


def test_a_gap_is_no_event(tmp_path: Path) -> None:
    events = read(tmp_path, "2020-01-01,a,1\n2020-01-02,a,2\n2021-01-01,a,3\n")
    assert of_streams(events) == {b"a": [1, 2, 3]}


def test_a_missing_value_is_an_event_that_says_nothing(tmp_path: Path) -> None:
    np.testing.assert_equal(of_streams(read(tmp_path, "1,a,1\n2,a,NA\n3,a,\n")), {b"a": [1, np.nan, np.nan]})


def test_streams_of_one_event_constant_ones_and_those_without_any_value_stay(tmp_path: Path) -> None:
    rows = "".join(f"{t},long,{t}\n{t},same,5\n{t},none,\n" for t in range(100)) + "3,one,1\n"
    events = read(tmp_path, rows)
    assert sorted(events.keys) == [b"long", b"none", b"one", b"same"]
    check_values(events, split(events, 0.7, 0.1))


def test_a_stream_may_be_in_the_test_part_only(tmp_path: Path) -> None:
    events = read(tmp_path, "".join(f"{t},a,{t}\n" for t in range(100)) + "95,late,1\n96,late,2\n")
    parts = split(events, 0.7, 0.1)
    assert set(parts.part[events.stream == events.keys.index(b"late")]) == {TEST}


def test_a_value_that_training_never_sees_is_refused(tmp_path: Path) -> None:
    events = read(tmp_path, "".join(f"{t},a,{t if t > 80 else ''}\n" for t in range(100)))
    with pytest.raises(DataError, match="--value v: all 70 values of the training part are missing"):
        check_values(events, split(events, 0.7, 0.1))


def test_a_key_may_look_like_a_missing_value(tmp_path: Path) -> None:
    assert read(tmp_path, "1,NA,1\n2,null,2\n").keys == [b"NA", b"null"]


def test_empty_lines_are_nothing_where_there_is_more_than_one_column(tmp_path: Path) -> None:
    assert of_streams(read(tmp_path, "1,a,1\n\n2,a,2\n\n")) == {b"a": [1, 2]}
    path = tmp_path / "one.csv"
    path.write_text("v\n1\n\n2\n")
    np.testing.assert_array_equal(read_events([path], None, ["v"]).values[:, 0], [1, np.nan, 2])
    path.write_text("v,w\n,3\n\n1,4\n")
    np.testing.assert_array_equal(read_events([path], None, ["v"]).values[:, 0], [np.nan, 1])


def test_lines_of_quoted_texts_are_not_taken_for_short(tmp_path: Path) -> None:
    path = tmp_path / "quoted.csv"
    path.write_text('v,note\n1,"two\nlines"\n2,\n3,"a, b"\n')
    assert read_events([path], None, ["v"]).values[:, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_of_many_pieces_keeps_its_order(tmp_path: Path, ending: str) -> None:
    rows = 300_000
    table = pl.DataFrame({"k": np.arange(rows) % 7, "v": np.arange(rows), "note": ["some text"] * rows})
    path = tmp_path / f"data.{ending}"
    if ending == "csv":
        table.write_csv(path)
    else:
        table.write_parquet(path, row_group_size=10_000)
    events = read_events([path], "k", ["v"])
    for number, values in enumerate(of_streams(events).values()):
        assert values == list(range(number, rows, 7))


def test_parts_of_a_timed_table_never_depend_on_what_comes_later(tmp_path: Path) -> None:
    rows = [f"{t},{'ab'[t % 2]},{t}" for t in range(200)]
    first = split(events := read(tmp_path, "\n".join(rows) + "\n"), 0.7, 0.1)
    train = events.values[first.part == TRAIN]
    changed = [row if int(row.split(",")[0]) < 140 else row + "000" for row in rows]
    again = split(other := read(tmp_path, "\n".join(changed) + "\n"), 0.7, 0.1)
    np.testing.assert_array_equal(other.values[again.part == TRAIN], train)
