"""Tasks `symbol` and `class` in the model file: the same bits in every rectangle, probabilities, surprise."""

from dataclasses import replace

import numpy as np
import pytest

from export import parity
from export.config import Config, Weights
from export.graph import build
from export.sample import random_weights

SYMBOL = {"features": ("symbol",), "targets": ("symbol",), "task": "symbol", "embedding": 12}
CLASS = {"features": ("a", "b"), "targets": ("kind",), "task": "class", "hidden": 16}
SHAPES = {
    "characters": Config(**SYMBOL, hidden=24, outcomes=65),
    "two layers": Config(**SYMBOL, hidden=16, layers=2, outcomes=7, cell="gru"),
    "many words": Config(**SYMBOL, hidden=16, outcomes=3000, cell="rnn"),
    "symbols with a clock": Config(**SYMBOL, hidden=16, outcomes=9, calendar=("hour",), since_last=True),
    "characters that are looked up": Config(**SYMBOL, hidden=24, outcomes=65, recall=40),
    "two symbols, looked up, and a clock": Config(**SYMBOL, hidden=8, outcomes=2, recall=16, since_last=True),
    "many words, looked up": Config(**SYMBOL, hidden=8, outcomes=3000, recall=24),
    "classes by each stream's scale": Config(**CLASS, outcomes=6),
    "classes by a fixed scale and a clock": Config(**CLASS, outcomes=2, scaling="fixed", calendar=("weekday",)),
}


def made(name: str) -> tuple[Config, Weights, parity.Step]:
    config = SHAPES[name]
    weights = random_weights(config, seed=3)
    weights["head.weight"] *= 20  # as sure of some outcomes as a trained network
    if config.since_last:
        weights["typical"] = np.full(1, 6e4, np.float32)
    if config.recall:
        weights["recall.bias"] = np.linspace(2, -2, 5, dtype=np.float32)
    model = build(config, weights)
    parity.operators(model)
    return config, weights, parity.session(model, config)


@pytest.mark.parametrize("name", SHAPES)
def test_batch_sizes_and_splits_over_time_do_not_change_a_bit_of_any_task(name: str) -> None:
    config, weights, step = made(name)
    some = parity.BATCHES if config.outcomes < 1000 else (2, 3, 8, 17)
    parity.bits(step, config, weights, some)


@pytest.mark.parametrize("name", SHAPES)
def test_probabilities_are_such(name: str) -> None:
    config, weights, step = made(name)
    x, mask = parity.inputs(config, weights, 30, 4)
    probabilities, surprise, _ = step(x, mask, parity.cold(config, 4))
    assert probabilities.shape == (30, 4, 1, config.outcomes)
    assert surprise.shape == (30, 4, 1)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["characters", "characters that are looked up", "two symbols, looked up, and a clock"])
def test_surprise_is_that_of_the_probability_the_symbol_had(name: str) -> None:
    config, weights, step = made(name)
    x, mask = parity.inputs(config, weights, 50, 3)
    probabilities, surprise, _ = step(x, mask, parity.cold(config, 3))
    place = x[1:, :, :1, None].astype(int).clip(0, config.outcomes - 1)
    had = np.take_along_axis(probabilities[:-1], place, axis=3)[..., 0]
    there = mask[1:, :, :1] > 0
    np.testing.assert_allclose(surprise[1:][there], -np.log10(had[there]), rtol=1e-4, atol=1e-5)


def test_a_symbol_that_was_all_but_impossible_has_a_finite_surprise() -> None:
    for recall in (0, 16):
        config, weights, _ = made("two layers")
        config = replace(config, recall=recall)
        weights |= {name: np.zeros(5, np.float32) for name in ("recall.bias", "recall.slope") if recall}
        weights["head.bias"] = np.array([2000, 0, 0, 0, 0, 0, 0], np.float32)
        step = parity.session(build(config, weights), config)
        x = np.ones((3, 1, 1), np.float32)
        _, surprise, _ = step(x, x, parity.cold(config, 1))
        np.testing.assert_allclose(surprise[1:], 300, rtol=1e-4)


def test_an_index_that_no_symbol_has_is_taken_for_the_nearest_one() -> None:
    config, _, step = made("characters")
    ones = np.ones((1, 4, 1), np.float32)
    x = np.array([-5, 0, 64, 1e9], np.float32).reshape(1, 4, 1)
    probabilities, _, _ = step(x, ones, parity.cold(config, 4))
    np.testing.assert_array_equal(probabilities[0, 0], probabilities[0, 1])
    np.testing.assert_array_equal(probabilities[0, 2], probabilities[0, 3])


@pytest.mark.parametrize("name", ["characters", "characters that are looked up"])
def test_what_stands_in_place_of_a_missing_symbol_changes_nothing(name: str) -> None:
    config, weights, step = made(name)
    x, mask = parity.inputs(config, weights, 20, 5)
    probabilities, _, state = step(x, mask, parity.cold(config, 5))
    other, _, other_state = step(np.where(mask > 0, x, np.float32(7)), mask, parity.cold(config, 5))
    assert probabilities.tobytes() == other.tobytes()
    assert all(state[name].tobytes() == other_state[name].tobytes() for name in state)


def test_a_class_surprises_nobody() -> None:
    config, weights, step = made("classes by each stream's scale")
    x, mask = parity.inputs(config, weights, 10, 2)
    _, surprise, _ = step(x, mask, parity.cold(config, 2))
    assert not surprise.any()
