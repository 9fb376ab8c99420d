"""The exported file does what the PyTorch module does, step by step with carried state."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export import parity
from export.config import Config
from export.graph import build
from export.sample import random_weights
from training.run import reference


@settings(max_examples=16, deadline=None)
@given(
    features=st.sampled_from([("value",), ("a", "b", "c")]),
    hidden=st.sampled_from([5, 16]),
    layers=st.integers(1, 2),
    scaling=st.sampled_from(["fixed", "stream"]),
    lags=st.sampled_from([(), (1,), (2,), (1, 2, 3, 24)]),
    experts=st.sampled_from([1, 3, 8]),
    seed=st.integers(0, 1000),
)
def test_file_and_module_agree_over_200_steps_in_rectangles_of_many_shapes(
    features, hidden, layers, scaling, lags, experts, seed
) -> None:  # type: ignore[no-untyped-def]
    experts = experts if max(lags, default=0) > 1 else 1
    config = Config(features, features[-1:], hidden, layers, scaling, lags, experts)
    weights = random_weights(config, seed)
    step = parity.session(build(config, weights), config)
    assert parity.difference(step, reference(config, weights), config, weights) <= parity.TOLERANCE


def test_a_file_that_differs_from_the_module_is_refused() -> None:
    config = Config(hidden=8, scaling="fixed")
    weights = random_weights(config)
    other = weights | {"head.bias": weights["head.bias"] + np.float32(1e-3)}
    step = parity.session(build(config, other), config)
    with pytest.raises(parity.ParityError, match="differ by"):
        parity.difference(step, reference(config, weights), config, weights)


def test_a_file_that_differs_in_surprise_only_is_refused() -> None:
    config = Config(hidden=8, scaling="fixed")
    weights = random_weights(config)
    step = parity.session(build(config, weights | {"tail": weights["tail"] * 2}), config)
    with pytest.raises(parity.ParityError, match="surprise"):
        parity.difference(step, reference(config, weights), config, weights)
