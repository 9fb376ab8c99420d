"""The loop against a broker in memory: whatever fails, and wherever it is killed, the outputs are those of one run."""

import contextlib
import itertools
import os
from collections.abc import Callable
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engine.model import Network
from engine.step import Engine
from stream.assembly import Storage
from stream.errors import EnvironmentFault
from stream.pending import LAST_ROWS
from stream.state.files import StateDir
from stream.state.spill import Spill
from tests.lives import (
    MISSING,
    NO_EVENT,
    PLAIN,
    POISON,
    RESET,
    Event,
    Life,
    Visit,
    alone,
    banked_model,
    correct,
    expected,
    fill,
    filled,
    letters,
    live,
    model,
    numbers,
    replay,
    same,
    ticking,
    told,
)
from tests.memory import Cluster

pytestmark = pytest.mark.usefixtures("silence")

EXAMPLES = int(os.environ.get("STATECAST_CRASH_EXAMPLES", "40"))  # of 8 lives each

visits = st.builds(
    Visit,
    what=st.sampled_from(["revoked", "lost"]),
    share=st.integers(1, 3),
    heard=st.integers(0, 3),
    back=st.integers(0, 5),
    turns=st.sampled_from([5, 20, 150, 150]),
    faults=st.dictionaries(st.integers(4, 60), st.sampled_from(["crash", "fail", "fenced", "away"]), max_size=1).map(
        lambda faults: tuple(faults.items())
    ),
)
mishaps = st.sampled_from(["fail", "fail", "revoked", "lost", "both", "compact", "fenced", "away", "taken"])
one_life = st.builds(
    lambda crash, others, delays, tells: Life({**others, crash: "crash"}, delays, tells),
    st.integers(4, 120),
    st.dictionaries(st.integers(4, 90), st.one_of(mishaps, visits), max_size=5),
    st.sampled_from([(), (1,), (3, 0), (0, 8), (2, 5, 0, 0)]),
    st.booleans(),
)
kinds = st.sampled_from([PLAIN] * 8 + [RESET, NO_EVENT, MISSING, POISON])
some_events = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), kinds), min_size=25, max_size=50)


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(
    lives=st.lists(st.tuples(some_events, one_life), min_size=8, max_size=8),
    most=st.integers(1, 12),
    ttl=st.sampled_from([None, 20.0, 5.0]),
    interval=st.sampled_from([0.01, 0.05, 0.3]),
    checkpoint=st.sampled_from([1, 5, 50]),
    disk=st.booleans(),
    room=st.sampled_from([64, 64, 12]),
    networks=st.sampled_from([(model,), (model, banked_model), (banked_model,)]),  # of one process after the other
    poison=st.sampled_from(["skip", "freeze", "reset"]),
)
def test_any_interleaving_of_batches_commits_failures_crashes_restores_and_other_owners_gives_one_runs_outputs(
    delivery: str,
    lives: list[tuple[list[Event], Life]],
    most: int,
    ttl: float | None,
    interval: float,
    checkpoint: int,
    disk: bool,
    room: int,
    networks: tuple[Callable[[], Network], ...],
    poison: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    partitions = 3
    cluster = Cluster()
    directory = tmp_path_factory.mktemp("state")
    options: dict[str, Any] = {
        "delivery": {"delivery": delivery, "commit_interval": interval, "batch": 16},
        "state": {
            "checkpoint_interval": checkpoint * interval,
            "state_ttl": ttl,
            "snapshot_interval": 0.3,
            "poison_policy": poison,
        },
        "most": most,
    }
    for (events, life), network in zip([*lives, ([], Life())], itertools.cycle(networks), strict=False):
        fill(cluster, partitions, events)
        with contextlib.ExitStack() as stack:
            storage = None
            if disk:
                place = stack.enter_context(StateDir(directory, "app", "fingerprint", "app-a"))
                spill = stack.enter_context(
                    contextlib.closing(Spill(tmp_path_factory.mktemp("spill"), model().row_width))
                )
                storage = Storage(place, spill)
            # With a disk there is room for so few streams that rows must come and go. Without one it may be that all
            # there is to do is to wait, until the last life.
            capacity = 20 if disk else room if life.faults else 64
            engine = Engine(network(), capacity, storage.spill if storage else None)
            again = Life(dict(life.faults), life.delays, life.tells_generations)
            live(cluster, partitions, again, options, engine=engine, storage=storage)

    assert cluster.misdeeds == []
    for partition in range(partitions):
        wanted, refused = alone(cluster, partition, None if ttl is None else int(ttl * 1000), poison)
        seen, buried = told(cluster, partition), letters(cluster, partition)
        if delivery == "exactly_once":
            assert seen == wanted
            assert sorted(buried) == refused
        else:
            first: dict[int, bytes] = {}
            for offset, text in seen:
                assert first.setdefault(offset, text) == text  # a duplicate has the first one's bits
            assert sorted(first.items()) == wanted
            assert sorted(set(buried)) == refused


def test_a_commit_whose_answer_is_lost_is_looked_up_and_kept() -> None:
    cluster = filled(2, list(numbers(40)))
    for step in range(1, 60):
        again = Cluster()
        again.logs.update({place: list(log) for place, log in cluster.logs.items()})
        assert live(again, 2, Life({step: "fail"}), {"delivery": {"commit_interval": 0.05}})
        for partition in range(2):
            assert told(again, partition) == expected(again, partition), f"failure at step {step}"


def test_a_new_model_is_refused_without_a_warm_up_and_nothing_is_written() -> None:
    cluster = filled(2, list(numbers(40)))
    live(cluster, 2, Life(), {})
    del cluster.logs["state", 0], cluster.logs["state", 1]
    with pytest.raises(EnvironmentFault, match="--warmup"):
        live(cluster, 2, Life(), {})
    assert not cluster.logs["state", 0]


@pytest.mark.parametrize("step", [None, 3, 5, 8, 12, 20])
def test_a_warm_up_steps_its_stretch_silently_from_the_same_beginning_whatever_happens(step: int | None) -> None:
    cluster = filled(1, [(0, i % 3, 0) for i in range(60)])
    live(cluster, 1, Life(), {})
    cluster.logs["state", 0].clear()
    before = told(cluster, 0)
    for i in range(60, 80):
        cluster.produce("in", 0, b"stream-%d" % (i % 3), b'{"value": %d}' % i, 1000 * i)

    warm: dict[str, Any] = {"state": {"warmup": 20.0}}
    if step is not None:
        live(cluster, 1, Life({step: "crash"}), dict(warm))
    live(cluster, 1, Life(), dict(warm))

    stretch = Cluster()
    stretch.logs["in", 0] = cluster.logs["in", 0][39:]  # 20 s before the last record that was committed
    straight = [msgspec.json.decode(text) for _, text in expected(stretch, 0)][21:]
    found = [msgspec.json.decode(text) for _, text in told(cluster, 0)[len(before) :]]
    assert [{**one, "offset": one["offset"] + 39} for one in straight] == found


def test_a_warm_up_that_is_longer_than_time_begins_with_the_first_event() -> None:
    cluster = filled(1, [(0, i % 3, PLAIN) for i in range(30)])
    live(cluster, 1, Life(), {})
    cluster.logs["state", 0].clear()
    fill(cluster, 1, [(0, i % 3, PLAIN) for i in range(5)])
    live(cluster, 1, Life(), {"state": {"warmup": 1e9}})
    assert told(cluster, 0) == expected(cluster, 0)


def test_a_new_application_that_starts_at_the_end_predicts_only_what_comes_then() -> None:
    cluster = filled(1, [(0, i % 3, 0) for i in range(30)])
    latest: dict[str, Any] = {"state": {"start": "latest"}}
    live(cluster, 1, Life(), dict(latest))
    assert cluster.committed == {0: 30}
    cluster.produce("in", 0, b"stream-0", b'{"value": 1}', 31_000)
    live(cluster, 1, Life(), dict(latest))
    assert [(offset, msgspec.json.decode(text)["step"]) for offset, text in told(cluster, 0)] == [(30, 1)]


def test_rows_are_written_once_they_wait_although_no_event_comes_and_a_restart_then_steps_nothing_again() -> None:
    cluster = filled(1, [(0, i % 3, PLAIN) for i in range(30)])
    idle: dict[str, Any] = {"delivery": {"until_end": False}}
    life, found = Life(), []

    def stopping() -> bool:
        # Before the stop: that would write everything in any case.
        if life.counts["poll"] == 800:
            found.append(replay(cluster, 0))
        return life.counts["poll"] >= 800

    assert live(cluster, 1, life, idle, stopping=stopping)
    assert found[0] == 30

    engine = Engine(model(), 64)
    with mock.patch.object(engine, "step", side_effect=engine.step) as stepped:
        live(cluster, 1, Life(), {}, engine=engine)
    assert not stepped.called


def test_rows_in_an_open_transaction_are_committed_although_no_event_comes() -> None:
    cluster = filled(1, [(0, i, PLAIN) for i in range(120)])
    # So many rows that the first are due at once, long before the others have waited long enough.
    idle: dict[str, Any] = {
        "delivery": {"until_end": False, "commit_interval": 0.5},
        "state": {"checkpoint_interval": 50},
        "most": 60,
    }
    life = Life()
    assert live(cluster, 1, life, idle, engine=Engine(model(), 200), stopping=lambda: life.counts["poll"] >= 500)
    assert cluster.epochs["app-a"] == 1, "its transaction was open for so long that the broker aborted it"


def test_a_stop_while_the_broker_is_away_is_a_stop() -> None:
    cluster = filled(1, [(0, i % 3, PLAIN) for i in range(30)])
    for away in (3, 6, 9):
        again = same(cluster)
        life = Life({("poll", poll): "away" for poll in range(away, 100)})
        assert live(again, 1, life, {}, stopping=lambda life=life, away=away: life.counts["poll"] >= away)
        live(again, 1, Life(), {})
        correct(again, 1)


def test_a_stop_beside_a_partition_that_is_restored_does_not_wait_for_it() -> None:
    cluster = filled(2, [(0, i, PLAIN) for i in range(3)] + [(1, i % 9, PLAIN) for i in range(60)])
    slowly: dict[str, Any] = {"state": {"checkpoint_interval": 50}, "delivery": {"commit_interval": 0.05}, "most": 2}
    live(cluster, 2, Life({("commit", 12): "crash"}), slowly)
    assert cluster.committed[1] > 20
    assert replay(cluster, 1) == 0
    for poll in range(8, 20):
        again, clock, life, stopped = same(cluster), ticking(), Life(), list[float]()

        def stopping(poll: int = poll, life: Life = life, stopped: list[float] = stopped) -> bool:
            if life.counts["poll"] >= poll:
                stopped.append(clock())  # noqa: B023
            return bool(stopped)

        live(again, 2, life, slowly, stopping=stopping, clock=clock)
        assert clock() - stopped[0] < LAST_ROWS / 2


def test_evicted_and_reset_streams_leave_a_tombstone_and_no_row() -> None:
    cluster = filled(1, [(0, 0, 0), (0, 1, 0), (0, 1, 1), *((0, 2, 0) for _ in range(60))])
    for _ in range(4):
        live(cluster, 1, Life(), {"state": {"state_ttl": 20.0, "checkpoint_interval": 0.02}})
        cluster.produce("in", 0, b"stream-2", b'{"value": 1}', 100_000)
    newest = {e.key: e.value for e in cluster.seen("state", 0)}
    assert newest[b"rstream-0"] is None
    assert newest[b"rstream-1"] is None
    assert newest[b"rstream-2"] is not None


def test_a_changed_time_to_live_holds_from_the_committed_offset_on_and_not_before() -> None:
    cluster = filled(1, [(0, i % 2, 0) for i in range(30)])
    for step in range(5, 40, 3):
        again = Cluster()
        again.logs["in", 0] = list(cluster.logs["in", 0])
        live(again, 1, Life({25: "crash"}), {"delivery": {"commit_interval": 0.05}, "most": 3})
        boundary = again.committed.get(0, 0)
        for faults in ({step: "crash"}, {}):
            live(again, 1, Life(faults), {"state": {"state_ttl": 1.5}, "most": 3})
        steps = [msgspec.json.decode(text)["step"] for _, text in told(again, 0)]
        before = [i // 2 + 1 for i in range(boundary)]
        assert steps[:boundary] == before
        # Each stream's events are 2 s apart: all that come after the change start cold.
        assert steps[boundary:] == [1] * (30 - boundary), f"killed at step {step}"
