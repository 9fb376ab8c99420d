"""What the outputs mean: quantiles in order, surprise by the quantiles of the prediction before."""

from statistics import NormalDist

import numpy as np
import pytest

from export import parity
from export.config import LEVELS, SURPRISE_LIMIT, Config
from export.graph import build
from export.sample import random_weights

INNER = -np.log10(0.5)


@pytest.fixture(scope="module", params=[("fixed", "quantile"), ("stream", "quantile"), ("stream", "normal")])
def warm(request: pytest.FixtureRequest) -> tuple[parity.Step, parity.State, np.ndarray]:
    """A model, the state of one stream after 50 events, and the quantiles of the next one."""
    scaling, head = request.param
    config = Config(scaling=scaling, head=head, hidden=8, lags=(1, 2, 3), experts=2)
    weights = random_weights(config, seed=5)
    weights["tail"] = np.array([[0.3, 0.7]], np.float32)
    step = parity.session(build(config, weights), config)
    x, mask = parity.walks(config, weights, 50, 1)
    quantiles, _, state = step(x, mask, parity.cold(config, 1))
    return step, state, quantiles[-1, 0, 0]


def surprise_of(warm: tuple[parity.Step, parity.State, np.ndarray], values: np.ndarray) -> np.ndarray:
    """Of each value as the next event."""
    step, state, _ = warm
    many = {name: np.repeat(tensor, len(values), axis=0) for name, tensor in state.items()}
    x = values.astype(np.float32).reshape(1, -1, 1)
    return step(x, np.ones_like(x), many)[1][0, :, 0]


def test_quantiles_ascend(warm: tuple[parity.Step, parity.State, np.ndarray]) -> None:
    assert (np.diff(warm[2]) > 0).all()


def test_surprise_at_the_knots_is_what_the_quantiles_say(warm: tuple[parity.Step, parity.State, np.ndarray]) -> None:
    found = surprise_of(warm, warm[2])
    np.testing.assert_allclose(found, [1, INNER, 0, INNER, 1], atol=1e-4)


def test_surprise_grows_with_the_distance_from_the_median(
    warm: tuple[parity.Step, parity.State, np.ndarray],
) -> None:
    low, _, median, _, high = warm[2]
    for end in (high + 20 * (high - median), low - 20 * (median - low)):
        found = surprise_of(warm, np.linspace(median, end, 400))
        assert (np.diff(found) >= 0).all()
        assert found[-1] > 2


def test_surprise_beyond_the_outer_quantiles_follows_the_fitted_slopes(
    warm: tuple[parity.Step, parity.State, np.ndarray],
) -> None:
    low, lower, _, upper, high = warm[2]
    found = surprise_of(warm, np.array([high + (high - upper), low - (lower - low)]))
    np.testing.assert_allclose(found, [1.3, 1.7], atol=1e-3)


@pytest.mark.parametrize("value", [1e30, -1e30, 3e38, -3e38])
def test_surprise_is_capped_and_finite(warm: tuple[parity.Step, parity.State, np.ndarray], value: float) -> None:
    assert surprise_of(warm, np.array([value]))[0] == SURPRISE_LIMIT


def test_a_normal_heads_quantiles_are_those_of_a_normal() -> None:
    config = Config(scaling="fixed", head="normal", hidden=8)
    weights = random_weights(config, seed=5)
    step = parity.session(build(config, weights), config)
    quantiles, _, _ = step(*parity.walks(config, weights, 20, 4), parity.cold(config, 4))
    mean, quartile = quantiles[..., 2], quantiles[..., 3]
    deviation = (quartile - mean) / NormalDist().inv_cdf(0.75)
    for i, level in enumerate(LEVELS):
        expected = mean + NormalDist().inv_cdf(level) * deviation
        np.testing.assert_allclose(quantiles[..., i], expected, rtol=1e-5, atol=1e-5)


def test_a_second_event_is_not_judged_with_a_scale_of_zero() -> None:
    config = Config(scaling="stream", hidden=8)
    weights = random_weights(config)
    weights["prior"] = np.array([[0.01], [0.001]], np.float32)
    step = parity.session(build(config, weights), config)
    x = np.array([100.0, 101.0], np.float32).reshape(2, 1, 1)
    quantiles, surprise, _ = step(x, np.ones_like(x), parity.cold(config, 1))
    assert quantiles[0, 0, 0, 0] < 99.5 < 100.5 < quantiles[0, 0, 0, -1]
    assert surprise[1, 0, 0] < 3
