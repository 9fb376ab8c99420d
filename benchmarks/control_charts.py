"""Synthetic control charts: how many of six classes of sequences the plain `statecast train --label` tells apart.

The sequences are made from the published formulas:
Alcock and Manolopoulos 1999, "Time-series similarity queries employing a feature-based approach". r is uniform in
[-3, 3], drawn for each point anew; the rest once for each sequence.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import benchmark, show, statecast

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


def write(path: Path, each: int, seed: int) -> None:
    """The sequences as a CSV, a row for each point: sequence, step, value, kind."""
    values, kinds = charts(each, seed)
    rows = ["sequence,step,value,kind"]
    for i, (row, kind) in enumerate(zip(values, kinds, strict=True)):
        rows += [f"{i},{step},{value:.4f},{CLASSES[kind]}" for step, value in enumerate(row)]
    path.write_text("\n".join(rows) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=100, help="sequences of each class")
    parser.add_argument("--seeds", type=int, default=5, help="sets of sequences, each with a model of its own")
    options = parser.parse_args()
    sizes = f"{len(CLASSES)} classes, {options.each} sequences of {STEPS} steps each"
    with benchmark(sizes), tempfile.TemporaryDirectory() as name:
        rows: list[list[object]] = []
        for seed in range(options.seeds):
            data, run = Path(name) / f"{seed}.csv", Path(name) / f"run-{seed}"
            write(data, options.each, seed)
            began = time.monotonic()
            statecast("train", str(data), "--key", "sequence", "--label", "kind", "--out", str(run))
            scores = json.loads((run / "metrics.json").read_bytes())["all"]
            rows.append([seed, 100 * scores["model"]["accuracy"], time.monotonic() - began])
        show(["seed", "accuracy %", "seconds"], rows)


if __name__ == "__main__":
    main()
