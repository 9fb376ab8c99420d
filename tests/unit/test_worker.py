"""The loop against a broker in memory: whatever fails, and wherever it is killed, the outputs are those of one run."""

import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engine.model import Model
from engine.step import Engine
from export.sample import random_model
from stream.assembly import Storage, assemble
from stream.broker.admin import TopicInfo
from stream.broker.port import Identity
from stream.codec import Codec
from stream.errors import EnvironmentFault, SinkFailed
from stream.link import Access
from stream.settings import Settings
from stream.state.files import StateDir
from stream.state.questions import Answer
from stream.state.spill import Spill
from stream.topics import Layout
from stream.worker import Worker
from tests.memory import Cluster, Crash, Memory


@cache
def model() -> Model:
    path = Path(mkdtemp()) / "model.onnx"
    random_model(path, hidden=4, scaling="stream", lags=(1, 2))
    return Model(path)


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Thousands of lives have much to say."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


class AtOnce:
    """Questions that are answered while they are asked."""

    def ask(self, call: Callable[[], Any]) -> Answer[Any]:
        answer: Answer[Any] = Answer(there=True)
        try:
            answer.value = call()
        except Exception as error:
            answer.error = error
        return answer


@dataclass
class Quiet:
    """Topics and a group that stay as they are."""

    layout: Layout

    def topic(self, name: str) -> TopicInfo:
        return self.layout.input if name == "in" else self.layout.changelog

    def unowned(self, *_: Any) -> set[int]:
        return set()


@dataclass
class Life:
    """How one process lives: what it is told, and what happens to it."""

    faults: dict[int, str] = field(default_factory=dict)  # the n-th step at which something goes wrong -> what
    steps: int = 0
    compaction: bool = False

    def fault(self, memory: Memory, name: str) -> None:
        self.steps += 1
        what = self.faults.get(self.steps)
        source = memory.the_source
        if what == "crash":
            raise Crash
        if what == "fail" and name in ("send", "flush", "offsets", "commit", "answer"):
            raise SinkFailed(f"the broker fell over at {name}")
        if what in ("revoked", "lost") and name == "poll" and source is not None and source.at:
            some = sorted(source.at)[: max(1, len(source.at) // 2)]
            source.rebalance(what, some)
            source.rebalance("assigned", some)
        if what == "compact":
            memory.cluster.compact("state")


def worker(
    memory: Memory,
    options: dict[str, dict[str, Any]],
    engine: Engine | None = None,
    storage: Storage | None = None,
) -> Worker:
    sections = {"kafka": {"input_topic": "in", "output_topic": "out"}, "delivery": {"until_end": True}}
    for section, values in options.items():
        sections[section] = {**sections.get(section, {}), **values}
    told = Settings(**sections)
    layout = Layout(
        TopicInfo("in", memory.partitions, 1, "id", {}),
        TopicInfo("state", memory.partitions, 1, "id2", {"delete.retention.ms": "86400000"}),
        1_000_000,
    )
    access = Access(
        memory, Identity("", "app", "app-a", {}), "in", "state", 1 << 18,
        exactly_once=told.delivery.delivery == "exactly_once", session_timeout=10, broker_timeout=1e9,
    )  # fmt: skip
    ticks = itertools.count()
    return assemble(
        told, access, layout, engine or Engine(model(), 64), storage,
        Quiet(layout),
        stopping=lambda: False, clock=lambda: next(ticks) * 0.01, questions=AtOnce(),  # type: ignore[arg-type]
    )  # fmt: skip


def live(cluster: Cluster, partitions: int, life: Life, options: dict[str, dict[str, Any]], **more: Any) -> bool:
    """One process from its start to its end. Whether it ended by itself."""
    memory = Memory(cluster, partitions)
    memory.fault = lambda name: life.fault(memory, name)
    memory.most = options.pop("most", 7)  # type: ignore[arg-type]
    try:
        worker(memory, options, **more).run()
    except Crash:
        return False
    return True


def told(cluster: Cluster, partition: int) -> list[tuple[int, bytes]]:
    """(input offset, prediction) that a read_committed reader finds."""
    return [(msgspec.json.decode(e.value or b"")["offset"], e.value or b"") for e in cluster.seen("out", partition)]


def expected(cluster: Cluster, partition: int, ttl: int | None = None) -> list[tuple[int, bytes]]:
    """The same, by the engine alone, one event at a time."""
    from stream.broker.port import Records

    codec = Codec(model().signature, model().fingerprint, max_key_bytes=4096, max_value_bytes=1000)
    engine = Engine(model(), 64)
    found = []
    for offset, entry in enumerate(cluster.logs["in", partition]):
        if entry.state == "committed":
            decoded = codec.decode([Records(partition, [offset], [entry.timestamp], [entry.key], [entry.value])])
            outcome = engine.step(decoded.columns, ttl)
            engine.keep()
            found += [(offset, text) for text in codec.encode(decoded.columns, outcome, 0, len(decoded.columns))[1]]
    return found


def filled(partitions: int, events: list[tuple[int, int, int]]) -> Cluster:
    """A cluster with these events, (partition, stream, kind)."""
    cluster = Cluster()
    fill(cluster, partitions, events)
    return cluster


def fill(cluster: Cluster, partitions: int, events: list[tuple[int, int, int]]) -> None:
    first = sum(len(log) for (topic, _), log in cluster.logs.items() if topic == "in")
    for i, (partition, stream, kind) in enumerate(events, first):
        value: bytes | None = b'{"value": %d}' % (i * 37 % 101)
        if kind == 1:
            value = None  # a reset
        elif kind == 2:
            value = b"no event"
        elif kind == 3:
            value = b'{"value": null}'
        cluster.produce("in", partition % partitions, b"stream-%d" % stream, value, 1000 * i)


def numbers(count: int) -> Iterator[tuple[int, int, int]]:
    for i in range(count):
        yield i % 2, i % 5, 1 if i % 23 == 22 else 0


EXAMPLES = int(os.environ.get("STATECAST_CRASH_EXAMPLES", "100"))  # of 8 lives each

one_life = st.builds(
    lambda crash, others: Life({**others, crash: "crash"}),
    st.integers(4, 90),
    st.dictionaries(st.integers(4, 60), st.sampled_from(["fail", "revoked", "lost", "compact"]), max_size=3),
)
kinds = st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2, 3])
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
)
def test_any_interleaving_of_batches_commits_checkpoints_failures_crashes_and_restores_gives_one_runs_outputs(
    delivery: str,
    lives: list[tuple[list[tuple[int, int, int]], Life]],
    most: int,
    ttl: float | None,
    interval: float,
    checkpoint: int,
    disk: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    partitions = 3
    cluster = Cluster()
    directory = tmp_path_factory.mktemp("state")
    options: dict[str, Any] = {
        "delivery": {"delivery": delivery, "commit_interval": interval, "batch": 16},
        "state": {"checkpoint_interval": checkpoint * interval, "state_ttl": ttl, "snapshot_interval": 0.3},
    }
    for events, life in [*lives, ([], Life())]:
        fill(cluster, partitions, events)
        with contextlib.ExitStack() as stack:
            storage = None
            if disk:
                place = stack.enter_context(StateDir(directory, "app", "fingerprint", "app-a"))
                spill = stack.enter_context(
                    contextlib.closing(Spill(tmp_path_factory.mktemp("spill"), model().row_width))
                )
                storage = Storage(place, spill)
            # With a disk there is room for so few streams that rows must come and go.
            engine = Engine(model(), 20, storage.spill) if storage else Engine(model(), 64)
            told_what = {**options, "most": most}
            live(cluster, partitions, Life(dict(life.faults)), told_what, engine=engine, storage=storage)

    for partition in range(partitions):
        seen, wanted = told(cluster, partition), expected(cluster, partition, None if ttl is None else int(ttl * 1000))
        if delivery == "exactly_once":
            assert seen == wanted
        else:
            first: dict[int, bytes] = {}
            for offset, text in seen:
                assert first.setdefault(offset, text) == text  # a duplicate has the first one's bits
            assert sorted(first.items()) == wanted


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


def test_a_new_application_that_starts_at_the_end_predicts_only_what_comes_then() -> None:
    cluster = filled(1, [(0, i % 3, 0) for i in range(30)])
    latest: dict[str, Any] = {"state": {"start": "latest"}}
    live(cluster, 1, Life(), dict(latest))
    assert cluster.committed == {0: 30}
    cluster.produce("in", 0, b"stream-0", b'{"value": 1}', 31_000)
    live(cluster, 1, Life(), dict(latest))
    assert [(offset, msgspec.json.decode(text)["step"]) for offset, text in told(cluster, 0)] == [(30, 1)]


def test_rows_are_written_once_they_wait_although_no_event_comes_and_a_restart_then_steps_nothing_again() -> None:
    cluster = filled(1, [(0, i % 3, 0) for i in range(30)])
    live(cluster, 1, Life(), {})
    life = Life()
    live(cluster, 1, life, {})
    marker = [e for e in cluster.seen("state", 0) if e.key == b"m"][-1]
    assert msgspec.json.decode(marker.value or b"")["replay"] == 30


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
            live(again, 1, Life(dict(faults)), {"state": {"state_ttl": 1.5}, "most": 3})
        steps = [msgspec.json.decode(text)["step"] for _, text in told(again, 0)]
        before = [i // 2 + 1 for i in range(boundary)]
        assert steps[:boundary] == before
        # Each stream's events are 2 s apart: all that come after the change start cold.
        assert steps[boundary:] == [1] * (30 - boundary), f"killed at step {step}"
