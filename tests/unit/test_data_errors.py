"""The one line for data that cannot be read as asked: file, line, column, the value seen, and the mend."""

import sys
from pathlib import Path
from typing import Any

import pytest
from fsspec.registry import _registry

from tests.unit.test_data_forms import put, read_as
from training.data import read_events
from training.errors import DataError

LONG: dict[str, Any] = {"key": "k", "value": ("v",), "time": "t"}


def refused(data: list[Any], **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_as(data, **options)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("t,k,v\n1,a,1\n2,a\n", LONG, "data.csv, line 3: has 2 fields where the header has 3; give every row as many"),
        ("t;k;v\n1;a;1\n2;a\n", LONG | {"delimiter": ";"}, "line 3: has 2 fields where the header has 3; give every"),
        ("t,k,v\n1;a;1\n", LONG, "line 2: has 1 fields where the header has 3"),
        ("t;k;v\n1;a;1\n", LONG, "separated by something else than commas, which --delimiter can say"),
        (
            "note\nt,k,v\n1,a,warm\n",
            LONG | {"skip_lines": 1},
            "line 3, column v: 'warm' is not a number; mend the value",
        ),
        ("t,k,v\n1,a,1;5\n", LONG, "line 2, column v: '1;5' is not a number; say with --delimiter"),
        ("t,k,v\n1,a,1e39\n2,a,x\n", LONG, "line 3, column v: 'x' is not a number"),
        ("t,k,v\nNA,a,1\n", LONG, "line 2, column t: 'NA' cannot be understood as a time"),
        ("t,k,v\n1,a,1\n", LONG | {"delimiter": ";;"}, "--delimiter ';;': must be one ASCII character"),
        ("t,k,v\n1,a,1\n", LONG | {"label": "w"}, "data.csv: --label w: no such column; the columns are t, k, v"),
        ("t,a\n1,1\n2,warm\n", {"wide": True, "time": "t"}, "line 3, column a: 'warm' is not a number"),
        ("t\n1\n", {"wide": True, "time": "t"}, "has no column but --time t"),
        ("t,a\n1,\n", {"wide": True, "time": "t"}, "no column has any value"),
        ("t,a\n1,2\n", {"wide": True, "time": "t", "key": "a"}, "--key a: means nothing with --wide; leave it out"),
        ("t,a\n", {"wide": True, "sequences": True}, "--wide and --sequences: the data has one form"),
        ("v\n1\n", {"topic": "x"}, "--topic x: is read in place of files; leave out "),
        ("v\n1\n", {"labels": Path("l")}, "--labels l: goes with --sequences alone, not with a long table"),
        ("v,w\n1,2\n", {"value": ("v", "w"), "task": "symbol"}, "--value v w: the task 'symbol' has one column"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, options: dict[str, Any], message: str) -> None:
    (tmp_path / "data.csv").write_text(text)
    assert message in refused([tmp_path / "data.csv"], **options)


def test_a_row_is_short_only_where_it_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("v,w,x\n1,2,\n\n3,4,\n5,6\n")
    with pytest.raises(DataError, match="line 5: has 2 fields where the header has 3"):
        read_events([tmp_path / "data.csv"], None, ["v"])


@pytest.mark.parametrize(
    ("sequences", "labels", "message"),
    [
        ({"0": "1\n", "1": "2\n"}, {"0": "a\n"}, "labels: has no 1.csv for "),
        ({"0": "1\n"}, {"0": "a\n", "1": "b\n"}, "1.csv: is the class of no sequence; remove it"),
        ({"0": "1\n"}, {"0": "\n\n"}, "0.csv: is empty; give it a line with the sequence's class"),
        ({"0": "1\n", "1": "1,2\n"}, None, "1.csv: has the columns c1, c2 where "),
        ({"0": "1\n", "1": ""}, None, "1.csv: is empty"),
        ({"0": "1,2\n3\n"}, None, "0.csv, line 2: has 1 fields where the first row has 2"),
        ({"0": "1\n1,2\n"}, None, "0.csv, line 2: has 2 fields where the first row has 1"),
        ({"0": "1\n", "1": "2\nx\n"}, None, "1.csv, line 2, column value: 'x' is not a number"),
        ({}, None, "is a directory without any file that ends with .csv; give a directory with one .csv file"),
    ],
)
def test_bad_sequences_are_refused(
    tmp_path: Path, sequences: dict[str, str], labels: dict[str, str] | None, message: str
) -> None:
    folder = put(tmp_path / "sequences", **sequences)
    options = {} if labels is None else {"labels": put(tmp_path / "labels", **labels)}
    assert message in refused([folder], sequences=True, **options)


def test_columns_of_sequences_that_are_not_there_are_named(tmp_path: Path) -> None:
    folder = put(tmp_path / "s", a="1,2\n")
    assert "--value 3: no such column; the columns are 1, 2; without a header" in refused(
        [folder], sequences=True, value=("3",)
    )
    assert "--value x y z: names 3 columns where the file has 2 and no header" in refused(
        [folder], sequences=True, value=("x", "y", "z")
    )
    assert "a.csv: is a file, not directory; give a directory" in refused([folder / "a.csv"], sequences=True)


@pytest.mark.parametrize(
    ("raw", "unit", "message"),
    [
        (b"", "characters", "a.txt: holds no characters; give a text"),
        (b" \n ", "words", "a.txt: holds no words; give a text"),
        (b"ab\nc\xff", "characters", "a.txt, line 2: byte 0xff is not UTF-8; save the text in UTF-8, or read it with"),
    ],
)
def test_bad_texts_are_refused(tmp_path: Path, raw: bytes, unit: str, message: str) -> None:
    (tmp_path / "a.txt").write_bytes(raw)
    assert message in refused([tmp_path / "a.txt"], text=unit)
    assert "no.txt: no such file; give the path of a text file" in refused([tmp_path / "no.txt"], text=unit)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "nowhere://x.csv",
            "nowhere://x.csv: Protocol not known: nowhere; give a path or an address that fsspec knows",
        ),
        ("gs://b/x.csv", "gs://b/x.csv: what reads gs:// is not installed; Please install gcsfs"),
        ("memory://x.csv", "memory://x.csv: no such file"),
        ("none/*.csv", "none/*.csv: no file fits the pattern"),
    ],
)
def test_addresses_that_lead_nowhere_are_refused(address: str, message: str) -> None:
    assert message in refused([address])


def test_a_missing_package_of_s3_is_named_by_our_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)  # as where it is not installed
    monkeypatch.delitem(_registry, "s3", raising=False)
    expected = "s3://b/x.csv: what reads s3:// is not installed; pip install 'statecast[s3]'"
    assert refused(["s3://b/x.csv"]) == expected
