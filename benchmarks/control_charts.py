"""Synthetic control charts: six classes of sequences, made from the published formulas. Knows numpy only.

Alcock and Manolopoulos 1999, "Time-series similarity queries employing a feature-based approach". r is uniform in
[-3, 3], drawn for each point anew; the rest once for each sequence.
"""

import numpy as np
from numpy.typing import NDArray

CLASSES = ("normal", "cyclic", "increasing", "decreasing", "upward", "downward")
STEPS = 60
MEAN, NOISE = 30.0, 2.0


def chart(kind: str, random: np.random.Generator) -> NDArray[np.float64]:
    """One sequence of a class, [STEPS]."""
    t = np.arange(1, STEPS + 1)
    y: NDArray[np.float64] = MEAN + random.uniform(-3, 3, STEPS) * NOISE
    sign = 1 if kind in ("increasing", "upward") else -1
    if kind == "cyclic":
        y += random.uniform(10, 15) * np.sin(2 * np.pi * t / random.uniform(10, 15))
    elif kind in ("increasing", "decreasing"):
        y += sign * random.uniform(0.2, 0.5) * t
    elif kind in ("upward", "downward"):
        y += sign * random.uniform(7.5, 20) * (t >= random.uniform(STEPS / 3, 2 * STEPS / 3))
    return y


def charts(each: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """So many sequences of each class, [6 * each, STEPS], in random order, and each one's class."""
    random = np.random.default_rng(seed)
    kinds = random.permutation(np.repeat(np.arange(len(CLASSES)), each))
    return np.array([chart(CLASSES[kind], random) for kind in kinds]), kinds
