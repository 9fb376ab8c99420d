"""Rows on a device give the bits of rows in memory, whatever happens to them. The device here is the processor."""

import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import banked
from engine.banked import BankedModel
from engine.columns import Columns, Outcome
from engine.device import CPU
from engine.model import Model
from engine.rows import Rows
from engine.step import Engine
from export.config import Config
from export.sample import random_file
from tests.fragile import fragile_model

SHAPES = {
    "fixed": {"scaling": "fixed", "hidden": 16},
    "stream with lags": {"scaling": "stream", "hidden": 16, "lags": (1, 2, 24)},
    "three features, two layers, experts": {
        "features": 3,
        "hidden": 8,
        "layers": 2,
        "scaling": "stream",
        "lags": (2, 5),
        "experts": 3,
    },
}
ROOM = 8  # streams, as many as there are

# One event: partition, stream, value (None is missing; below -1000 is refused), reset, milliseconds since the last.
events = st.tuples(
    st.integers(0, 1),
    st.integers(0, 3),
    st.none() | st.floats(-1e3, 1e4, width=32) | st.just(-5000.0),
    st.sampled_from([False] * 9 + [True]),
    st.integers(0, 30),
)
# A batch is followed by what becomes of it, and of the rows.
batches = st.lists(
    st.tuples(st.lists(events, min_size=1, max_size=40), st.sampled_from(["keep", "again", "move", "drop", "rest"])),
    min_size=1,
    max_size=8,
)


class Attic:
    """Rows at rest, in a dict."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, bytes], Rows] = {}

    def put(self, partition: int, rows: Rows) -> None:
        self.rows.update({(partition, row.keys[0]): row for row in rows.pieces(1)})

    def take(self, partition: int, keys: list[bytes]) -> tuple[list[int], Rows]:
        found = [i for i, key in enumerate(keys) if (partition, key) in self.rows]
        return found, joined([self.rows.pop((partition, keys[i])) for i in found])

    def count(self, partition: int) -> int:
        return sum(number == partition for number, _ in self.rows)

    def drop(self, partition: int) -> None:
        self.rows = {place: row for place, row in self.rows.items() if place[0] != partition}


def joined(parts: list[Rows]) -> Rows:
    keys = [key for part in parts for key in part.keys]
    columns = ("offset", "time", "clock", "step", "state")
    return Rows(keys, *(np.concatenate([getattr(part, name) for part in parts]) for name in columns)) if parts else NONE


NONE = Rows([], *(np.empty(0, np.int64) for _ in range(4)), np.empty((0, 0), np.float32))


class Told:
    """One engine, what it says and what it holds."""

    def __init__(self, model: Model | BankedModel) -> None:
        self.attic = Attic()
        self.engine = Engine(model, ROOM, self.attic)
        self.features = len(model.signature.features)

    def columns(self, batch: list[tuple[int, int, float | None, bool, int]], first: int) -> Columns:
        batch = sorted(batch, key=lambda event: event[0])
        split = sum(event[0] == 0 for event in batch)
        values = np.array([[event[2]] * self.features for event in batch], np.float32)
        numbers = np.arange(first, first + len(batch))
        return Columns(
            runs=[(0, 0, split), (1, split, len(batch))],
            keys=[b"stream %d" % event[1] for event in batch],
            offset=numbers,
            time=numbers * 1000,
            timestamp=first * 10 + np.cumsum([event[4] for event in batch]),
            x=np.nan_to_num(values, nan=0),
            mask=(~np.isnan(values)).astype(np.float32),
            reset=np.array([event[3] for event in batch]),
        )

    def live(self, batch: list[tuple[int, int, float | None, bool, int]], then: str, first: int) -> list[object]:
        """Step a batch, then do with the rows what is said. Everything that was told."""
        columns, engine = self.columns(batch, first), self.engine
        outcome = engine.step(columns, ttl=100)
        said = self.said(outcome)
        if then == "again":
            engine.put_back()
            said += self.held()
            said += self.said(engine.step(columns, ttl=100))
        engine.keep()
        here = engine.slots.of(1)
        if then == "move":  # to another owner and back, older rows last, the newest of each twice
            rows = engine.rows(here)
            old = Rows(rows.keys, rows.offset - 1, rows.time, rows.clock, rows.step, rows.state + 1)
            engine.drop(1)
            engine.load(1, joined([rows, rows, old]) if len(rows) else rows)
            engine.load(1, old)
        elif then == "drop":
            engine.drop(1)
        elif then == "rest" and len(here):
            some = here[::2]
            self.attic.put(1, engine.rows(some))
            engine.slots.forget(some)
        return said + self.held()

    def said(self, outcome: Outcome) -> list[object]:
        stepped = outcome.stepped
        columns = (outcome.step, outcome.predicted[stepped], outcome.surprise[stepped], stepped)
        return [sorted(outcome.refused.items()), *(column.tobytes() for column in columns)]

    def held(self) -> list[object]:
        """Every stream's row, here and in the attic."""
        taken = self.engine.slots.taken()
        rows = self.engine.rows(taken)
        columns = (rows.offset, rows.time, rows.clock, rows.step, rows.state)
        resting = [(place, row.state.tobytes()) for place, row in self.attic.rows.items()]
        return [taken.tolist(), rows.keys, *(column.tobytes() for column in columns), resting]


@pytest.fixture(scope="module", params=SHAPES)
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, BankedModel]:
    path: Path = fragile_model(tmp_path_factory.mktemp("model") / "model.onnx", **SHAPES[request.param])
    return Model(path), BankedModel(path, CPU)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(lives=batches)
def test_rows_on_a_device_give_the_bits_of_rows_in_memory(
    models: tuple[Model, BankedModel], lives: list[tuple[list[tuple[int, int, float | None, bool, int]], str]]
) -> None:
    plain, on_device = Told(models[0]), Told(models[1])
    first = 0
    for batch, then in lives:
        assert on_device.live(batch, then, first) == plain.live(batch, then, first)
        first += len(batch)


def test_more_rows_than_are_copied_at_once_are_copied_whole(
    models: tuple[Model, BankedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banked, "AT_ONCE", 7)
    count, width = 40, models[1].row_width
    state = np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)
    numbers = np.arange(count)
    engine = Engine(models[1], count)

    engine.load(0, Rows([b"%d" % i for i in range(count)], numbers, numbers, numbers, numbers + 1, state))

    rows = engine.rows(engine.slots.of(0)[::-1])
    assert rows.keys == [b"%d" % i for i in reversed(range(count))]
    np.testing.assert_array_equal(rows.state, state[::-1])


def test_symbols_are_stepped_on_a_device_as_in_memory(tmp_path: Path) -> None:
    config = Config(("symbol",), ("symbol",), 8, task="symbol", outcomes=9, embedding=3, since_last=True)
    random_file(tmp_path / "model.onnx", config, symbols=("", *"abcdefgh"))
    one, other = (Told(made) for made in (Model(tmp_path / "model.onnx"), BankedModel(tmp_path / "model.onnx", CPU)))
    random = np.random.default_rng(0)
    for first in range(0, 120, 40):
        batch = [(0, int(random.integers(4)), random.choice([None, 1.0, 5.0]), i % 13 == 5, 10) for i in range(40)]
        assert one.live(batch, "again", first) == other.live(batch, "again", first)


def test_a_step_touches_no_more_of_a_bank_than_its_rows(models: tuple[Model, BankedModel]) -> None:
    # A gigabyte that nobody has touched takes no memory; a copy of the bank, be it onto itself, would take it all.
    capacity = 2**30 // (4 * models[1].row_width)
    bank = models[1].bank(capacity)
    before = resident()
    x = np.ones((2, 3, models[1].columns), np.float32)

    bank.run(np.array([5, 7, capacity - 1]), False, x, x)
    bank.clear(np.array([7]))
    bank.put_back()
    bank.run(np.array([5, 7]), False, x[:, :2], x[:, :2])

    assert resident() - before < 2**26
    assert np.flatnonzero(bank.copy(np.array([4, 5, 6, 7, capacity - 1])).rows.any(axis=1)).tolist() == [1, 3]


def resident() -> int:
    """Bytes of memory that this process takes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
