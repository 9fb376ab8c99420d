"""Reading events: order, times, missing values, and the one line that each kind of bad input gets."""

from datetime import date, time, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from training.data import Events, read_events
from training.errors import DataError
from training.splits import TEST, TRAIN, VALID, split


def written(folder: Path, text: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder: Path, text: str | bytes, name: str = "data.csv") -> Events:
    return read_events([written(folder, text, name)], "k", ["v"], "t")


def test_events_come_in_time_order_and_keep_the_files_order_within_one_time(tmp_path: Path) -> None:
    events = read(tmp_path, "t,k,v\n3,b,30\n1,a,10\n3,a,31\n1,b,11\n")
    assert events.time.tolist() == [1000, 1000, 3000, 3000]
    assert [events.keys[i] for i in events.stream] == [b"a", b"b", b"b", b"a"]
    assert events.values[:, 0].tolist() == [10, 11, 30, 31]
    assert [index.tolist() for index in events.per_stream()] == [[0, 3], [1, 2]]


@pytest.mark.parametrize("missing", ["", "NA", "NaN", "null", "  "])
def test_missing_values_are_nan(tmp_path: Path, missing: str) -> None:
    events = read(tmp_path, f"t,k,v\n1,a,{missing}\n2,a, 5.5 \n")
    assert np.isnan(events.values[0, 0])
    assert events.values[1, 0] == 5.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2013-01-01T06:00:00Z", 1357020000000),
        ("2013-01-01T06:00:00", 1357020000000),
        ("2013-01-01 06:00:00", 1357020000000),
        ("2013-01-01 06:00", 1357020000000),
        ("2013-01-01T08:00:00+02:00", 1357020000000),
        ("2013-01-01T06:00:00.250Z", 1357020000250),
        ("2013-01-01T06:00:00.250999", 1357020000250),
        ("2013-01-01", 1356998400000),
        ("1357020000", 1357020000000),
        ("1357020000.25", 1357020000250),
        ("1357020000000", 1357020000000),
        ("1357020000000000", 1357020000000),
    ],
)
def test_times_of_many_kinds_become_milliseconds(tmp_path: Path, text: str, expected: int) -> None:
    assert read(tmp_path, f"t,k,v\n{text},a,1\n").time.tolist() == [expected]


def test_without_a_time_the_order_of_rows_counts_and_without_a_key_all_is_one_stream(tmp_path: Path) -> None:
    path = written(tmp_path, "v,w\n3,1\n1,2\n")
    events = read_events([path], None, ["v", "w"])
    assert events.keys == [b"stream"]
    assert events.time.tolist() == [0, 1]
    assert events.values.tolist() == [[3, 1], [1, 2]]
    assert not events.timed


def test_parquet_and_csv_of_several_files_are_one_set_of_events(tmp_path: Path) -> None:
    table = pl.DataFrame({"k": [7, 7], "t": pl.Series([1, 3]).cast(pl.Datetime("ms")), "v": [1, None]})
    table.write_parquet(tmp_path / "a.parquet")
    paths = [tmp_path / "a.parquet", written(tmp_path, "t,k,v\n1970-01-01T00:00:00.002Z,7,2\n")]
    events = read_events(paths, "k", ["v"], "t")
    assert events.keys == [b"7"]
    assert events.time.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(events.values[:, 0], [1, 2, np.nan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data.csv: is empty"),
        ("t,k,v\n", "holds no events, only a header"),
        ("t,k,x\n1,a,1\n", "--value v: no such column; the columns are t, k, x"),
        ("t;k;v\n1;a;1\n", "seems to be separated by something else than commas"),
        ("t,k,v\n1,a,1\n2,a,warm\n3,a,hot\n", "line 3, column v: 'warm' is not a number (and 1 more such row)"),
        ("t,k,v\n\n1,a,1\n\n2,a,warm\n", "line 5, column v: 'warm' is not a number"),
        ("t,k,v\n1,a,inf\n", "line 2, column v: 'inf' is not a number"),
        ("t,k,v\n2020-01-01,a,1\nyesterday,a,1\n", "line 3, column t: 'yesterday' cannot be understood as a time"),
        ("t,k,v\n,a,1\n", "line 2, column t: (empty) cannot be understood as a time"),
        ("t,k,v\n1,a,1\n1,,1\n", "line 3, column k: (empty) is an empty key"),
        ("t,k,v\n1,a,1\n1,a,1,5\n", "line 3: has 4 fields where the header has 3"),
        (b"t,k,v\n1,a\xff,1\n", "is not text in UTF-8"),
        (b"\0" * 100, "is not text in UTF-8"),
        ("t,k,v\n1,a,1\n".encode("utf-16-le"), "is not text in UTF-8"),
        ("t,k,v\n1,a,-1e300\n", "line 2, column v: '-1e300' is beyond float32"),
        ("t,k,v\n-9e13,a,1\n", "line 2, column t: '-9e13' cannot be understood as a time"),
        ("t,k,v,v\n1,a,1,2\n", "--value v: the header names 2 columns so; rename all but one"),
        ("t,k,v,k,k\n1,a,1,b,c\n", "--key k: the header names 3 columns so; rename all but one"),
        ("1,a,1\n2,a,2\n", "--key k: no such column; the columns are 1, a, 1; the first line must name the columns"),
        ('t,k,v\n1,a,1\n2,a,"2\n3,a,3\n', "line 3: a double quote is opened and not closed"),
    ],
)
def test_bad_csv_gets_one_line_with_place_value_and_mend(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    line = str(caught.value)
    assert message in line
    assert "data.csv" in line
    assert "\n" not in line
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [("nothing.csv", "no such file"), ("nothing.parquet", "no such file"), ("", "is a directory")],
)
def test_a_path_that_is_no_file_is_named(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_events([tmp_path / name], "k", ["v"], "t")


def test_a_parquet_file_that_is_none_or_holds_no_numbers_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a Parquet file"):
        read(tmp_path, "hello", "data.parquet")
    pl.DataFrame({"k": ["a", "a"], "t": [1, 2], "v": ["1", "x"]}).write_parquet(tmp_path / "data.parquet")
    with pytest.raises(DataError, match="row 2, column v: 'x' is not a number"):
        read_events([tmp_path / "data.parquet"], "k", ["v"], "t")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_files_of_other_programs_are_read(tmp_path: Path, encoding: str, end: str) -> None:
    lines = ["t,k,v", "1,ä,1.5", "2,ä,", "3,ä,4"]
    events = read(tmp_path, "".join(line + end for line in lines).encode(encoding))
    assert events.keys == ["ä".encode()]
    np.testing.assert_array_equal(events.values[:, 0], [1.5, np.nan, 4])
    with pytest.raises(DataError, match="line 3, column v: 'warm' is not a number"):
        read(tmp_path, "".join(line + end for line in ["t,k,v", "1,a,1", "2,a,warm"]).encode(encoding))
    with pytest.raises(DataError, match="line 2: has 4 fields where the header has 3"):
        read(tmp_path, "".join(line + end for line in ["t,k,v", "1,a,1,1"]).encode(encoding))


def test_a_name_that_stands_twice_harms_nobody_who_does_not_ask_for_it(tmp_path: Path) -> None:
    assert read(tmp_path, "t,k,v,note,note,,\n1,a,5,,,,\n").values.tolist() == [[5]]
    assert read(tmp_path, "t,k,v,v_duplicated_0\n1,a,5,6\n").values.tolist() == [[5]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"v": [[1]]}, "column v: holds List(Int64), not numbers; give a column of numbers"),
        ({"v": [date(2020, 1, 1)]}, "column v: holds Date, not numbers"),
        ({"v": [1e300]}, "row 1, column v: '1e+300' is beyond float32"),
        ({"k": [[1]]}, "column k: holds List(Int64), not texts or numbers; give a column of keys"),
        ({"k": [b"\xff"]}, "column k: holds Binary, not texts or numbers; give a column of keys"),
        ({"t": [[1]]}, "column t: holds List(Int64), not times; use ISO 8601"),
        ({"t": [time(1)]}, "column t: holds Time, not times; use ISO 8601"),
        ({"t": [timedelta(1)]}, "column t: holds Duration"),
    ],
)
def test_parquet_columns_of_another_kind_are_named(
    tmp_path: Path, columns: dict[str, list[object]], message: str
) -> None:
    pl.DataFrame({"k": ["a"], "t": [1], "v": [1], **columns}).write_parquet(tmp_path / "data.parquet")
    with pytest.raises(DataError) as caught:
        read_events([tmp_path / "data.parquet"], "k", ["v"], "t")
    assert message in str(caught.value)


def test_parts_are_cut_by_time_alone(tmp_path: Path) -> None:
    rows = "".join(f"{i // 2},{'ab'[i % 2]},{i}\n" for i in range(100))
    events = read(tmp_path, "t,k,v\n" + rows)
    parts = split(events, 0.7, 0.1)
    found = parts.part
    assert np.bincount(found).tolist() == [70, 10, 20]
    for part, later in ((TRAIN, VALID), (VALID, TEST)):
        assert events.time[found == part].max() < events.time[found == later].min()


def test_events_that_cannot_be_cut_by_time_are_refused(tmp_path: Path) -> None:
    events = read(tmp_path, "t,k,v\n" + "1,a,1\n" * 50)
    with pytest.raises(DataError, match="50 events cannot be split by time"):
        split(events, 0.7, 0.1)
