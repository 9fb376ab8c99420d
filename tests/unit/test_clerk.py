"""What is asked of a worker while its loop goes round: streams, lists, forecasts, events, resets."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.columns import Columns
from engine.model import Model
from engine.rows import Policy, Rows
from engine.step import Engine
from export.config import Config
from export.sample import random_file, random_model
from export.signature import Training
from stream import errands, inquiries
from stream.broker.placement import home
from stream.broker.port import Records
from stream.clerk import Clerk
from stream.codec import Codec
from stream.desk import Desk, Errand
from stream.errands import Errands
from stream.errors import Unavailable
from stream.formats import Json
from stream.group import Group
from stream.inquiries import Browse, Event, Find, Follow, Forecast, Inquiry, Overlooked, Overview, Reset, Wrong
from stream.lookback import Null
from stream.partitions import Partition, Phase
from stream.recent import Recent
from stream.state.changelog import Rules
from tests.service import meanwhile

NOW = 1_700_000_000.0  # seconds
PARTITIONS = 3


class Input:
    """The input, as it can be read again."""

    def __init__(self) -> None:
        self.events: dict[int, list[tuple[bytes, bytes | None, int]]] = {p: [] for p in range(PARTITIONS)}
        self.nulls: list[Null] = []
        self.away = False

    def read(self, partition: int, start: int, stop: int, within: float) -> Records:  # noqa: ARG002
        if self.away:
            raise Unavailable("the broker is away")
        some = list(enumerate(self.events[partition]))[start:stop]
        return Records(
            partition, [o for o, _ in some], [t for _, (_, _, t) in some], [k for _, (k, _, _) in some],
            [v for _, (_, v, _) in some],
        )  # fmt: skip

    def reset(self, nulls: list[Null], within: float) -> dict[int, int]:  # noqa: ARG002
        self.nulls += nulls
        return {null.partition: len(self.events[null.partition]) for null in nulls}

    def close(self) -> None:
        pass


class Shelf:
    """Rows of idle streams."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, bytes], Rows] = {}

    def look(self, partition: int, key: bytes) -> Rows | None:
        return self.rows.get((partition, key))


class World:
    """A worker's rooms, and a loop that does nothing but answer."""

    def __init__(self, model: Model, capacity: int = 64) -> None:
        self.engine, self.group, self.input, self.shelf = Engine(model, capacity), Group(), Input(), Shelf()
        self.recent = Recent(5)
        for number in range(PARTITIONS):
            self.phase(number, Phase.LIVE)
        self.desk = Desk()
        self.errands = Errands(self.engine, self.group, self.recent, self.shelf, lambda: NOW)
        self.clerk = Clerk(
            self.desk,
            self.errands,
            self.input,  # type: ignore[arg-type]
            model,
            lambda: Codec(Json(), model.signature, model.fingerprint, max_key_bytes=99, max_value_bytes=999),
            Json().decoder(dict),
            PARTITIONS,
            lambda since: Overlooked((), since, 0, ()),
            lambda: NOW,
        )

    def phase(self, number: int, phase: Phase) -> None:
        self.group.partitions[number] = Partition(number, Rules(None, 99, 999, "json"), 0.0, phase)

    def step(self, key: bytes, *values: float, partition: int | None = None, every: int = 1000) -> None:
        """Events of one stream are stepped and committed."""
        number = home(key, PARTITIONS) if partition is None else partition
        log = self.input.events[number]
        offset = np.arange(len(log), len(log) + len(values))
        times = offset * every
        x = np.array(values, np.float32)[:, None]
        log += [
            (key, msgspec.json.encode({"value": v, "ts": t}), t) for v, t in zip(values, times.tolist(), strict=True)
        ]
        columns = Columns([(number, 0, len(values))], [key] * len(values), offset, times, times, x, np.ones_like(x))
        outcome = self.engine.step(columns)
        self.recent.note(columns, outcome, {number: 0})
        self.engine.keep()
        self.recent.keep(NOW)
        self.last = outcome.predicted[-1]

    def reset(self, key: bytes, poison: Policy = "skip") -> None:
        """By a null record; freeze: by an event that cannot be read, which freezes it."""
        number = home(key, PARTITIONS)
        log = self.input.events[number]
        offset = np.array([len(log)])
        log.append((key, b"{" if poison == "freeze" else None, int(offset[0]) * 1000))
        bad = np.array([True]) if poison == "freeze" else None
        nothing = np.zeros((1, 1), np.float32)
        columns = Columns(
            [(number, 0, 1)], [key], offset, offset * 1000, offset * 1000, nothing, nothing, np.array([True]), bad
        )
        self.engine.step(columns, poison=poison)
        self.engine.keep()

    def turning(self) -> AbstractContextManager[None]:
        """The loop goes round meanwhile."""
        return meanwhile(lambda: self.desk.turn(0.004), 0.001)

    def ask(self, inquiry: Inquiry) -> Any:
        with self.turning():
            return self.clerk.answer(inquiry)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    random_model(path, hidden=8, scaling="stream", lags=(1, 2))
    return Model(path)


@pytest.fixture
def world(model: Model) -> World:
    return World(model)


def keys(listed: inquiries.Listed) -> list[bytes]:
    return [stream.key for stream in listed.streams]


def _run(errand: Errand[Any]) -> Any:
    """As the loop does, with all the time there is."""
    try:
        while True:
            next(errand)
    except StopIteration as done:
        return done.value


def test_a_stream_is_found_with_what_was_predicted_after_its_last_event_and_that_event(world: World) -> None:
    world.step(b"a", 1.0, 1.1, 4.5)
    where = home(b"a", PARTITIONS)

    found = world.ask(Find(b"a"))

    (stream,), (said,) = found.streams, found.said
    assert (found.home, found.here) == (where, True)
    assert (stream.partition, stream.step, stream.offset, stream.ts) == (where, 3, 2, 2000)
    assert stream.surprise is not None
    assert (
        np.float32([said["lower"], said["prediction"], said["upper"]]).tobytes() == world.last[0, [0, 2, 4]].tobytes()
    )
    assert found.events == ({"value": 4.5, "ts": 2000},)


def test_a_stream_that_nobody_knows_was_reset_or_lies_in_a_partition_that_is_not_live_is_not_found(
    world: World,
) -> None:
    world.step(b"a", 1.0)
    world.step(b"b", 1.0)
    world.reset(b"a")
    world.phase(home(b"b", PARTITIONS), Phase.RESTORING)
    assert world.ask(Find(b"a")).streams == world.ask(Find(b"new")).streams == ()
    found = world.ask(Find(b"b"))
    assert (found.streams, found.here) == ((), False)
    assert len(world.engine.slots) == 2  # to ask for a stream does not make one


def test_a_frozen_stream_is_told_as_such_with_the_event_that_froze_it_and_may_be_reset(world: World) -> None:
    world.step(b"a", 1.0)
    world.reset(b"a", poison="freeze")
    world.step(b"b", 1.0)
    found = world.ask(Find(b"a"))
    assert [(stream.frozen, stream.offset) for stream in found.streams] == [(True, 1)]
    assert found.said == ({},)
    assert {s.key: s.frozen for s in world.ask(Browse()).streams} == {b"a": True, b"b": False}
    wrong = world.ask(Forecast(b"a", 2, 10))
    assert (wrong.status, "frozen since offset 1 " in wrong.message) == (422, True)
    assert world.ask(Follow(b"a")).events == ()
    assert list(world.ask(Reset(b"a")).placed) == [home(b"a", PARTITIONS)]


def test_a_key_in_several_partitions_is_as_many_streams(world: World) -> None:
    elsewhere = (home(b"a", PARTITIONS) + 1) % PARTITIONS
    world.step(b"a", 1.0)
    world.step(b"a", 1.0, 2.0, partition=elsewhere)
    found = world.ask(Find(b"a"))
    assert {stream.partition: stream.step for stream in found.streams} == {home(b"a", PARTITIONS): 1, elsewhere: 2}
    assert len(found.said) == len(found.events) == 2


def test_a_stream_whose_row_rests_on_the_disk_is_found_there_and_stays_there(world: World) -> None:
    world.step(b"a", 1.0, 2.0)
    where = home(b"a", PARTITIONS)
    slot = world.engine.slots.find(where, [b"a"])
    world.shelf.rows[where, b"a"] = world.engine.rows(slot)
    world.engine.slots.forget(slot)
    found = world.ask(Find(b"a"))
    assert [stream.step for stream in found.streams] == [2]
    assert world.ask(Forecast(b"a", 2, 10)).streams == found.streams
    assert len(world.engine.slots) == 0


def test_an_event_that_cannot_be_had_is_none(world: World) -> None:
    world.step(b"a", 1.0)
    world.input.away = True
    assert world.ask(Find(b"a")).events == (None,)


@pytest.mark.parametrize("order", ["key", "recent"])
@pytest.mark.parametrize("slice", [1, 4, 1000])
def test_streams_are_listed_in_order_however_they_are_sliced(
    world: World, order: Any, slice: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errands, "SLICE", slice)
    random = np.random.default_rng(4)
    names = [b"%s-%02d" % (b"ab"[i % 2 : i % 2 + 1], i) for i in random.permutation(30)]
    for time_, name in enumerate(names):
        world.step(name, 1.0, partition=int(time_ % PARTITIONS), every=0)
        world.engine.bank.time[len(world.engine.slots) - 1] = time_
    world.step(b"a-00", 1.0, partition=(names.index(b"a-00") + 1) % PARTITIONS)  # the same key, another stream
    world.engine.bank.time[len(world.engine.slots) - 1] = 1000
    world.phase(2, Phase.LOADING)
    shown = [n for i, n in enumerate(names) if i % PARTITIONS != 2]
    twice = (names.index(b"a-00") + 1) % PARTITIONS != 2
    expected = [*shown, b"a-00"] if twice else shown
    expected = sorted(expected) if order == "key" else expected[::-1]

    everything = world.ask(Browse(b"", 100, order))
    assert (keys(everything), everything.more) == (expected, False)

    some = world.ask(Browse(b"a", 5, order))
    assert (keys(some), some.more) == ([key for key in expected if key.startswith(b"a")][:5], True)
    assert keys(world.ask(Browse(b"zz", 5, order))) == []


def test_streams_that_come_and_go_between_two_slices_do_no_harm(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "SLICE", 2)
    for i in range(10):
        world.step(b"%d" % i, 1.0, partition=0)
    scan = world.errands.browse(Browse(b"", 20))
    next(scan)
    world.engine.slots.forget(world.engine.slots.find(0, [b"0", b"1", b"8"]))  # seen, seen, not yet seen
    world.step(b"new", 1.0, partition=1)  # takes a slot that was seen or not
    streams, more = _run(scan)
    found = [stream.key for stream in streams]
    assert set(found) - {b"new"} == {b"%d" % i for i in range(10)} - {b"8"}
    assert not more


def test_the_most_surprising_streams_come_first_with_what_they_are_at_now(world: World) -> None:
    world.step(b"calm", *[1.0, 1.1] * 10)
    world.step(b"wild", *[1.0, 1.1] * 10, 500.0)
    world.step(b"wild", 1.0)
    listed = world.ask(Browse(b"", 2, "surprise"))
    assert keys(listed) == [b"wild", b"calm"]
    assert listed.streams[0].step == 22
    assert listed.streams[0].surprise is not None
    assert listed.streams[0].surprise > 3
    one = world.ask(Browse(b"", 1, "surprise"))
    assert (keys(one), one.more) == ([b"wild"], True)
    assert keys(world.ask(Browse(b"c", 2, "surprise"))) == [b"calm"]


def test_a_stream_is_followed_from_the_moment_that_it_is_asked_for_and_no_event_is_missed(world: World) -> None:
    world.step(b"a", 1.0, 2.0)
    before = world.last
    assert world.ask(Follow(b"a")).events == ()
    world.step(b"a", 3.0)
    then = world.last
    world.step(b"a", 4.0)

    told = world.ask(Follow(b"a")).events

    assert [(one.offset, one.step, one.actual) for one in told] == [(2, 3, {"value": 3.0}), (3, 4, {"value": 4.0})]
    assert isinstance(told[0], Event)
    expected = [np.float32(one.expected["prediction"]) for one in told if one.expected is not None]
    assert expected == [before[0, 2], then[0, 2]]
    assert np.float32(told[1].prediction["upper"]) == world.last[0, 4]
    assert [one.offset for one in world.ask(Follow(b"a", after=2)).events] == [3]
    nobody = world.ask(Follow(b"nobody"))
    assert (nobody.events, nobody.here) == ((), True)


def test_a_forecast_begins_with_what_was_predicted_and_changes_nothing(world: World) -> None:
    world.step(b"a", 1.0, 2.0, 4.0)
    everything = np.arange(4)
    before = world.engine.bank.copy(everything)
    made = world.ask(Forecast(b"a", 3, 50, seed=1))
    after = world.engine.bank.copy(everything)
    for column in ("rows", "offset", "time", "clock", "step"):
        assert getattr(before, column).tobytes() == getattr(after, column).tobytes()
    ((first, *later),) = made.steps
    assert np.float32(list(first["quantiles"].values())).tobytes() == world.last[0].tobytes()
    assert list(first["quantiles"]) == ["0.05", "0.25", "0.5", "0.75", "0.95"]
    assert len(later) == 2
    assert world.ask(Forecast(b"a", 3, 50, seed=1)) == made
    assert world.ask(Forecast(b"nobody", 3, 50)).steps == ()


def test_a_reset_goes_into_each_partition_that_has_the_stream_and_does_not_move_the_clock(world: World) -> None:
    elsewhere = (home(b"a", PARTITIONS) + 1) % PARTITIONS
    world.step(b"a", 1.0, 2.0)
    world.step(b"a", 1.0, partition=elsewhere)
    placed = world.ask(Reset(b"a"))
    assert placed.placed == {home(b"a", PARTITIONS): 2, elsewhere: 1}
    assert sorted((null.partition, null.timestamp) for null in world.input.nulls) == sorted(
        [(home(b"a", PARTITIONS), 1000), (elsewhere, 0)]
    )
    assert world.ask(Reset(b"nobody")).placed == {}


def test_the_interval_of_a_forecast_is_the_streams_own_or_else_that_of_the_training_part(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"first": "2024-01-01T00:00:00+00:00", "last": "2024-01-01T09:00:00+00:00"}
    random_file(
        tmp_path / "model.onnx",
        Config(hidden=4, calendar=("hour",)),
        training=Training(**facts, events=20, streams=2),
    )
    world = World(Model(tmp_path / "model.onnx"))
    world.step(b"once", 1.0)
    world.step(b"often", 1.0, 2.0, 3.0, every=60_000)
    intervals = []
    for key in (b"once", b"often"):
        (here,) = _run(world.errands.find(key))
        intervals.append(world.clerk._interval(here))
    assert intervals == [3_600_000, 60_000]


def test_an_overview_needs_no_loop_and_what_the_loop_does_not_answer_is_a_503(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.clerk.LOOP", 0.01)
    assert world.clerk.answer(Overview(5)) == Overlooked((), 5, 0, ())
    wrong = world.clerk.answer(Find(b"a"))
    assert isinstance(wrong, Wrong)
    assert (wrong.status, wrong.message.split(";")[0]) == (503, "the loop gave no answer within 0.01 s")


@pytest.mark.usefixtures("silence")
def test_a_fault_of_ours_is_told_in_one_line(world: World) -> None:
    def broken(_: int) -> Overlooked:
        raise ZeroDivisionError

    world.clerk._glance = broken
    assert world.clerk.answer(Overview()) == Wrong(500, "this failed; the log says why")


def test_where_producers_place_a_key() -> None:
    # As org.apache.kafka.common.utils.Utils.murmur2 has it in Kafka's own tests
    assert [home(key, 2**31) for key in (b"21", b"foobar", b"abc")] == [
        hash_ & 0x7FFFFFFF for hash_ in (-973932308, -790332482, 479470107)
    ]
