"""The graphs that stand around a model's, made when it is loaded. Knows ONNX, no onnxruntime.

The file's graph takes each state tensor by itself. `with_rows` makes one that takes and gives whole rows, so that a
gather from the bank is one copy and a scatter another; `with_bank` one that takes the bank and slots, and gathers and
scatters by itself. `reading` and `writing` are for rows that come from elsewhere, or go there.
"""

from collections.abc import Sequence

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from export.signature import Signature

ROWS, ROWS_NEXT = "statecast_rows", "statecast_rows_next"  # [batch, width]
BANK, BANK_NEXT = "statecast_bank", "statecast_bank_next"  # [capacity, width]; both bound to the same memory
SLOTS = "statecast_slots"  # [batch], all different
COLD = "statecast_cold"  # []; true: the rows are taken for zeros
OLD = "statecast_rows_before"  # [batch, width]
AROUND = "statecast_around"  # [time + 1, batch, *output_shape]; what was predicted before the first event, too
FINITE = "statecast_finite"  # [batch]; false: the stream's row stays as it was
_INDEX = "statecast_index"
_EACH = frozenset({"Transpose", "Unsqueeze", "Softmax", "Add", "MatMul"})  # take each time by itself
_ONE, _ZERO = "statecast_one", "statecast_zero"


def with_rows(model: ModelProto, signature: Signature) -> ModelProto:
    """The same model with one input [batch, width] in place of its state inputs, and one such output."""
    wrapped = ModelProto()
    wrapped.CopyFrom(model)
    graph, state = wrapped.graph, signature.state
    row = _floats(ROWS, "batch", signature.row_width)
    _swap(graph.input, {t.input for t in state}, [row])
    _swap(graph.output, {t.output for t in state}, [_floats(ROWS_NEXT, "batch", signature.row_width)])

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
    _around(graph, head, tail)
    return wrapped


def with_bank(model: ModelProto, signature: Signature) -> ModelProto:
    """The same model over rows that stand in a bank: slots, and whether they start cold, in place of state inputs."""
    wrapped = with_rows(model, signature)
    graph, width = wrapped.graph, signature.row_width
    slots, cold = _ints(SLOTS, "batch"), helper.make_tensor_value_info(COLD, TensorProto.BOOL, [])
    _swap(graph.input, {ROWS}, [_floats(BANK, "capacity", width), slots, cold])
    finite = helper.make_tensor_value_info(FINITE, TensorProto.BOOL, ["batch"])
    new = [_floats(OLD, "batch", width), finite, _floats(BANK_NEXT, "capacity", width)]
    _swap(graph.output, {ROWS_NEXT}, new)
    graph.initializer.extend([_constant(_ZERO, np.float32(0)), _constant(_ONE, np.array([1], np.int64))])
    head = [
        helper.make_node("Gather", [BANK, SLOTS], [OLD], axis=0),
        helper.make_node("Where", [COLD, _ZERO, OLD], [ROWS]),
    ]
    tail, sums = [], []
    for name, axes in ((ROWS_NEXT, [1]), (signature.output, [0, 2, 3]), ("surprise", [0, 2])):
        # Nothing but NaN and infinity times 0 is other than 0, and no sum of zeros overflows.
        axes_name, nothing, total = (f"statecast_{what}_of_{name}" for what in ("axes", "nothing", "sum"))
        graph.initializer.append(_constant(axes_name, np.array(axes, np.int64)))
        tail.append(helper.make_node("Mul", [name, _ZERO], [nothing]))
        tail.append(helper.make_node("ReduceSum", [nothing, axes_name], [total], keepdims=0))
        sums.append(total)
    standing = "statecast_rows_standing"
    tail += [
        helper.make_node("Sum", sums, ["statecast_nothing"]),
        helper.make_node("Equal", ["statecast_nothing", _ZERO], [FINITE]),
        helper.make_node("Unsqueeze", [FINITE, _ONE], ["statecast_finite_rows"]),
        helper.make_node("Where", ["statecast_finite_rows", ROWS_NEXT, OLD], [standing]),
        *_scatter(standing),
    ]
    _around(graph, head, tail)
    return wrapped


def with_around(model: ModelProto, signature: Signature) -> ModelProto | None:
    """As `with_rows`, with AROUND as a further output. None where the graph predicts nothing before the first event.

    The head stands on the states around the events, and what is predicted is cut from it: here it is not cut.
    """
    wrapped = with_rows(model, signature)
    graph = wrapped.graph
    makers = {name: node for node in graph.node for name in node.output}
    numbers = {c.name: numpy_helper.to_array(c).tolist() for c in graph.initializer if c.data_type == TensorProto.INT64}
    chain, name = [], signature.output
    while (node := makers.get(name)) is not None and node.op_type != "Slice":
        if node.op_type not in _EACH:
            return None
        chain.append(node)
        name = node.input[0]
    if node is None or numbers.get(node.input[1]) != [1]:  # where the cut begins
        return None
    name = node.input[0]
    for node in reversed(chain):
        whole = NodeProto()
        whole.CopyFrom(node)
        whole.input[0], whole.output[0], whole.name = name, f"{AROUND}_{node.output[0]}", f"{AROUND}_{node.name}"
        graph.node.append(whole)
        name = whole.output[0]
    graph.node.append(helper.make_node("Identity", [name], [AROUND]))
    graph.output.append(_floats(AROUND, "around", "batch", *signature.output_shape))
    return wrapped


def reading(like: ModelProto, width: int) -> ModelProto:
    """[capacity, width] and slots -> the rows there."""
    node = helper.make_node("Gather", [BANK, SLOTS], [OLD], axis=0)
    inputs = [_floats(BANK, "capacity", width), _ints(SLOTS, "batch")]
    return _model(like, helper.make_graph([node], "read", inputs, [_floats(OLD, "batch", width)]))


def writing(like: ModelProto, width: int) -> ModelProto:
    """[capacity, width], slots, all different, and rows -> the bank with these rows there."""
    inputs = [_floats(BANK, "capacity", width), _ints(SLOTS, "batch"), _floats(ROWS, "batch", width)]
    one = [_constant(_ONE, np.array([1], np.int64))]
    outputs = [_floats(BANK_NEXT, "capacity", width)]
    return _model(like, helper.make_graph(_scatter(ROWS), "write", inputs, outputs, one))


def zeros(like: ModelProto) -> ModelProto:
    """A shape -> a bank of zeros."""
    node = helper.make_node("ConstantOfShape", ["shape"], [BANK])
    return _model(like, helper.make_graph([node], "zeros", [_ints("shape", 2)], [_floats(BANK, "capacity", "width")]))


def _scatter(rows: str) -> list[NodeProto]:
    return [
        helper.make_node("Unsqueeze", [SLOTS, _ONE], [_INDEX]),
        helper.make_node("ScatterND", [BANK, _INDEX, rows], [BANK_NEXT]),
    ]


def _model(like: ModelProto, graph: GraphProto) -> ModelProto:
    return helper.make_model(graph, opset_imports=like.opset_import, ir_version=like.ir_version)


def _around(graph: GraphProto, head: Sequence[NodeProto], tail: Sequence[NodeProto]) -> None:
    nodes = [*head, *graph.node, *tail]
    graph.ClearField("node")
    graph.node.extend(nodes)


def _swap(values: list[ValueInfoProto], gone: set[str], new: Sequence[ValueInfoProto]) -> None:
    kept = [value for value in values if value.name not in gone]
    del values[:]
    values.extend([*kept, *new])


def _floats(name: str, *shape: str | int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _ints(name: str, *shape: str | int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, shape)


def _constant(name: str, value: np.ndarray | np.generic) -> TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)
