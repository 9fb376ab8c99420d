"""What an exported state holds, and what becomes of its offsets elsewhere. Without a broker."""

import contextlib
import resource
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.columns import Columns
from engine.model import Model
from engine.rows import FROZEN, Rows
from engine.step import Engine
from export.sample import random_model
from stream.broker.port import Records
from stream.errors import EnvironmentFault, Refused, StatecastError, UsageError
from stream.ops.changelogs import Newest, unreset
from stream.ops.placing import Placing, place, positions_of
from stream.ops.portable import Digest, Export, Header, Part, Writer
from stream.state import changelog
from stream.state.beginning import Found, Names, Resume, beginning
from stream.state.changelog import Marker, Rules

WIDTH = 3
RULES = Rules(state_ttl=None, max_key_bytes=9, max_value_bytes=9, codec="json")
MARKER = Marker(
    replay=20, clock=5, position=20, origin=2, lineage="old", input_topic_id="t", writer="w", rules=RULES,
    onnxruntime="1", machine="m",
)  # fmt: skip


def rows(*offsets: int, first: int = 0) -> Rows:
    """A warm row for each offset."""
    count = len(offsets)
    ones = np.arange(1, count + 1, dtype=np.int64)
    state = np.arange(count * WIDTH, dtype=np.float32).reshape(count, WIDTH)
    return Rows([b"s%d" % (first + i) for i in range(count)], np.array(offsets, np.int64), ones, ones, ones, state)


def records(some: Rows) -> list[tuple[bytes, bytes]]:
    return list(zip(changelog.row_keys(some.keys), changelog.row_values(some), strict=True))


def write(path: Path, some: Rows, **changed: object) -> None:
    digest = Digest()
    digest.add(0, some)
    part = Part(0, 20, len(some), MARKER)
    header = Header("f" * 12, WIDTH, "app", "in", "t", 2, [part], digest.rows, digest.hex, 1.0)
    with Writer(path) as writer:
        writer.rows(0, records(some))
        writer.finish(msgspec.structs.replace(header, **changed))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.state"


def test_a_file_gives_back_what_was_written(path: Path) -> None:
    some = rows(*range(19))
    write(path, some)
    with Export(path) as export:
        export.check()
        (part,) = export.header.parts
        (found,) = export.rows(part)
        assert part.clean
        assert records(found) == records(some)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_digest_knows_rows_and_neither_their_order_nor_their_offsets() -> None:
    def of(*parts: Rows, partition: int = 0) -> str:
        digest = Digest()
        for part in parts:
            digest.add(partition, part)
        return digest.hex

    some = rows(1, 2, 3)
    pieces = list(some.pieces(1))
    assert of(some) == of(*pieces[::-1]) == of(replace(some, offset=some.offset + 7))
    others = [
        of(some, partition=1),
        of(*pieces[:2]),
        of(some, pieces[0]),
        of(replace(some, keys=[b"s0", b"s2", b"s1"])),
        of(replace(some, step=some.step + 1)),
        of(replace(some, state=some.state + np.float32(1))),
    ]
    assert len({of(some), *others}) == len(others) + 1


def test_a_file_that_was_cut_anywhere_or_has_another_byte_is_refused(path: Path) -> None:
    write(path, rows(*range(5)))
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert "is no file of" in refused(path)
    for at in range(0, len(whole), 3):
        path.write_bytes(whole)
        assert "\n" not in refused(path, change=at)


def refused(path: Path, change: int | None = None) -> str:
    """Why a file is refused; where the byte at `change` says nothing of the state, that it still gives the same."""
    if change is not None:
        content = bytearray(path.read_bytes())
        content[change] ^= 0x20
        path.write_bytes(content)
    with contextlib.ExitStack() as stack:
        try:
            export = stack.enter_context(Export(path))
            export.check()
        except UsageError as error:
            return str(error)
        (part,) = export.header.parts
        assert [r for some in export.rows(part) for r in records(some)] == records(rows(*range(5)))
        assert part.marker == MARKER
    return "the same"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"digest": "0" * 64}, "not what its header says"),
        ({"rows": 7}, "not what its header says"),
        ({"format": 2}, "is of format 2"),
        ({"kind": "other"}, "contradicts itself"),
        ({"partitions": 0}, "contradicts itself"),
        ({"width": 4}, "3 floats; this model's rows have 4"),
        ({"parts": [Part(1, 20, 0, MARKER)]}, "lacks the rows of partition 1"),
        ({"parts": [Part(0, 20, 9, MARKER)]}, "has 5 rows of partition 0, not 9"),
        ({"parts": [Part(0, 4, 5, MARKER)]}, "a row of offset 4 in partition 0, committed at 4"),
        ({"parts": [Part(0, 20, 5, msgspec.structs.replace(MARKER, format=2))]}, "has a marker of format 2"),
    ],
    ids=lambda given: str(given)[:30],
)
def test_a_header_that_does_not_fit_its_rows_is_refused(path: Path, changed: dict[str, object], told: str) -> None:
    write(path, rows(*range(5)), **changed)
    assert told in refused(path)


def test_a_file_that_cannot_be_made_is_told(path: Path) -> None:
    path.symlink_to("nowhere")  # it would be replaced
    for name, told in ((path.name, "is there already"), ("a" * 300, "File name too long"), ("x/y", "No such file")):
        with pytest.raises(UsageError, match=rf"^--out \S+: .*{told}"):
            Writer(path.parent / name)


def test_a_file_that_fails_leaves_nothing(path: Path) -> None:
    def fail() -> Iterator[tuple[bytes, bytes]]:
        yield from records(rows(1))
        raise KeyError

    with Writer(path) as writer, pytest.raises(KeyError):
        writer.rows(0, fail())
    assert not list(path.parent.iterdir())


def test_a_full_disk_is_told_and_nothing_is_left(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)  # what Python meets beyond it is an OSError
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with (
            pytest.raises(EnvironmentFault, match=r"^--out \S+: cannot be written .*; make room"),
            Writer(path) as writer,
        ):
            writer.rows(0, records(rows(*range(1000))))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(path.parent.iterdir())


# Where an imported state goes on.


@given(
    committed=st.integers(1, 1000),
    position=st.integers(0, 1000),
    lags=st.lists(st.integers(1, 1000), min_size=1, max_size=20),
)
def test_elsewhere_no_event_from_the_position_on_is_passed_over_and_none_below_is_stepped(
    committed: int, position: int, lags: list[int]
) -> None:
    marker = msgspec.structs.replace(MARKER, replay=committed, position=committed, origin=0)
    placing = Placing(Part(0, committed, len(lags), marker), position)
    some = rows(*(max(0, committed - lag) for lag in lags))
    moved, written = placing.rows(some), placing.marker("new", "b-import", "there")

    begin = beginning(
        Found(0, written, position, 0, position, int(moved.offset.max()), "there"), Names("b", "in", "state"), False
    )
    assert isinstance(begin, Resume)
    assert begin.replay == begin.until == position
    assert (moved.offset < position).all()
    assert (written.lineage, written.writer, written.rules, written.clock) == ("new", "b-import", RULES, MARKER.clock)
    order = np.argsort(some.offset, kind="stable")
    assert (np.diff(moved.offset[order]) >= 0).all()
    read = changelog.read(changelog.row_keys(moved.keys), changelog.row_values(moved), WIDTH).rows
    assert records(read) == records(moved)


def test_where_the_offsets_are_the_same_nothing_is_rewritten() -> None:
    unclean = msgspec.structs.replace(MARKER, replay=7)
    (placing,) = place([Part(1, 20, 2, unclean)], {}, same=True, marks={1: (3, 25)}, topic="in")
    some = rows(3, 9)
    assert placing.rows(some) is some
    written = placing.marker("new", "w", "t")
    assert written == msgspec.structs.replace(unclean, lineage="new")


@pytest.mark.parametrize(
    ("same", "positions", "told"),
    [
        (True, {0: 20}, "--position 0=20: its rows lack events that lie at offsets 19 to 20"),
        (True, {1: 20}, "the file has no state of partition 1"),
        (False, {}, "say where partition 0 goes on: --position 0=OFFSET"),
        (False, {0: 4, 3: 4}, "the file has no state of partition 3"),
        (False, {0: 26}, "has offsets from 3 to 25, and the state is to go on at 26"),
        (False, {0: 2}, "has offsets from 3 to 25, and the state is to go on at 2"),
        (False, {0: 9}, "--position 0=9: its rows lack events that lie at offsets 19 to 20"),
    ],
)
def test_a_position_that_cannot_be_is_refused(same: bool, positions: dict[int, int], told: str) -> None:
    part = Part(0, 20, 2, msgspec.structs.replace(MARKER, replay=19))
    with pytest.raises(UsageError, match=told):
        place([part], positions, same=same, marks={0: (3, 25)}, topic="in")


def test_positions_are_told_once_each() -> None:
    assert positions_of(["0=5", "12=0"]) == {0: 5, 12: 0}
    for wrong in (["0"], ["0:5"], ["-1=5"], ["a=5"], ["0=5", "00=5"], ["0=99999999999999999999"]):
        with pytest.raises(UsageError, match="--position"):
            positions_of(wrong)


# What a changelog says, read from outside.


def batch(first: int, *some: tuple[bytes, bytes | None]) -> Records:
    offsets = list(range(first, first + len(some)))
    return Records(0, offsets, [0] * len(some), [key for key, _ in some], [value for _, value in some])


def test_the_newest_row_of_a_stream_stands_wherever_it_comes() -> None:
    newest = Newest("state")
    one, two = records(rows(1, 5)), records(rows(3))
    newest.take(batch(0, (b"m", changelog.marker_value(MARKER))))
    newest.take(batch(1, *one, *two))
    assert {key: (row.offset, row.at) for key, row in newest.rows.items()} == {b"s0": (3, 3), b"s1": (5, 2)}
    newest.take(batch(4, (b"rs1", None), *records(rows(2))))  # an older row of s0: it changes nothing
    assert {key: row.offset for key, row in newest.rows.items()} == {b"s0": 3}
    assert (newest.offset, newest.width, newest.marker) == (3, WIDTH, MARKER)
    newest.take(batch(6, (b"rs0", None)))
    assert not newest.rows


def test_what_became_of_a_stream_is_told_and_a_frozen_one_can_be_reset() -> None:
    some = rows(1, 2, 3)
    some.step[1:] = 0, FROZEN
    some.state[1:] = 0
    newest = Newest("state")
    newest.take(batch(0, *records(some)))
    assert [row.state for row in newest.rows.values()] == ["warm", "empty", "frozen"]
    assert unreset(newest) == [b"s0", b"s2"]
    assert unreset(newest, b"s2") == [b"s2"]


@pytest.mark.parametrize(
    "spoil", [lambda v: v[:-1], lambda v: b"\7" + v[1:], lambda _: b""], ids=["cut", "format", "none"]
)
def test_a_record_that_cannot_be_read_is_named(spoil: Callable[[bytes], bytes]) -> None:
    ((key, value),) = records(rows(1))
    with pytest.raises(Refused, match=r"state \[0\], offset 4: a row of ") as caught:
        Newest("state").take(batch(4, (key, spoil(value))))
    assert isinstance(caught.value, StatecastError)


def test_a_row_from_before_the_beginning_of_its_topic_is_warm_and_has_its_time_to_live(tmp_path: Path) -> None:
    random_model(tmp_path / "model.onnx", hidden=4)
    model = Model(tmp_path / "model.onnx")
    width = model.row_width
    ten = np.full(2, 10, np.int64)
    warm = Rows([b"a", b"b"], np.full(2, -1, np.int64), ten, np.array([10, 5000]), ten, np.ones((2, width), np.float32))
    engine = Engine(model, 8)
    engine.begin(0, 5000)
    engine.load(0, changelog.read(changelog.row_keys(warm.keys), changelog.row_values(warm), width).rows)
    ones = np.ones((2, 1), np.float32)
    time = np.full(2, 5010, np.int64)
    outcome = engine.step(Columns([(0, 0, 2)], [b"a", b"b"], np.arange(2), time, time, ones, ones), ttl=1000)
    assert outcome.step.tolist() == [1, 11]
