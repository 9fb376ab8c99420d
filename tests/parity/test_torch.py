"""A file that does not do what the PyTorch module does is found out. That files do it: test_cells.py."""

import numpy as np
import pytest

from export import parity
from export.config import Config
from export.graph import build
from export.sample import random_weights
from training.reference import reference


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
