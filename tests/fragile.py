"""Model files with events that the network cannot take, as no file that is exported has: for tests of refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.sample import random_model

LEAST = -1000  # every result for a value below it is infinite


def fragile_model(path: Path, **shape: Any) -> Path:
    """A file as `random_model` writes it, but a stream's next h is infinite where one of its values is below LEAST."""
    signature = random_model(path, **shape)
    model = onnx.load(path)
    graph, output = model.graph, signature.state[-1].output
    for node in graph.node:
        node.output[:] = [f"{name}_sound" if name == output else name for name in node.output]
    constants = {"least": np.float32(LEAST), "inf": np.float32(np.inf), "none": np.float32(0), "axes": np.array([0, 2])}
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), f"f_{n}") for n, value in constants.items())
    rank = 1 + len(signature.state[-1].shape)
    graph.initializer.append(numpy_helper.from_array(np.arange(1, rank), "f_columns"))
    graph.node.extend(
        [
            helper.make_node("Less", ["x", "f_least"], ["f_below"]),
            helper.make_node("Where", ["f_below", "f_inf", "f_none"], ["f_each"]),
            helper.make_node("ReduceMax", ["f_each", "f_axes"], ["f_stream"], keepdims=0),
            helper.make_node("Unsqueeze", ["f_stream", "f_columns"], ["f_column"]),
            helper.make_node("Add", [f"{output}_sound", "f_column"], [output]),
        ]
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path
