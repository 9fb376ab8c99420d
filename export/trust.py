"""Whether a file's graph is one that a session may be made of: a model file is input, like any other.

Knows onnx, and nothing of what a graph means. What is refused here never reaches onnxruntime.
"""

from collections.abc import Iterator
from math import prod

import onnx
from onnx import AttributeProto, ModelProto, TensorProto, helper, shape_inference

MOST_BYTES = (1 << 31) - 1  # that protobuf holds in one message
MOST_ELEMENTS = 1 << 28  # of one tensor on the way, for two events of two streams; 1 GiB
DOMAINS = frozenset({"", "ai.onnx"})  # of ONNX itself: anything else would be somebody's own code

# Operators of onnxruntime's CPU provider that were measured to give the same bits for every batch size, every split
# over time and one or two threads. Not: Softplus, Log, Sin, Cos, Atan, Mish (differ with the batch size, some of them
# in double too), ReduceSum and ReduceMean over the last axis (the order depends on the place in the batch). RNN differs
# at batch 1: `cells` gives it a stream more. None of them takes a graph, reads a file or makes a tensor from a number.
OPERATORS = frozenset((
    "Abs", "Add", "And", "Cast", "Clip", "Div", "Equal", "Exp", "Greater", "GreaterOrEqual", "Less",
    "Max", "Min", "Mul", "Neg", "Round", "Sqrt", "Sub",
    "Concat", "Gather", "GatherElements", "Range", "Reshape", "ScatterElements", "Shape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze", "Where",
    "ArgMax", "CumSum", "GRU", "LogSoftmax", "LSTM", "MatMul", "ReduceMax", "ReduceMin", "RNN", "Softmax",
))  # fmt: skip


def unknown(model: ModelProto) -> list[str]:
    """Operators that are not on the list, by name."""
    names = {f"{n.domain}.{n.op_type}" if n.domain not in DOMAINS else n.op_type for n in model.graph.node}
    return sorted(names - OPERATORS)


def wrong(model: ModelProto) -> str:
    """Why no session is made of this; empty where one may be."""
    return next(_wrong(model), "")


def _wrong(model: ModelProto) -> Iterator[str]:
    if not all(isinstance(name, str) for name in _names(model)):  # protobuf gives bytes for what is no UTF-8
        yield "has names that are no text: the file is damaged"
    foreign = sorted({o.domain for o in model.opset_import} - DOMAINS)
    if foreign:
        yield f"uses operators of domain {foreign[0]!r}; only ONNX's own are run"
    if model.functions or model.training_info:
        yield "has functions or training graphs of its own, which no statecast model has"
    if others := unknown(model):
        yield f"uses {', '.join(others[:5])}, which no statecast model has"
    if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for n in model.graph.node for a in n.attribute):
        yield "has a graph inside a node, which no statecast model has"
    if model.graph.sparse_initializer:
        yield "has sparse tensors, which no statecast model has"
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            yield f"keeps tensor {tensor.name!r} in another file; a statecast model is one file"
        elif reason := _damaged(tensor):
            yield f"has tensor {tensor.name!r} {reason}"
    if reason := _swollen(model):
        yield reason


def _names(model: ModelProto) -> Iterator[object]:
    graph = model.graph
    yield from (o.domain for o in model.opset_import)
    for part in (graph.input, graph.output, graph.initializer, graph.node):
        yield from (p.name for p in part)
    for node in graph.node:
        yield from (node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield from (attribute.name, attribute.ref_attr_name)
    for value in (*graph.input, *graph.output):
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            yield from attribute.tensors


def _damaged(tensor: TensorProto) -> str:
    """Whether a tensor does not hold what its shape says."""
    try:
        size = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        stored = helper.tensor_dtype_to_field(tensor.data_type)
    except (KeyError, TypeError):
        return f"of a type {tensor.data_type} that ONNX does not know"
    if any(dim < 0 for dim in tensor.dims):
        return f"of shape {list(tensor.dims)}"
    elements = prod(tensor.dims)
    if tensor.raw_data:
        fits = len(tensor.raw_data) == elements * size
    else:  # several small ones may share a field's element, and a complex one takes two
        fits = len(getattr(tensor, stored)) <= 2 * elements <= 16 * max(1, len(getattr(tensor, stored)))
    return "" if fits or elements == 0 else f"whose data does not fill its shape {list(tensor.dims)}"


def _swollen(model: ModelProto) -> str:
    """Whether some tensor on the way is absurdly large, or the shapes contradict each other."""
    small = ModelProto()
    small.CopyFrom(model)
    for value in (*small.graph.input, *small.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_value = 2
    del small.graph.value_info[:]  # what the file claims of its insides is not asked
    try:
        found = shape_inference.infer_shapes(small, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # its errors have no common base
        return f"has shapes or types that contradict each other ({str(error).strip().splitlines()[-1]})"
    for value in found.graph.value_info:
        if prod(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim) > MOST_ELEMENTS:
            return f"makes a tensor of more than {MOST_ELEMENTS} numbers of four events ({value.name!r})"
    return ""


def shape_of(value: onnx.ValueInfoProto) -> tuple[int | None, ...] | None:
    """Of a graph's input or output; None for a size that is open. None: it is no float32 tensor."""
    kind = value.type.tensor_type
    if kind.elem_type != TensorProto.FLOAT or not kind.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
