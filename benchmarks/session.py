"""What settings of onnxruntime give a step, against the service's own: `python -m benchmarks.session`.

Each is run in turns with the service's session, blocks of calls at a time so that caches are warm within a block. A
figure is the median over the turns of the ratio of two neighbouring blocks: below 1 is faster. One LSTM layer of 64.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from benchmarks.common import benchmark, show
from engine.graphs import ROWS, ROWS_NEXT, with_rows
from export.sample import random_model
from export.signature import load

SHAPES = ((1, 1), (1, 64), (1, 1024), (1, 4096), (64, 1))  # (time, streams)
OUTPUTS = (ROWS_NEXT, "quantiles", "surprise")
SETTINGS: dict[str, dict[str, Any]] = {
    "two threads": {"intra_op_num_threads": 2},
    "no memory pattern": {"enable_mem_pattern": False},
    "no arena": {"enable_cpu_mem_arena": False},
    "only basic graph optimisations": {"graph_optimization_level": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC},
    "denormals as zero": {"session.set_denormal_as_zero": "1"},
    "weights not prepacked": {"session.disable_prepacking": "1"},
}


def session(model: bytes, settings: dict[str, Any]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    for name, value in settings.items():
        if "." in name:
            options.add_session_config_entry(name, value)
        else:
            setattr(options, name, value)
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def calls(made: dict[str, Any], width: int, steps: int, streams: int) -> dict[str, Callable[[], object]]:
    """The ways to step the same rectangle."""
    rng = np.random.default_rng(0)
    rows = np.zeros((streams, width), np.float32)
    x = rng.normal(size=(steps, streams, 1)).astype(np.float32)
    feeds = {ROWS: rows, "x": x, "mask": np.ones_like(x)}
    results = {
        ROWS_NEXT: np.empty_like(rows),
        "quantiles": np.empty((steps, streams, 1, 5), np.float32),
        "surprise": np.empty((steps, streams, 1), np.float32),
    }
    own = made["own"]

    def bind() -> Any:
        binding = own.io_binding()
        for name, value in feeds.items():
            binding.bind_cpu_input(name, value)
        for name, value in results.items():
            binding.bind_output(name, "cpu", 0, np.float32, value.shape, value.ctypes.data)
        return binding

    bound = bind()
    return {
        **{name: partial(one.run, OUTPUTS, feeds) for name, one in made.items()},
        "buffers bound once": lambda: own.run_with_iobinding(bound),
        "buffers bound for each call": lambda: own.run_with_iobinding(bind()),
    }


def seconds(call: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--block", type=float, default=0.01, help="seconds of one block of calls")
    options = parser.parse_args()
    with benchmark(f"{options.turns} turns"), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        random_model(path, hidden=64)
        _, signature = load(path)
        model = with_rows(onnx.load(path), signature).SerializeToString()
        made = {"own": session(model, {})} | {name: session(model, value) for name, value in SETTINGS.items()}
        rows: list[list[object]] = []
        for steps, streams in SHAPES:
            ways = calls(made, signature.row_width, steps, streams)
            times = max(1, int(options.block / (seconds(ways["own"], 5) / 5)))
            ratios: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(options.turns):
                for name, call in ways.items():
                    seconds(call, 1)
                    ratios[name].append(seconds(call, times) / seconds(ways["own"], times))
            rows.append([f"{steps} x {streams}", *(statistics.median(ratios[name]) for name in ways)])
        show(["steps x streams", *ways], rows)


if __name__ == "__main__":
    main()
