"""The future of a stream: the first step is the model's own, later ones are what paths drawn from it say together."""

from pathlib import Path

import numpy as np
import pytest

from engine.columns import Floats, clock
from engine.forecast import Forecaster, ForecastError, inverse
from engine.model import Model
from engine.step import Engine
from export.config import Config
from export.sample import random_file
from tests.unit.test_engine_step import events

TWO = ("a", "b")
CONFIGS = {
    "fixed": Config(scaling="fixed", hidden=8),
    "normal": Config(hidden=8, head="normal"),
    "lags": Config(hidden=8, lags=(1, 2, 5), experts=4, reach=True),
    "two": Config(TWO, TWO, hidden=8, cell="gru"),
    "one of two": Config(TWO, ("b",), hidden=8),
    "clock": Config(hidden=8, calendar=("hour",), since_last=True),
    "symbol": Config(("symbol",), ("symbol",), task="symbol", outcomes=7, embedding=4, hidden=8, scaling="fixed"),
    "class": Config(TWO, ("class",), task="class", outcomes=3, hidden=8),
    "recall": Config(
        ("symbol",), ("symbol",), task="symbol", outcomes=7, embedding=4, hidden=8, scaling="fixed", recall=32
    ),
}
FACTS = {
    "symbol": {"symbols": ("", *"abcdef")},
    "recall": {"symbols": ("", *"abcdef")},
    "class": {"classes": (*"xyz",)},
}
NUMBERS = [name for name in CONFIGS if name not in FACTS]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("models")
    for name, config in CONFIGS.items():
        random_file(folder / f"{name}.onnx", config, seed=3, **FACTS.get(name, {}))
    return {name: Model(folder / f"{name}.onnx") for name in CONFIGS}


def forecaster(model: Model) -> Forecaster:
    return Forecaster(model.proto, model.signature)


def stepped(model: Model, steps: int = 40) -> tuple[Floats, Floats]:
    """The rows of three streams, and what was predicted after their last events; one a minute, the last at 0."""
    random = np.random.default_rng(1)
    signature = model.signature
    shape = (steps, 3, len(signature.features))
    x = random.integers(0, 7, shape) if signature.task == "symbol" else random.normal(size=shape).cumsum(axis=0)
    mask = random.random(shape) < 0.9
    mask[-1] = True
    x, mask = np.where(mask, x, 0).astype(np.float32), mask.astype(np.float32)
    if signature.clock:
        times = np.broadcast_to(clock(minutes(np.arange(1 - steps, 1)))[:, None], (steps, 3, 2))
        x, mask = np.dstack([x, times]), np.dstack([mask, np.ones_like(times)])
    rows, predicted, _ = model.step(np.zeros((3, model.row_width), np.float32), x, mask)
    return rows, predicted[-1]


def minutes(count: np.ndarray) -> np.ndarray:
    return np.asarray(count, np.int64) * 60_000


def event(model: Model, values: dict[str, np.ndarray], time: int) -> tuple[Floats, Floats]:
    """x and mask [1, streams, columns] of one event each; features that are not named are missing."""
    signature = model.signature
    streams = len(next(iter(values.values())))
    x = np.zeros((1, streams, signature.columns), np.float32)
    mask = np.zeros_like(x)
    for name, column in values.items():
        x[0, :, signature.features.index(name)] = column
        mask[0, :, signature.features.index(name)] = 1
    if signature.clock:
        x[0, :, -2:], mask[0, :, -2:] = clock(np.array(time)), 1
    return x, mask


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "recall"])
def test_what_a_row_says_of_the_next_event_has_the_bits_that_were_predicted_after_the_last(
    models: dict[str, Model], name: str
) -> None:
    rows, predicted = stepped(models[name])
    assert forecaster(models[name]).now(rows).tobytes() == predicted.tobytes()


def test_a_model_that_recalls_says_the_same_up_to_the_last_places(models: dict[str, Model]) -> None:
    rows, predicted = stepped(models["recall"])
    np.testing.assert_allclose(forecaster(models["recall"]).now(rows), predicted, rtol=1e-4)


@pytest.mark.parametrize("name", NUMBERS)
def test_values_are_drawn_as_the_model_itself_finds_them_surprising(models: dict[str, Model], name: str) -> None:
    model = models[name]
    row, predicted = (part[0] for part in stepped(model))
    made = forecaster(model)
    tails = made._tails(row, predicted, 60_000)
    point = np.array([1e-9, 1e-4, 0.01, 0.05, 0.1, 0.25, 0.4, 0.6, 0.75, 0.9, 0.95, 0.999, 1 - 1e-7])
    for i, target in enumerate(model.signature.targets):
        shape = (len(point), *predicted.shape)
        points = np.repeat(point[:, None], len(predicted), axis=1)
        drawn = inverse(model.signature.levels, np.broadcast_to(predicted, shape).astype(np.float64), tails, points)
        assert (np.diff(drawn[:, i]) > 0).all()
        x, mask = event(model, {target: drawn[:, i]}, 60_000)
        _, _, surprise = model.step(np.repeat(row[None], len(point), axis=0), x, mask)
        expected = -np.log10(2 * np.minimum(point, 1 - point))
        np.testing.assert_allclose(surprise[0, :, i], expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", ["fixed", "lags"])
def test_the_second_step_has_the_quantiles_of_all_that_the_first_may_bring(models: dict[str, Model], name: str) -> None:
    # Given: the first value at each of many probabilities, and so the mixture of what follows, without chance
    model, samples, grid = models[name], 20_000, 1001
    row, predicted = (part[0] for part in stepped(model))
    made = forecaster(model)
    tails = made._tails(row, predicted, 60_000)
    point = ((np.arange(grid) + 0.5) / grid)[:, None]
    first = inverse(
        model.signature.levels, np.broadcast_to(predicted, (grid, *predicted.shape)).astype(np.float64), tails, point
    )
    x, mask = event(model, {"value": first[:, 0]}, 60_000)
    rows, then, _ = model.step(np.repeat(row[None], grid, axis=0), x, mask)

    told = list(made.roll(row, 0, 60_000, 2, samples, np.random.default_rng(5)))

    assert told[0].tobytes() == predicted.tobytes()
    median = model.signature.levels.index(0.5)
    for level, value in zip(model.signature.levels, told[1][0], strict=True):
        x, mask = event(model, {"value": np.full(grid, value)}, 120_000)
        _, _, surprise = model.step(rows, x, mask)
        outside = 10.0 ** -surprise[0, :, 0].astype(np.float64) / 2
        below = np.where(value < then[0, :, 0, median], outside, 1 - outside).mean()
        assert abs(below - level) < 5 * np.sqrt(level * (1 - level) / samples) + 1e-3


@pytest.mark.parametrize("name", NUMBERS)
def test_a_path_is_stepped_with_what_it_drew_at_one_interval_and_other_features_are_missing(
    models: dict[str, Model], name: str
) -> None:
    model, steps = models[name], 4
    row, predicted = (part[:1] for part in stepped(model))
    made = forecaster(model)

    # When: one path, so that what is told is what it drew
    told = list(made.roll(row[0], 0, 60_000, steps, 1, np.random.default_rng(9)))

    random = np.random.default_rng(9)
    tails = made._tails(row[0], predicted[0], 60_000)

    def draw(predicted: Floats) -> np.ndarray:
        points = random.random(predicted.shape[:2])
        return inverse(model.signature.levels, predicted.astype(np.float64), tails, points)

    drawn = draw(predicted)
    for step in range(1, steps):
        x, mask = event(model, dict(zip(model.signature.targets, drawn.T, strict=True)), step * 60_000)
        row, (predicted,), _ = model.step(row, x, mask)
        drawn = draw(predicted)
        np.testing.assert_allclose(told[step][:, 0], drawn[0], rtol=1e-6)


def test_symbols_are_told_by_how_often_they_are_drawn(models: dict[str, Model]) -> None:
    model, samples = models["symbol"], 20_000
    rows, predicted = stepped(model)
    each = np.arange(7)
    x, mask = event(model, {"symbol": each}, 0)
    _, then, _ = model.step(np.repeat(rows[:1], 7, axis=0), x, mask)
    exact = predicted[0, 0] @ then[0, :, 0]

    told = list(forecaster(model).roll(rows[0], 0, 0, 2, samples, np.random.default_rng(2)))

    assert told[0].tobytes() == predicted[0].tobytes()
    assert told[1].shape == (1, 7)
    assert np.abs(told[1][0] - exact).max() < 5 * np.sqrt(0.25 / samples)


def test_the_same_seed_gives_the_same_forecast_and_rows_of_many_paths_are_run_in_parts(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = stepped(models["lags"])[0][0]
    made = forecaster(models["lags"])

    def told(seed: int) -> bytes:
        return b"".join(part.tobytes() for part in made.roll(row, 0, 0, 5, 100, np.random.default_rng(seed)))

    assert told(1) == told(1) != told(2)
    monkeypatch.setattr("engine.forecast.FLOATS", 1000)
    assert made._at_once < 100
    assert len(told(1)) == 5 * 5 * 4


def test_a_forecast_changes_no_byte_of_the_bank(models: dict[str, Model]) -> None:
    model = models["lags"]
    engine = Engine(model, 4)
    engine.step(events([1, 2] * 10, [float(i % 7) for i in range(20)]))
    engine.keep()
    everything = np.arange(4)
    before = engine.bank.copy(everything)

    rows = engine.rows(engine.slots.find(0, [b"stream 1"]))
    assert len(list(forecaster(model).roll(rows.state[0], 0, 0, 20, 50, np.random.default_rng(0)))) == 20

    after = engine.bank.copy(everything)
    for column in ("rows", "offset", "time", "clock", "step"):
        assert getattr(before, column).tobytes() == getattr(after, column).tobytes()
    assert not engine.bank.writes()


def test_paths_whose_results_are_not_finite_end(models: dict[str, Model]) -> None:
    model = models["fixed"]
    row = stepped(model)[0][0]
    row[:] = np.inf
    with pytest.raises(ForecastError, match="not finite at step 2"):
        list(forecaster(model).roll(row, 0, 0, 3, 10, np.random.default_rng(0)))


def test_a_class_and_too_many_samples_are_refused(models: dict[str, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    with pytest.raises(ForecastError, match="a class has no next event"):
        next(forecaster(models["class"]).roll(stepped(models["class"])[0][0], 0, 0, 1, 1, random))
    monkeypatch.setattr("engine.forecast.ROW_FLOATS", 1000)
    made = forecaster(models["lags"])
    with pytest.raises(ForecastError, match=f"give at most {made.most_samples}"):
        next(made.roll(stepped(models["lags"])[0][0], 0, 0, 1, made.most_samples + 1, random))


def test_the_file_of_a_model_is_not_needed_again(tmp_path: Path) -> None:
    random_file(tmp_path / "model.onnx", CONFIGS["fixed"], seed=3)
    model = Model(tmp_path / "model.onnx")
    (tmp_path / "model.onnx").unlink()
    rows, predicted = stepped(model)
    assert forecaster(model).now(rows).tobytes() == predicted.tobytes()
