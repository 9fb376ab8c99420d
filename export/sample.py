"""Valid model files of any size without training: for tests, benchmarks and the first try of a service."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.config import Config, Weights
from export.file import save, sign
from export.graph import build
from export.signature import Scaling, Signature


def random_weights(config: Config, seed: int = 0) -> Weights:
    """Weights as a fresh network has them: predictions near the last value, intervals about one scale wide."""
    random = np.random.default_rng(seed)
    bound = 1 / np.sqrt(config.hidden)
    weights = {name: random.uniform(-bound, bound, shape) for name, shape in config.shapes().items()}
    constants = {
        "center": 0.0,
        "spread": 1.0,
        "scale": 0.5,
        "stretch": 1.0,
        "tail": 0.5,
        "prior": 0.1,
        "typical": 60_000.0,
        "usual": 0.4,
    }
    for name, value in constants.items():
        if name in weights:
            weights[name] = np.full(weights[name].shape, value)
    for name in weights:
        # Large peepholes let a cell open its own gates: it runs away, and float32 with it.
        if name.startswith("linear.") or "peephole" in name:
            weights[name] *= 0.1
    return {name: array.astype(np.float32) for name, array in weights.items()}


def random_model(
    path: Path | str,
    *,
    features: int | Sequence[str] = 1,
    hidden: int = 16,
    layers: int = 1,
    scaling: Scaling = "fixed",
    lags: Sequence[int] = (),
    experts: int = 1,
    seed: int = 0,
) -> Signature:
    """Write a model file with random weights; gives its signature.

    features: their names, or how many ("value" for one, else "f0", "f1", ...); all of them are targets.
    """
    if isinstance(features, int):
        features = ("value",) if features == 1 else tuple(f"f{i}" for i in range(features))
    names = tuple(features)
    config = Config(names, names, hidden, layers, scaling, tuple(lags), experts)
    return random_file(path, config, seed)


def random_file(path: Path | str, config: Config, seed: int = 0, **facts: Any) -> Signature:
    """Write a model file of any config with random weights; gives its signature, which holds the facts, too."""
    signature = sign(config, **facts)
    save(build(config, random_weights(config, seed)), signature, path)
    return signature
