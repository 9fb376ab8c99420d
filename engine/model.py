"""The ONNX session: runs one rectangle. Knows the graph and the signature, nothing of slots or streams.

The file's graph takes each state tensor by itself. Here it is wrapped, before the session is made, in a graph that
takes and gives whole rows, so that a gather from the bank is one copy and a scatter another.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from engine.columns import Floats
from export.signature import ModelFileError, Signature, fingerprint, load

ROWS, ROWS_NEXT = "statecast_rows", "statecast_rows_next"


class Model:
    """One model file, ready to run.

    Raises ModelFileError where the file is not a model, or onnxruntime cannot run it.
    """

    def __init__(self, path: Path | str) -> None:
        proto, self.signature = load(path)
        if self.signature.task != "number":
            raise ModelFileError(
                f"model {path}: its task is {self.signature.task!r}; this version serves the task 'number' only"
            )
        self.fingerprint = fingerprint(proto)
        self.row_width = self.signature.row_width
        self.features = len(self.signature.features)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                _with_rows(proto, self.signature).SerializeToString(), options, ["CPUExecutionProvider"]
            )
            self.step(
                np.zeros((1, self.row_width), np.float32),
                np.zeros((1, 1, self.features), np.float32),
                np.zeros((1, 1, self.features), np.float32),
            )
        except Exception as error:  # onnxruntime's errors have no common base but Exception
            reason = str(error).splitlines()[0]
            raise ModelFileError(f"model {path}: onnxruntime cannot run it ({reason}); export it again") from None

    def step(self, rows: Floats, x: Floats, mask: Floats) -> tuple[Floats, Floats, Floats]:
        """Run T events of each of B streams.

        rows [batch, width], x and mask [time, batch, features] ->
        next rows [batch, width], quantiles [time, batch, targets, levels], surprise [time, batch, targets].
        """
        next_rows, quantiles, surprise = self._session.run(
            (ROWS_NEXT, "quantiles", "surprise"), {ROWS: rows, "x": x, "mask": mask}
        )
        return next_rows, quantiles, surprise


def _with_rows(model: onnx.ModelProto, signature: Signature) -> onnx.ModelProto:
    """The same model with one input [batch, width] in place of its state inputs, and one such output."""
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    graph = wrapped.graph
    state = signature.state
    inputs, outputs = {t.input for t in state}, {t.output for t in state}
    kept_inputs = [v for v in graph.input if v.name not in inputs]
    kept_outputs = [v for v in graph.output if v.name not in outputs]
    graph.ClearField("input")
    graph.ClearField("output")
    row: list[str | int | None] = ["batch", signature.row_width]
    graph.input.extend([*kept_inputs, helper.make_tensor_value_info(ROWS, TensorProto.FLOAT, row)])
    graph.output.extend([*kept_outputs, helper.make_tensor_value_info(ROWS_NEXT, TensorProto.FLOAT, row)])

    def shape(name: str, *sizes: int) -> str:
        graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.int64), name))
        return name

    parts = [f"{t.input}_columns" for t in state]
    head = [helper.make_node("Split", [ROWS, shape("statecast_widths", *(t.width for t in state))], parts, axis=1)]
    tail = []
    for part, tensor in zip(parts, state, strict=True):
        head.append(helper.make_node("Reshape", [part, shape(f"{part}_in", -1, *tensor.shape)], [tensor.input]))
        tail.append(
            helper.make_node("Reshape", [tensor.output, shape(f"{part}_out", -1, tensor.width)], [f"{part}_next"])
        )
    tail.append(helper.make_node("Concat", [f"{part}_next" for part in parts], [ROWS_NEXT], axis=1))
    nodes = [*head, *graph.node, *tail]
    graph.ClearField("node")
    graph.node.extend(nodes)
    return wrapped
