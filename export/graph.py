"""Builds the model file's graph, node by node, from a config and numpy weights. No torch, no tracing.

The rules that keep predictions reproducible (docs: the same bits for every batch size and every split over time):
only operators that `parity` has on its list, sums over time only as left folds from the state, opset and IR pinned.
"""

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, checker, helper

from export import experts, head, scaling
from export.config import COUNT_LIMIT, LEVELS, LINEAR_LIMIT, SEEN_LIMIT, Config, Weights
from export.nodes import Pen
from export.scaling import Events, Scale, fold

OPSET = 21
IR = 10
TIME, BATCH = "time", "batch"


def build(config: Config, weights: Weights) -> ModelProto:
    """The graph of task `number`, as `signature.Signature` describes it, without a signature.

    Raises ValueError where the weights do not fit the config.
    """
    config.check(weights)
    pen = Pen()
    events = scaling.fill(pen, config, weights)
    scale = scaling.fixed(pen, weights) if config.scaling == "fixed" else scaling.stream(pen, weights, events)
    level = pen.op("Sub", events.last, scale.mean) if scale.mean else events.last
    way = lags(pen, config, events, scale) if config.back else changes(pen, events)
    hidden = lstm(pen, config, weights, seen(pen, config, level, way, scale))

    unit, base, values = (of_targets(pen, config, name) for name in (scale.change, events.last, events.filled))
    if config.lags:
        advice = linear(pen, config, weights, level, way, scale)
        if config.experts > 1:
            trust = experts.record(pen, config, unit, base, values, advice)
            advice = experts.mix(pen, config, weights, hidden, trust, advice)
        base = pen.op("Add", base, pen.op("Mul", advice, unit))
    median, widths = head.predict(pen, config, weights, hidden, base, unit)
    head.surprise(pen, weights, values, median, widths, unit, constant=config.scaling == "fixed")
    return _model(config, pen)


def lags(pen: Pen, config: Config, events: Events, scale: Scale) -> str:
    """From the newest value to each lag's, in scales, around: [time + 1, batch, lags * features]. Writes the history.

    0 where the stream is too young: the past before its first value is taken as flat.
    """
    length, features = config.history, len(config.features)
    whole = pen.op("Concat", "history", pen.op("Transpose", events.filled, perm=[1, 0, 2]), axis=1)
    pen.cut(whole, -length, None, axis=1, out="history_next")
    around = pen.op("Squeeze", pen.op("Shape", events.last, start=0, end=1))
    zero, one = (pen.constant(np.array(i, np.int64)) for i in (0, 1))
    start = pen.op("Unsqueeze", pen.op("Range", zero, around, one), pen.ints(1))
    index = pen.op("Add", start, pen.ints(*(length - lag for lag in config.back)))
    values = pen.op("Transpose", pen.op("Gather", whole, index, axis=1), perm=[1, 0, 2, 3])

    before = pen.op("Unsqueeze", "age", pen.ints(0))
    known = pen.op("Min", pen.op("Add", before, pen.cast(events.number, TensorProto.FLOAT)), pen.floats(1.0))
    age = pen.op("Min", fold(pen, before, known), pen.floats(COUNT_LIMIT), out="age_around")
    pen.op("Squeeze", pen.cut(age, -1, None), pen.ints(0), out="age_next")
    axis = pen.ints(2)
    old = pen.op(
        "GreaterOrEqual", pen.op("Unsqueeze", age, axis), pen.floats(np.array(config.back, np.float32)[:, None])
    )
    unit = scale.change if config.scaling == "fixed" else pen.op("Unsqueeze", scale.change, axis)
    distances = pen.op("Div", pen.op("Sub", values, pen.op("Unsqueeze", events.last, axis)), unit)
    distances = pen.op("Where", old, pen.clip(distances, LINEAR_LIMIT), pen.floats(0.0))
    return pen.op("Reshape", distances, pen.ints(0, 0, len(config.back) * features))


def changes(pen: Pen, events: Events) -> str:
    """The change at each event: what the LSTM sees of the past where there are no lags. Writes the history."""
    pen.op("Transpose", pen.cut(events.last, -1, None), perm=[1, 0, 2], out="history_next")
    return pen.op("Sub", events.filled, pen.cut(events.last, 0, -1))


def seen(pen: Pen, config: Config, level: str, way: str, scale: Scale) -> str:
    """What the LSTM sees at each event, [time, batch, input_width]."""
    level, spread, change = pen.cut(level, 1, None), scale.spread, scale.change
    if config.scaling == "stream":
        spread, change = pen.cut(spread, 1, None), pen.cut(change, 1, None)
    way = pen.cut(way, 1, None) if config.back else pen.op("Div", way, change)
    return pen.clip(pen.op("Concat", pen.op("Div", level, spread), "mask", way, axis=-1), SEEN_LIMIT)


def linear(pen: Pen, config: Config, weights: Weights, level: str, way: str, scale: Scale) -> str:
    """What each linear path says of the next change, in scales, around: [time + 1, batch, targets * experts]."""
    level = pen.clip(pen.op("Div", level, scale.change), LINEAR_LIMIT)
    parts = pen.op("Concat", way, level, axis=-1) if config.back else level
    return pen.op("MatMul", parts, pen.floats(weights["linear.weight"].T))


def lstm(pen: Pen, config: Config, weights: Weights, inputs: str) -> str:
    """The last layer's hidden state around each event, [time + 1, batch, hidden]. Writes the next h and c."""
    first, second = pen.ints(0), pen.ints(1)
    before = ""
    for layer in range(config.layers):
        w, r, b = (pen.floats(array) for array in onnx_lstm(weights, layer))
        before = pen.op("Unsqueeze", f"h{layer}", first)
        cell = pen.op("Unsqueeze", f"c{layer}", first)
        names = [f"lstm{layer}_{part}" for part in ("y", "h", "c")]
        y, h, c = pen.ops("LSTM", inputs, w, r, b, "", before, cell, out=names, hidden_size=config.hidden)
        inputs = pen.op("Squeeze", y, second)
        pen.op("Squeeze", h, first, out=f"h{layer}_next")
        pen.op("Squeeze", c, first, out=f"c{layer}_next")
    return pen.op("Concat", before, inputs, axis=0)


def onnx_lstm(weights: Weights, layer: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One layer's weights in ONNX's order of gates (input, output, forget, cell), with the axis of directions."""

    def order(name: str) -> np.ndarray:
        i, f, g, o = np.split(weights[f"lstm.{name}_l{layer}"], 4)
        return np.concatenate([i, o, f, g])

    bias = np.concatenate([order("bias_ih"), order("bias_hh")])
    return order("weight_ih")[None], order("weight_hh")[None], bias[None]


def of_targets(pen: Pen, config: Config, tensor: str) -> str:
    """The columns of the features that are predicted."""
    if config.targets == config.features:
        return tensor
    return pen.op("Gather", tensor, pen.ints(*config.target_columns), axis=-1)


def _model(config: Config, pen: Pen) -> ModelProto:
    features, targets = len(config.features), len(config.targets)

    def value(name: str, *shape: str | int) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    inputs = [value(name, TIME, BATCH, features) for name in ("x", "mask")]
    outputs = [value("quantiles", TIME, BATCH, targets, len(LEVELS)), value("surprise", TIME, BATCH, targets)]
    for tensor in config.state:
        inputs.append(value(tensor.input, BATCH, *tensor.shape))
        outputs.append(value(tensor.output, BATCH, *tensor.shape))
    graph = helper.make_graph(pen.nodes, "statecast", inputs, outputs, pen.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    checker.check_model(model, full_check=True)
    return model
