"""Streams are stepped: same bits however the events are batched, refusals harm nobody, resets are cold starts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.columns import Columns, Outcome, concatenate
from engine.model import Model
from engine.replay import cut, replay
from engine.step import Engine
from export.config import Config
from export.sample import random_file, random_model
from tests.fragile import fragile_model


@pytest.fixture(scope="module", params=["fixed", "stream"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    random_model(path, hidden=8, scaling=request.param, lags=(1, 2, 5))
    return Model(path)


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(fragile_model(tmp_path_factory.mktemp("model") / "model.onnx", hidden=4, scaling="stream"))


def events(
    streams: list[int],
    values: list[float | None],
    reset: list[bool] | None = None,
    timestamp: list[int] | None = None,
) -> Columns:
    numbers = np.array(values, np.float32).reshape(-1, 1)
    there = ~np.isnan(numbers)
    return Columns(
        runs=[(0, 0, len(streams))],
        keys=[b"stream %d" % stream for stream in streams],
        offset=np.arange(len(streams), dtype=np.int64),
        time=np.arange(len(streams), dtype=np.int64) * 1000,
        timestamp=np.array(timestamp or range(len(streams)), np.int64),
        x=np.where(there, numbers, 0).astype(np.float32),
        mask=there.astype(np.float32),
        reset=None if reset is None else np.array(reset),
    )


def told(parts: list[tuple[Columns, Outcome]]) -> list[tuple[bytes, ...]]:
    """Everything that was said of each event, as bytes."""
    return [
        (o.step[i].tobytes(), o.predicted[i].tobytes(), o.surprise[i].tobytes()) if o.stepped[i] else (b"refused",)
        for c, o in parts
        for i in range(len(c))
    ]


moves = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.one_of(st.none(), st.floats(-1e4, 1e4, width=32), st.just(3e38)),
        st.sampled_from([False] * 9 + [True]),
    ),
    min_size=1,
    max_size=60,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(moves=moves, batch=st.integers(2, 60))
def test_any_batching_gives_the_bits_of_one_event_at_a_time(
    model: Model, moves: list[tuple[int, float | None, bool]], batch: int
) -> None:
    columns = events([m[0] for m in moves], [m[1] for m in moves], [m[2] for m in moves])  # type: ignore[arg-type]
    singly = told(list(replay(model, columns, batch=1, streams=6)))
    assert told(list(replay(model, columns, batch=batch, streams=6))) == singly


def test_a_prediction_put_back_and_made_again_is_the_same(model: Model) -> None:
    columns = events([0, 1, 0, 1, 2], [1.0, 2.0, 3.0, None, 5.0])  # type: ignore[list-item]
    engine = Engine(model, 10)
    engine.step(cut(columns, 0, 2))
    engine.keep()
    first = engine.step(cut(columns, 2, 5))
    engine.put_back()
    second = engine.step(cut(columns, 2, 5))
    assert told([(cut(columns, 2, 5), first)]) == told([(cut(columns, 2, 5), second)])


def test_a_refused_event_leaves_its_stream_as_if_it_had_never_come(fragile: Model) -> None:
    engine = Engine(fragile, 10)
    outcome = engine.step(events([0, 1, 0, 0], [1.0, 2.0, -7700.0, 4.0]))
    clean = Engine(fragile, 10).step(events([0, 1, 0], [1.0, 2.0, 4.0]))

    assert list(outcome.refused) == [2]
    assert "-7700" in outcome.refused[2]
    assert outcome.stepped.tolist() == [True, True, False, True]
    assert outcome.step[3] == 2
    np.testing.assert_array_equal(outcome.predicted[[0, 1, 3]], clean.predicted)
    assert np.isfinite(engine.rows(engine.slots.taken()).state).all()


def test_a_reset_starts_its_stream_cold_and_touches_no_other(model: Model) -> None:
    with_reset = Engine(model, 10).step(
        events([0, 1, 0, 0, 1], [1.0, 2.0, None, 3.0, 4.0], [False, False, True, False, False])  # type: ignore[list-item]
    )
    alone = Engine(model, 10).step(events([0], [3.0]))
    assert with_reset.step.tolist() == [1, 1, 0, 1, 2]
    np.testing.assert_array_equal(with_reset.predicted[3], alone.predicted[0])


def test_surprise_is_null_on_the_first_event_and_on_a_missing_value(model: Model) -> None:
    outcome = Engine(model, 10).step(events([0, 0, 0, 1], [1.0, None, 2.0, 1.0]))  # type: ignore[list-item]
    assert np.isnan(outcome.surprise[:, 0]).tolist() == [True, True, False, True]
    assert np.isfinite(outcome.predicted).all()


def test_concatenated_columns_keep_partitions_apart(model: Model) -> None:
    one, other = events([0, 0], [1.0, 2.0]), events([0], [9.0])
    other.runs = [(1, 0, 1)]
    outcome = Engine(model, 10).step(concatenate([one, other]))
    assert outcome.step.tolist() == [1, 2, 1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(moves=moves, gaps=st.lists(st.integers(-5, 30), min_size=60, max_size=60), batch=st.integers(2, 60))
def test_the_time_to_live_resets_and_refusals_are_the_same_for_any_batching(
    fragile: Model, moves: list[tuple[int, float | None, bool]], gaps: list[int], batch: int
) -> None:
    when = np.maximum(np.cumsum(gaps[: len(moves)]) + 5, 0).tolist()
    columns = events([m[0] for m in moves], [m[1] for m in moves], [m[2] for m in moves], when)  # type: ignore[arg-type]
    singly = list(replay(fragile, columns, batch=1, streams=6, ttl=40))
    assert told(list(replay(fragile, columns, batch=batch, streams=6, ttl=40))) == told(singly)

    # And it is what the words say.
    clock, last, seen = -1, {}, {}
    for (stream, _, reset), time, (_, outcome) in zip(moves, when, singly, strict=True):
        clock = max(clock, time)
        if reset or clock - last.get(stream, clock) > 40:
            seen[stream] = 0 if outcome.stepped[0] or reset else seen[stream]
        if reset or outcome.stepped[0]:
            last[stream] = clock
        if outcome.stepped[0]:
            seen[stream] = seen.get(stream, 0) + 1
            assert outcome.step[0] == seen[stream]


def test_events_at_or_below_their_rows_offset_are_passed_over(model: Model) -> None:
    columns = events([0, 1, 0, 1, 2, 0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    straight = Engine(model, 10)
    expected = straight.step(columns)
    engine = Engine(model, 10)
    engine.step(cut(columns, 0, 3))
    engine.keep()

    again = engine.step(columns)

    assert again.stepped.tolist() == [False, False, False, True, True, True]
    assert told([(columns, again)])[3:] == told([(columns, expected)])[3:]


def test_rows_taken_out_and_loaded_in_any_order_go_on_as_if_nothing_had_happened(model: Model) -> None:
    columns = events([0, 1, 0, 1, 2, 0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    engine = Engine(model, 10)
    engine.step(cut(columns, 0, 2))
    old = engine.rows(engine.slots.of(0))
    engine.step(cut(columns, 2, 5))
    new = engine.rows(engine.slots.of(0))
    expected = engine.step(cut(columns, 5, 6))

    other = Engine(model, 10)
    for rows in (new, old):
        other.load(0, rows)
    assert told([(cut(columns, 5, 6), other.step(cut(columns, 5, 6)))]) == told([(cut(columns, 5, 6), expected)])


def test_a_network_that_wants_the_time_is_given_hours_and_milliseconds(tmp_path: Path) -> None:
    random_file(tmp_path / "model.onnx", Config(hidden=8, calendar=("hour", "year"), since_last=True))
    model = Model(tmp_path / "model.onnx")
    columns = events([0, 0, 1, 0], [1.0, None, 5.0, 2.0])
    columns.time = np.array([5, 1_700_000_000_123, 3_600_000, 1_700_003_600_124])

    outcome = Engine(model, 2).step(columns)

    rows = np.zeros((1, model.row_width), np.float32)
    x = np.array([[1, 0, 5], [0, 472_222, 800_123], [2, 472_223, 800_124]], np.float32)[:, None]
    mask = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 1]], np.float32)[:, None]
    _, predicted, surprise = model.step(rows, x, mask)
    np.testing.assert_array_equal(outcome.predicted[[0, 1, 3]], predicted[:, 0])
    np.testing.assert_array_equal(outcome.surprise[3], surprise[2, 0])


SYMBOL = Config(("symbol",), ("symbol",), 8, task="symbol", outcomes=5, embedding=3)


def test_symbols_have_probabilities_and_a_surprise_but_the_first_and_the_missing_ones(tmp_path: Path) -> None:
    random_file(tmp_path / "model.onnx", SYMBOL, symbols=("", *"abcd"))
    outcome = Engine(Model(tmp_path / "model.onnx"), 2).step(events([0, 0, 1, 0, 0], [1.0, 4.0, 2.0, None, 3.0]))
    assert outcome.predicted.shape == (5, 1, 5)
    np.testing.assert_allclose(outcome.predicted.sum(axis=2), 1, rtol=1e-5)
    assert np.isnan(outcome.surprise[:, 0]).tolist() == [True, False, True, True, False]
    assert outcome.surprise[4, 0] == pytest.approx(-np.log10(outcome.predicted[3, 0, 3]), rel=1e-4)


def test_a_class_has_no_surprise(tmp_path: Path) -> None:
    config = Config(("value",), ("kind",), 8, task="class", outcomes=3)
    random_file(tmp_path / "model.onnx", config, classes=tuple("abc"))
    outcome = Engine(Model(tmp_path / "model.onnx"), 2).step(events([0, 0, 1], [1.0, 4.0, 2.0]))
    assert np.isnan(outcome.surprise).all()
    np.testing.assert_allclose(outcome.predicted.sum(axis=2), 1, rtol=1e-5)


def test_what_is_predicted_of_a_batch_is_bounded_whatever_the_vocabulary(tmp_path: Path) -> None:
    symbols = ("", *map(str, range(4999)))
    random_file(tmp_path / "model.onnx", replace(SYMBOL, outcomes=5000), symbols=symbols)
    model = Model(tmp_path / "model.onnx")
    columns = events([0] * 4000, list(range(4000)))
    sizes = [len(part) for part, _ in replay(model, columns, batch=16384, streams=1)]
    assert sum(sizes) == 4000
    assert max(sizes) * 5000 <= 2**24
