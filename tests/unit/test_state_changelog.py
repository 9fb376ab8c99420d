"""Changelog records as bytes: what was written comes back, and what this version did not write is named."""

import struct
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.rows import Rows
from stream.state import changelog
from stream.state.changelog import MARKER, ROW, Foreign, Marker, Rules, marker_value, read, row_keys, row_values

WIDTH = 3
LONG = st.integers(0, 2**63 - 1)
A_MARKER = Marker(7, 8, 9, 0, "lineage", "topic", "app-one", Rules(None, 1, 2, "json"), "1.31", "x86_64")


def rows_of(*steps: int, width: int = WIDTH) -> Rows:
    """A row for each step; 0 is a cold stream."""
    n = len(steps)
    numbers = np.arange(1, n + 1, dtype=np.int64)
    step = np.array(steps, np.int64)
    state = np.full((n, width), 0.5, np.float32) * numbers[:, None].astype(np.float32)
    state[step == 0] = 0
    return Rows([b"key-%d" % i for i in range(n)], numbers * 10, numbers * 1000, numbers * 1000, step, state)


def same(a: Rows, b: Rows) -> bool:
    columns = ("offset", "time", "clock", "step", "state")
    return a.keys == b.keys and all(
        getattr(a, c).dtype == getattr(b, c).dtype and getattr(a, c).tobytes() == getattr(b, c).tobytes()
        for c in columns
    )


@st.composite
def some_rows(draw: st.DrawFn) -> Rows:
    width = draw(st.integers(1, 9))
    keys = draw(st.lists(st.binary(max_size=40), unique=True, max_size=12))
    column = lambda low: np.array(draw(st.lists(low, min_size=len(keys), max_size=len(keys))), np.int64)  # noqa: E731
    step = column(st.one_of(st.just(0), LONG))
    finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
    state = draw(arrays.arrays(np.float32, (len(keys), width), elements=finite))
    state[step == 0] = 0
    return Rows(keys, column(LONG), column(st.integers(-(2**63), 2**63 - 1)), column(LONG), step, state)


@given(some_rows())
def test_rows_come_back_bit_by_bit(rows: Rows) -> None:
    entries = read(row_keys(rows.keys), row_values(rows), rows.state.shape[1])
    assert same(entries.rows, rows)
    assert (entries.gone, entries.marker) == ([], None)


@given(st.integers(0, 40), st.lists(st.sampled_from(["row", "cold", "gone", "marker"]), max_size=30))
def test_records_taken_together_say_what_they_say_one_by_one(seed: int, kinds: list[str]) -> None:
    chance = np.random.default_rng(seed)
    keys: list[bytes | None] = []
    values: list[bytes | None] = []
    last: dict[bytes, Any] = {}
    marker = None
    for at, kind in enumerate(kinds):
        if kind == "marker":
            marker = msgspec.structs.replace(A_MARKER, position=at)
            keys, values = [*keys, MARKER], [*values, marker_value(marker)]
            continue
        row = rows_of(0 if kind == "cold" else at + 1)
        row.keys[0] = b"key-%d" % chance.integers(5)
        row.offset[0] = at
        keys += row_keys(row.keys)
        values += [None] if kind == "gone" else row_values(row)
        last[row.keys[0]] = None if kind == "gone" else at
    entries = read(keys, values, WIDTH)
    assert entries.marker == marker
    assert sorted(entries.gone) == sorted(key for key, at in last.items() if at is None)
    newest = dict(zip(entries.rows.keys, entries.rows.offset.tolist(), strict=True))  # a later row overrides
    assert newest == {key: at for key, at in last.items() if at is not None}
    assert entries.rows.offset.tolist() == sorted(entries.rows.offset.tolist())


def test_a_cold_stream_is_its_head_alone() -> None:
    cold, warm = row_values(rows_of(0, 4))
    assert (len(cold), len(warm)) == (40, 40 + 4 * WIDTH)


def test_a_marker_comes_back() -> None:
    for marker in (A_MARKER, msgspec.structs.replace(A_MARKER, input_topic_id=None, rules=Rules(5, 1, 2, "json"))):
        assert read([MARKER], [marker_value(marker)], WIDTH).marker == marker


def test_a_marker_of_a_later_version_with_more_fields_is_read() -> None:
    told = {**msgspec.to_builtins(A_MARKER), "more": 1}
    assert read([MARKER], [msgspec.json.encode(told)], WIDTH).marker == A_MARKER


def test_the_keys_of_streams_and_the_markers_never_meet() -> None:
    assert MARKER not in row_keys([b"", b"m", MARKER])


def test_nothing_says_nothing() -> None:
    entries = read([], [], WIDTH)
    assert (len(entries.rows), entries.rows.state.shape, entries.gone, entries.marker) == (0, (0, WIDTH), [], None)


def a_row(change: Callable[[bytearray], Any] = lambda _: None, width: int = WIDTH, step: int = 1) -> bytes:
    value = bytearray(row_values(rows_of(step, width=width))[0])
    return bytes(change(value) or value)


def put(at: int, code: str, number: float) -> Callable[[bytearray], None]:
    return lambda value: struct.pack_into(code, value, at, number)


def a_marker(**changed: Any) -> bytes:
    return msgspec.json.encode({**msgspec.to_builtins(A_MARKER), **changed})


ROW_KEY = ROW + b"pump"
FOREIGN: dict[str, tuple[bytes | None, bytes, list[str]]] = {
    "another width": (ROW_KEY, a_row(width=4), ["4 floats", "rows have 3"]),
    "a cold row of another width": (ROW_KEY, a_row(width=4, step=0), ["4 floats", "rows have 3"]),
    "another format": (ROW_KEY, a_row(put(0, "B", 2)), ["format 2", "format 1"]),
    "a cold row of another format": (ROW_KEY, a_row(put(0, "B", 2), step=0), ["format 2", "format 1"]),
    "cut": (ROW_KEY, a_row(lambda v: v[:-1]), ["pump", "51 bytes", "cut or damaged"]),
    "too long": (ROW_KEY, a_row() + b"\0", ["pump", "53 bytes"]),
    "nothing in it": (ROW_KEY, b"", ["pump", "0 bytes"]),
    "a few bytes": (ROW_KEY, b"\1\0", ["pump", "2 bytes"]),
    "garbage": (ROW_KEY, b"garbage, of whatever length it may be", ["format 103"]),
    "garbage as long as a row": (ROW_KEY, b"\1" * 52, ["16843009 floats"]),
    "a state that is not a number": (ROW_KEY, a_row(put(48, "<f", float("nan"))), ["pump", "cannot be"]),
    "a state without end": (ROW_KEY, a_row(put(40, "<f", float("inf"))), ["pump", "cannot be"]),
    "an offset below -1": (ROW_KEY, a_row(put(8, "<q", -2)), ["pump", "cannot be"]),
    "a reset at no offset": (ROW_KEY, struct.pack("<B3xIqqqq", 1, WIDTH, -1, 1, 1, 0), ["pump", "cannot be"]),
    "a step below 0": (ROW_KEY, a_row(put(32, "<q", -5)), ["pump", "cannot be"]),
    "another key": (b"xpump", a_row(), ["b'xpump'", "no version"]),
    "an empty key": (b"", a_row(), ["b''"]),
    "no key": (None, a_row(), ["None"]),
    "a marker that is no JSON": (MARKER, b"{", ["marker", "cannot be read"]),
    "an empty marker": (MARKER, b"", ["marker", "cannot be read"]),
    "a marker that lacks something": (MARKER, b'{"replay": 1}', ["marker", "clock"]),
    "a marker with text for a number": (MARKER, a_marker(replay="1"), ["marker", "replay"]),
    "a marker of another format": (MARKER, a_marker(format=2), ["marker of format 2", "format 1"]),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("before", [0, 2])
def test_a_foreign_record_is_told_with_its_place(name: str, before: int) -> None:
    key, value, parts = FOREIGN[name]
    good = rows_of(*[1] * before)
    with pytest.raises(Foreign) as caught:
        read([*row_keys(good.keys), key, ROW + b"z"], [*row_values(good), value, a_row()], WIDTH)
    assert caught.value.index == before
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_row_or_foreign(value: bytes) -> None:
    try:
        entries = read([ROW_KEY, MARKER], [value, value], WIDTH)
    except Foreign:
        return
    pytest.fail(f"taken for a row and a marker: {entries}")


def test_a_row_that_a_tombstone_followed_is_not_looked_at() -> None:
    entries = read([ROW_KEY, ROW_KEY], [b"garbage", None], WIDTH)
    assert (len(entries.rows), entries.gone) == (0, [b"pump"])


def test_the_head_is_what_the_module_says_it_is() -> None:
    value = a_row()
    assert struct.unpack_from("<B3xI4q", value) == (changelog.FORMAT, WIDTH, 10, 1000, 1000, 1)
