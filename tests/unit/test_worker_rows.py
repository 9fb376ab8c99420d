"""The loop and its rows, where they are hard to keep: refused events, a full bank, a snapshot that must not count."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.step import Engine
from stream.assembly import Storage
from stream.state.files import StateDir
from stream.state.spill import Spill
from tests.lives import (
    PLAIN,
    POISON,
    RESET,
    Event,
    Life,
    Visit,
    alone,
    correct,
    fill,
    filled,
    letters,
    live,
    model,
    replay,
    same,
    told,
)
from tests.memory import Memory

pytestmark = pytest.mark.usefixtures("silence")

SLOWLY: dict[str, Any] = {"delivery": {"commit_interval": 0.05}, "state": {"checkpoint_interval": 50}, "most": 3}
QUICKLY: dict[str, Any] = {**SLOWLY, "state": {"checkpoint_interval": 0.05}}


@contextlib.contextmanager
def storage(tmp_path: Path, life: int) -> Iterator[Storage]:
    """The state directory; what rests on the disk is each life's own."""
    scratch = tmp_path / f"spill-{life}"
    scratch.mkdir()
    with (
        StateDir(tmp_path, "app", "fingerprint", "app-a") as place,
        contextlib.closing(Spill(scratch, model().row_width)) as spill,
    ):
        yield Storage(place, spill)


FIRST_EVENTS: dict[str, list[Event]] = {
    "refused": [(0, 0, POISON)],
    "refused, then taken": [(0, 0, POISON), (0, 0, PLAIN)],
    "refused beside another": [(0, 0, POISON), (0, 1, PLAIN), (0, 1, PLAIN)],
    "refused after a reset": [(0, 0, PLAIN), (0, 0, RESET), (0, 0, POISON)],
    "refused again and again": [(0, 0, POISON)] * 5 + [(0, 0, PLAIN)] * 2,
}


@pytest.mark.parametrize("options", [SLOWLY, QUICKLY], ids=["slowly", "quickly"])
@pytest.mark.parametrize("name", FIRST_EVENTS)
def test_a_stream_that_begins_with_what_the_network_refuses_comes_back_as_it_was(
    name: str, options: dict[str, Any]
) -> None:
    cluster = filled(1, FIRST_EVENTS[name])
    for _ in range(3):
        live(cluster, 1, Life(), options)
        fill(cluster, 1, [(0, 0, PLAIN), (0, 2, POISON), (0, 1, PLAIN)])
    live(cluster, 1, Life(), options)
    correct(cluster, 1)
    assert sorted(letters(cluster, 0)) == alone(cluster, 0, None)[1]


def test_where_the_origin_cannot_be_read_at_once_the_groups_source_is_left_to_the_loop() -> None:
    cluster = filled(1, [(0, i % 3, PLAIN) for i in range(60)])
    live(cluster, 1, Life(), {})
    cluster.logs["state", 0].clear()
    fill(cluster, 1, [(0, i % 3, PLAIN) for i in range(20)])
    # The first reader is that of the changelog.
    life = Life({("reader", 2): "away", ("reader", 3): "away"}, (1,))
    assert live(cluster, 1, life, {"state": {"warmup": 20.0}})
    assert life.counts["reader"] == 4
    assert cluster.misdeeds == []
    assert [offset for offset, _ in told(cluster, 0)] == list(range(80))


@pytest.mark.parametrize("streams", [5, 8, 12])
def test_a_full_bank_without_a_disk_comes_back_after_a_restart_and_after_a_crash(streams: int) -> None:
    begun = filled(2, [(i % 2, i % streams, PLAIN) for i in range(40)])
    room = len({(i % 2, i % streams) for i in range(40)})
    for crash in (None, 20, 40, 60):
        cluster = same(begun)
        live(cluster, 2, Life({} if crash is None else {crash: "crash"}), SLOWLY, engine=Engine(model(), room))
        fill(cluster, 2, [(i % 2, i % streams, PLAIN) for i in range(20)])
        for _ in range(2):
            assert live(cluster, 2, Life(), SLOWLY, engine=Engine(model(), room))
        correct(cluster, 2)


def test_more_streams_than_there_is_room_for_wait_and_go_on_where_another_takes_a_part() -> None:
    cluster = filled(2, [(i % 2, i % 14, PLAIN) for i in range(60)])
    # Ten of fourteen find room. The other process has as much as is needed.
    life = Life({("poll", 60): Visit("revoked", share=1, heard=0, back=600, turns=150)})
    assert live(cluster, 2, life, SLOWLY, engine=Engine(model(), 10))
    correct(cluster, 2)


def test_more_streams_than_there_is_room_for_go_on_where_others_have_become_cold() -> None:
    cluster = filled(1, [(0, i // 4, PLAIN) for i in range(80)])
    options: dict[str, Any] = {**QUICKLY, "state": {"checkpoint_interval": 0.05, "state_ttl": 10.0}}
    assert live(cluster, 1, Life(), options, engine=Engine(model(), 10))
    assert told(cluster, 0) == alone(cluster, 0, 10_000)[0]


def test_a_restore_that_steps_more_streams_than_there_is_room_for_writes_them_to_make_room(tmp_path: Path) -> None:
    cluster = filled(1, [(0, i % 30, PLAIN) for i in range(60)])
    live(cluster, 1, Life({("commit", 15): "crash"}), SLOWLY)
    assert replay(cluster, 0) == 0
    assert cluster.committed[0] > 30
    with storage(tmp_path, 0) as disk:
        assert live(cluster, 1, Life(), SLOWLY, engine=Engine(model(), 12, disk.spill), storage=disk)
    correct(cluster, 1)


def test_a_snapshot_of_a_process_that_had_lost_the_partition_unawares_is_not_used(tmp_path: Path) -> None:
    cluster = filled(1, [(0, i % 3, PLAIN) for i in range(30)])
    options: dict[str, Any] = {**QUICKLY, "state": {"checkpoint_interval": 0.05, "snapshot_interval": 0.5}}

    def come(stream: int) -> Any:
        return lambda memory: fill(memory.cluster, 1, [(0, stream, PLAIN)] * 3)

    def let_the_disk_work(_: Memory) -> None:
        time.sleep(0.02)

    # From poll 40 on it hears nothing: neither of events nor of its partition, which another works on. It takes its
    # snapshot between that one's visits.
    visit = Visit("lost", share=1, heard=10_000, back=0, turns=150)
    faults: dict[Any, Any] = {("poll", poll): (let_the_disk_work, "away") for poll in range(40, 120)}
    faults[("poll", 40)] = (come(0), visit, "away")
    faults[("poll", 120)] = (come(1), visit, "crash")
    idle = {**options, "delivery": {"until_end": False, "commit_interval": 0.05}}
    with storage(tmp_path, 0) as disk:
        assert not live(cluster, 1, Life(faults), idle, engine=Engine(model(), 64, disk.spill), storage=disk)
    assert cluster.committed[0] == 36
    fill(cluster, 1, [(0, i % 3, PLAIN) for i in range(6)])
    with storage(tmp_path, 1) as disk:
        assert live(cluster, 1, Life(), options, engine=Engine(model(), 64, disk.spill), storage=disk)
    correct(cluster, 1)


@pytest.mark.parametrize("capacity", [64, 4, 2])
def test_rows_that_only_a_snapshot_has_are_not_taken_for_rows_of_the_changelog(tmp_path: Path, capacity: int) -> None:
    cluster = filled(1, [(0, i % 3, PLAIN) for i in range(30)])
    options: dict[str, Any] = {**SLOWLY, "state": {"checkpoint_interval": 50, "snapshot_interval": 0.5}}
    idle = {**options, "delivery": {"until_end": False, "commit_interval": 0.05}}
    faults: dict[Any, Any] = {("poll", poll): lambda _: time.sleep(0.02) for poll in range(40, 100)}
    faults[("poll", 100)] = "crash"
    with storage(tmp_path, 0) as disk:
        assert not live(cluster, 1, Life(faults), idle, engine=Engine(model(), 64, disk.spill), storage=disk)
        assert disk.place.snapshot_path(0).exists()
    assert replay(cluster, 0) == 0, "the changelog has none of the rows"

    # One with the snapshot commits where the partition stands, and dies; then one without it comes.
    fill(cluster, 1, [(0, i % 5, PLAIN) for i in range(9)])
    with storage(tmp_path, 1) as disk:
        engine = Engine(model(), capacity, disk.spill)
        assert not live(cluster, 1, Life({("answer", 2): "crash"}), options, engine=engine, storage=disk)
    assert live(cluster, 1, Life(), SLOWLY)
    correct(cluster, 1)
