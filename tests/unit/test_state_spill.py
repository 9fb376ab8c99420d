"""Rows of idle streams on disk: each comes back as it was, once, and a full disk is told in one line."""

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rows import Rows
from stream.errors import EnvironmentFault
from stream.state.spill import Spill
from tests.unit.test_state_snapshot import WIDTH, joined, keys, lies_in, same, some_rows


@pytest.fixture
def spill(tmp_path: Path) -> Iterator[Spill]:
    spill = Spill(tmp_path / "spill", WIDTH)
    yield spill
    spill.close()


def picked(rows: Rows, indices: list[int]) -> Rows:
    return Rows(
        [rows.keys[index] for index in indices],
        *(getattr(rows, column)[indices] for column in ("offset", "time", "clock", "step", "state")),
    )


def by_key(rows: Rows) -> Rows:
    return picked(rows, sorted(range(len(rows)), key=rows.keys.__getitem__))


def fill(spill: Spill) -> None:
    for partition in range(1000):
        spill.put(partition, some_rows(keys(5000), partition))


def test_rows_come_back_bit_by_bit_and_once(spill: Spill) -> None:
    rows = some_rows(keys(5000))
    spill.put(7, rows)

    found, back = spill.take(7, [b"new", *rows.keys[::-2], b"newer"])

    assert found == list(range(1, 2501))
    assert same(back, picked(rows, list(range(4999, 0, -2))))
    assert (len(spill), spill.count(7)) == (2500, 2500)
    assert spill.take(7, rows.keys[::-2])[0] == []


def test_a_row_that_is_looked_at_stays(spill: Spill) -> None:
    rows = some_rows(keys(10))
    spill.put(7, rows)
    for _ in range(2):
        found = spill.look(7, rows.keys[3])
        assert found is not None
        assert same(found, picked(rows, [3]))
    assert spill.look(7, b"new") is spill.look(8, rows.keys[3]) is None
    assert spill.count(7) == 10


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "take", "drop", "rows"]),
            st.sampled_from([0, 1, 255, 256, 2**31 - 1]),
            st.lists(st.one_of(st.binary(max_size=3), st.just(b"\0" * 4096), st.just(b"\xff" * 4096)), unique=True),
        ),
        max_size=20,
    )
)
def test_it_is_a_dictionary_per_partition(
    tmp_path_factory: pytest.TempPathFactory, orders: list[tuple[str, int, list[bytes]]]
) -> None:
    spill = Spill(tmp_path_factory.getbasetemp() / "dictionary", WIDTH)
    model: dict[int, dict[bytes, Rows]] = {}
    none = some_rows([])
    for seed, (order, partition, names) in enumerate(orders):
        here = model.setdefault(partition, {})
        if order == "put":
            rows = some_rows(names, seed)
            spill.put(partition, rows)
            here.update({name: picked(rows, [index]) for index, name in enumerate(names)})
        elif order == "take":
            found, rows = spill.take(partition, names)
            assert found == [index for index, name in enumerate(names) if name in here]
            assert same(rows, joined([none, *(here.pop(names[index]) for index in found)]))
        elif order == "drop":
            spill.drop(partition)
            here.clear()
        else:
            rows = joined([none, *spill.rows(partition, chunk=3)])
            assert same(rows, joined([none, *(here[name] for name in sorted(here))]))
        assert spill.count(partition) == len(here)
        assert len(spill) == sum(map(len, model.values()))
    spill.close()


def test_all_rows_of_a_partition_are_those_of_the_call(spill: Spill) -> None:
    rows = some_rows(keys(10_000))
    spill.put(1, rows)
    spill.put(2, some_rows([b"other"]))
    spill.put(0, some_rows([b"\xff" * 9]))

    chunks = spill.rows(1, chunk=3000)
    first = next(chunks)
    spill.take(1, rows.keys[:5000])
    spill.put(1, some_rows(rows.keys[5000:], seed=9))
    spill.put(1, some_rows([b"late"]))
    spill.drop(1)
    rest = list(chunks)

    assert [len(first), *map(len, rest)] == [3000, 3000, 3000, 1000]
    assert same(joined([first, *rest]), by_key(rows))
    assert list(spill.rows(1)) == []
    assert len(spill) == 2


def test_what_was_there_at_the_start_is_forgotten(tmp_path: Path) -> None:
    first = Spill(tmp_path / "s", WIDTH)
    first.put(0, some_rows(keys(3)))
    first._store.flush()
    del first  # as a killed process leaves it

    second = Spill(tmp_path / "s", WIDTH)
    assert len(second) == 0
    assert second.take(0, keys(3))[0] == []
    assert list(second.rows(0)) == []
    second.close()
    assert lies_in(tmp_path / "s") == []


def test_a_full_disk_is_one_line_in_bounded_time_and_nothing_hangs(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "s", WIDTH, patience=0.2)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, limits[1]))  # of a file; a buffer of rows is written to one
    start = time.monotonic()
    try:
        with pytest.raises(EnvironmentFault, match=r"cannot keep .* free some space .* nothing is lost") as error:
            fill(spill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)

    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert time.monotonic() - start < 60
    back = joined(list(spill.rows(0)))  # what had been put is still there
    assert same(back, by_key(some_rows(keys(5000), 0)))
    spill.close()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a file system")
def test_a_file_system_without_room_is_one_line(tmp_path: Path) -> None:
    place = tmp_path / "tiny"
    place.mkdir()
    if os.system(f"mount -t tmpfs -o size=20m tmpfs {place} 2>/dev/null") != 0:
        pytest.skip("may not mount")
    try:
        for _ in range(3):  # RocksDB's own waiting hung in every second of such trials
            spill = Spill(place / "s", WIDTH, patience=0.2)
            with pytest.raises(EnvironmentFault, match="cannot keep"):
                fill(spill)
            assert same(joined(list(spill.rows(0))), by_key(some_rows(keys(5000), 0)))
            spill.close()
    finally:
        os.system(f"umount -l {place}")


def test_a_broken_disk_is_told_where_the_store_is_opened(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(EnvironmentFault, match=r"cannot keep the rows of idle streams in .*/f/s: .*Not a directory"):
        Spill(tmp_path / "f" / "s", WIDTH)


def test_no_rows_are_no_trouble(spill: Spill) -> None:
    spill.put(0, some_rows([]))
    found, rows = spill.take(0, [])
    assert (found, len(rows), rows.state.shape) == ([], 0, (0, WIDTH))
    assert np.array_equal(rows.offset, [])
    spill.drop(0)
