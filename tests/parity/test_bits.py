"""A stream's predictions have the same bits however its events are batched and split over calls."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from export import parity
from export.config import Config, Weights
from export.graph import build
from export.sample import random_weights

SHAPES = {
    "fixed": Config(scaling="fixed", hidden=16),
    "stream": Config(scaling="stream", hidden=16),
    "fixed with lags": Config(scaling="fixed", hidden=16, lags=(1, 2, 3, 7)),
    "stream with lags": Config(scaling="stream", hidden=16, lags=(1, 2, 24)),
    "experts": Config(scaling="stream", hidden=16, lags=(1, 2, 24), experts=8),
    "graves-lstm": Config(scaling="stream", hidden=16, cell="graves-lstm", layers=2),
    "gru": Config(scaling="stream", hidden=16, cell="gru", layers=2),
    "rnn": Config(scaling="stream", hidden=16, cell="rnn", layers=2),
    "normal head, calendar and gaps": Config(
        scaling="stream", hidden=16, head="normal", calendar=("hour", "weekday", "year"), since_last=True
    ),
    "three features, two targets, two layers": Config(
        ("a", "b", "c"), ("c", "a"), hidden=8, layers=2, scaling="stream", lags=(2, 5), experts=3
    ),
}


def made(name: str) -> tuple[Config, Weights, parity.Step]:
    config = SHAPES[name]
    weights = random_weights(config, seed=3)
    return config, weights, parity.session(build(config, weights), config)


@pytest.mark.parametrize("name", SHAPES)
def test_batch_sizes_and_splits_over_time_do_not_change_a_bit(name: str) -> None:
    config, weights, step = made(name)
    parity.bits(step, config, weights)


@pytest.mark.parametrize("name", ["fixed", "experts", "rnn", "normal head, calendar and gaps"])
def test_every_batch_size_from_1_to_100_gives_the_same_bits(name: str) -> None:
    config, weights, step = made(name)
    parity.bits(step, config, weights, batches=range(2, 101), time=3)


EXPERTS = made("experts")


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 29), max_size=6, unique=True),
    values=st.lists(
        st.none()
        | st.floats(allow_nan=False, allow_infinity=False, width=32)
        | st.sampled_from([0.0, -0.0, 1e-40, 3e38, -3e38]),
        min_size=30,
        max_size=30,
    ),
)
def test_any_finite_values_stay_finite_and_any_split_gives_the_same_bits(
    cuts: list[int], values: list[float | None]
) -> None:
    config, _, step = EXPERTS
    x = np.array([0.0 if value is None else value for value in values], np.float32).reshape(30, 1, 1)
    mask = np.array([value is not None for value in values], np.float32).reshape(30, 1, 1)
    quantiles, surprise, state = step(x, mask, parity.cold(config, 1))
    assert np.isfinite(quantiles).all()
    assert np.isfinite(surprise).all()
    assert all(np.isfinite(tensor).all() for tensor in state.values())
    assert (np.diff(quantiles, axis=-1) >= 0).all()

    carried, parts = parity.cold(config, 1), []
    for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), 30], strict=True):
        q, s, carried = step(x[first:last], mask[first:last], carried)
        parts.append((q, s))
    assert np.concatenate([q for q, _ in parts]).tobytes() == quantiles.tobytes()
    assert np.concatenate([s for _, s in parts]).tobytes() == surprise.tobytes()
    assert all(carried[name].tobytes() == state[name].tobytes() for name in state)


def test_what_stands_in_place_of_a_missing_value_changes_nothing() -> None:
    config, weights, step = made("stream with lags")
    x, mask = parity.walks(config, weights, 20, 5)
    quantiles, _, state = step(x, mask, parity.cold(config, 5))
    other, _, other_state = step(np.where(mask > 0, x, np.float32(77)), mask, parity.cold(config, 5))
    assert quantiles.tobytes() == other.tobytes()
    assert all(state[name].tobytes() == other_state[name].tobytes() for name in state)


def test_a_prediction_before_the_first_value_knows_nothing_of_later_ones() -> None:
    config, _, step = made("experts")
    x = np.array([0, 0, 500, 510], np.float32).reshape(4, 1, 1)
    mask = np.array([0, 0, 1, 1], np.float32).reshape(4, 1, 1)
    whole, _, _ = step(x, mask, parity.cold(config, 1))
    start, _, _ = step(x[:2], mask[:2], parity.cold(config, 1))
    assert whole[:2].tobytes() == start.tobytes()


@pytest.mark.parametrize("change", ["the batch", "the time", "one event alone"])
def test_export_refuses_a_file_whose_bits_depend_on_the_rectangle(change: str) -> None:
    config, weights, step = made("fixed")

    def wobbly(x: parity.Floats, mask: parity.Floats, state: parity.State) -> tuple[parity.Floats, ...]:
        quantiles, surprise, following = step(x, mask, state)
        other = {"the batch": x.shape[1] > 1, "the time": len(x) > 1, "one event alone": x.shape[:2] == (1, 1)}[change]
        return quantiles * np.float32(1 + 1e-6 * other), surprise, following  # type: ignore[return-value]

    with pytest.raises(parity.ParityError, match="other bits"):
        parity.bits(wobbly, config, weights)  # type: ignore[arg-type]


def test_export_refuses_an_operator_that_is_not_on_the_list() -> None:
    config = SHAPES["fixed"]
    model = build(config, random_weights(config))
    model.graph.node.append(helper.make_node("Softplus", ["x"], ["soft"]))
    with pytest.raises(parity.ParityError, match="Softplus"):
        parity.check(model, config, random_weights(config), None)
