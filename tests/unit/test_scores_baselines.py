"""What the rivals know, what they find, and that they never look ahead."""

import numpy as np
import pytest

from training.data import Events
from training.scores.baselines import autoregression, autoregressions, season, seasonal
from training.scores.series import Array, Series, lay_out, names_of
from training.scores.window import predict, width_for
from training.splits import TEST, TRAIN, VALID, Split


def laid_out(*streams: list[float] | Array, test_from: int | None = None) -> Series:
    """Streams of equal times, one event a step: seven tenths training, one validation, unless test_from is given."""
    length = max(map(len, streams))
    rows = [(t, i, values[t]) for t in range(length) for i, values in enumerate(streams) if t < len(values)]
    time, stream, values = map(np.array, zip(*rows, strict=True))
    keys = [f"s{i}".encode() for i in range(len(streams))]
    events = Events(keys, stream, time, values.astype(float)[:, None], ("value",), True)
    valid, test = (int(length * 0.7), int(length * 0.8)) if test_from is None else (test_from, test_from)
    part = np.where(time < valid, TRAIN, np.where(time < test, VALID, TEST)).astype(np.int8)
    return lay_out(events, Split(part, valid, test), ("value",))


def sine(period: float, length: int = 300, noise: float = 0.1, seed: int = 0) -> Array:
    steps = np.arange(length)
    return 10 + np.sin(2 * np.pi * steps / period) + noise * np.random.default_rng(seed).normal(size=length)


def test_persistence_is_the_newest_value_of_the_own_stream() -> None:
    nan = float("nan")
    series = laid_out([nan, 1, nan, 3, 4], [7, 8, nan], [nan, nan])
    np.testing.assert_array_equal(series.past, [nan, nan, 1, 1, 3, nan, 7, 8, nan, nan])


def test_the_scale_is_the_training_parts_naive_error_and_none_where_there_is_none() -> None:
    nan = float("nan")
    series = laid_out([nan, 1, nan, 4, 4, 100], [5, 5, 5, 5, 5, 100], [nan, nan, nan, nan, 1, 2], test_from=4)
    np.testing.assert_array_equal(series.scale, [3, nan, nan])


def test_only_values_of_the_test_part_that_are_there_and_had_a_past_are_scored() -> None:
    nan = float("nan")
    series = laid_out([1, 2, nan, 4], [nan, nan, 3, 4], test_from=2)
    assert series.scored.tolist() == [False, False, False, True, False, False, False, True]


def test_keys_of_any_bytes_have_names_that_can_be_shown() -> None:
    assert names_of([b"a", "\u00e4".encode(), b"\xff", b"a\nb\x00"]) == ["a", "\u00e4", "\\xff", "a\\nb\\x00"]


def test_each_target_of_each_stream_is_a_series_of_its_own() -> None:
    values = np.array([[1, 10, 100], [2, 20, 200], [3, 30, 300]], float)
    events = Events([b"x", b"y"], np.array([1, 0, 1]), np.arange(3), values, ("a", "b", "c"), True)
    series = lay_out(events, Split(np.zeros(3, np.int8), 3, 3), ("c", "a"))
    assert series.names == ["x/c", "y/c", "x/a", "y/a"]
    assert series.values.tolist() == [200, 100, 300, 2, 1, 3]
    assert series.event.tolist() == [1, 0, 2, 1, 0, 2]


@pytest.mark.parametrize("period", [7, 12, 24])
def test_the_season_is_found_through_noise_and_missing_values(period: int) -> None:
    values = sine(period, noise=0.3)
    values[np.random.default_rng(1).random(len(values)) < 0.1] = np.nan
    assert season(laid_out(values, 1000 * sine(period, seed=2))) == period


def test_a_walk_and_white_noise_and_a_short_or_constant_stream_have_no_season() -> None:
    noise = np.random.default_rng(0).normal(size=3000)
    for values in (noise, noise.cumsum(), noise[:5], np.full(100, 3.0), np.full(100, np.nan)):
        series = laid_out(values)
        assert season(series) == 1
        np.testing.assert_array_equal(seasonal(series, 1), series.past)


def test_the_season_is_found_on_the_training_part_alone() -> None:
    before = sine(12)
    after = np.concatenate([before[:210], sine(30)[210:]])
    assert season(laid_out(before)) == season(laid_out(after)) == 12


def test_the_seasonal_forecast_is_the_value_a_season_ago_else_the_one_before() -> None:
    nan = float("nan")
    series = laid_out([1, 2, 3, nan, 5, 6], [7, 8])
    np.testing.assert_array_equal(seasonal(series, 3), [nan, 1, 2, 1, 2, 3, nan, 7])


def test_autoregression_knows_only_what_came_before_and_is_fitted_on_the_training_part() -> None:
    walk = np.random.default_rng(1).normal(size=300).cumsum()
    changed = walk.copy()
    changed[250:] += 100
    before, after = autoregression(walk, 200, range(1, 6)), autoregression(changed, 200, range(1, 6))
    np.testing.assert_array_equal(before[:251], after[:251])


def test_autoregression_is_exact_on_its_own_kind_with_lags_that_have_gaps() -> None:
    values = np.sin(np.arange(200) / 5) + 7
    np.testing.assert_allclose(autoregression(values, 100, (1, 5, 12))[12:], values[12:], atol=1e-6)


def test_autoregression_leaves_out_the_lags_that_the_training_part_is_too_short_for() -> None:
    values = np.random.default_rng(2).normal(size=100).cumsum()
    np.testing.assert_array_equal(autoregression(values, 40, (1, 2, 30)), autoregression(values, 40, (1, 2)))
    np.testing.assert_array_equal(autoregression(values, 6, (1, 2)), laid_out(values).past)


def test_autoregressions_are_each_streams_own() -> None:
    streams = [sine(9, 120), 1e6 * sine(9, 120, seed=3), sine(9, 120)[:20]]
    found, fitted = autoregressions(laid_out(*streams, np.array([1.0] * 100 + [2.0] * 20)), (1, 2, 9))
    assert fitted == 3  # the third one ends before the test part
    np.testing.assert_allclose(found[:120], autoregression(streams[0], 84, (1, 2, 9)))
    np.testing.assert_allclose(found[120:240], autoregression(streams[1], 84, (1, 2, 9)))


def test_the_window_network_learns_from_all_streams_and_looks_at_no_later_value() -> None:
    streams = [10.0**i * sine(12, 200, seed=i) for i in range(2)]
    series = laid_out(*streams)
    rows = np.flatnonzero(series.scored)
    found = predict(series, rows, width_for(series), seed=0)
    errors = np.abs(found - series.values[rows]).reshape(2, -1).mean(1) / series.scale
    naive = np.abs(series.past[rows] - series.values[rows]).reshape(2, -1).mean(1) / series.scale
    assert (errors < 0.7 * naive).all()
    later = [np.where(np.arange(200) < 190, values, 1e5) for values in streams]
    changed = predict(laid_out(*later), rows, width_for(series), seed=0)
    before = np.tile(np.arange(40) <= 30, 2)
    np.testing.assert_array_equal(changed[before], found[before])


def test_the_window_network_is_persistence_where_there_is_nothing_to_learn_from() -> None:
    series = laid_out([5.0] * 60, [1.0, 2.0])
    rows = np.flatnonzero(series.scored)
    np.testing.assert_array_equal(predict(series, rows, width_for(series), seed=0), series.past[rows])
