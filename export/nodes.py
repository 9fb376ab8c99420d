"""A pen for ONNX graphs: writes one node or constant after another and gives their names. Knows nothing of networks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper


class Pen:
    """Nodes in the order they were written, and the constants they take."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._names: dict[bytes, str] = {}

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """One node with one output; gives the output's name (`out`, or a fresh one)."""
        return self.ops(kind, *inputs, out=(out or f"{kind.lower()}_{len(self.nodes)}",), **attributes)[0]

    def ops(self, kind: str, *inputs: str, out: Sequence[str], **attributes: Any) -> list[str]:
        """One node with several outputs, named by `out`; an empty name is an output that nobody wants."""
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), list(out), name=name, **attributes))
        return list(out)

    def constant(self, value: NDArray[Any]) -> str:
        """A constant's name; equal constants are written once."""
        key = f"{value.dtype}{value.shape}".encode() + value.tobytes()
        if key not in self._names:
            self._names[key] = f"constant_{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(value.copy(order="C"), self._names[key]))
        return self._names[key]

    def floats(self, value: float | NDArray[np.float32]) -> str:
        """A float32 constant."""
        return self.constant(np.asarray(value, np.float32))

    def doubles(self, value: float | NDArray[np.float64]) -> str:
        """A float64 constant."""
        return self.constant(np.asarray(value, np.float64))

    def ints(self, *values: int) -> str:
        """An int64 vector, such as axes, shapes and bounds are."""
        return self.constant(np.array(values, np.int64))

    def cast(self, tensor: str, kind: TensorProto.DataType) -> str:
        """The tensor with another element type."""
        return self.op("Cast", tensor, to=kind)

    def cut(self, tensor: str, start: int, stop: int | None, axis: int = 0, out: str = "") -> str:
        """tensor[start:stop] along one axis."""
        last = np.iinfo(np.int64).max if stop is None else stop
        return self.op("Slice", tensor, self.ints(start), self.ints(int(last)), self.ints(axis), out=out)

    def clip(self, tensor: str, limit: float) -> str:
        """The tensor with magnitudes up to the limit; infinity becomes the limit."""
        return self.op("Clip", tensor, self.floats(-limit), self.floats(limit))
