"""Builds the model file's graph, node by node, from a config and numpy weights. No torch, no tracing.

The rules that keep predictions reproducible (docs: the same bits for every batch size and every split over time):
only operators that `parity` has on its list, sums over time only as left folds from the state, opset and IR pinned.
"""

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, checker, helper

from export import cells, classify, clock, experts, head, reach, scaling, symbol
from export.config import CLOCK, COUNT_LIMIT, LINEAR_LIMIT, SEEN_LIMIT, Config, Weights
from export.nodes import Pen
from export.scaling import TIME, Events, Scale, batch_first, fold

OPSET = 21
IR = 10


def build(config: Config, weights: Weights) -> ModelProto:
    """The graph of a network, as `signature.Signature` describes it, without a signature.

    Raises ValueError where the weights do not fit the config.
    """
    config.check(weights)
    pen = Pen()
    if config.task == "symbol":
        symbol.write(pen, config, weights)
    else:
        _of_values(pen, config, weights)
    return _model(config, pen)


def _of_values(pen: Pen, config: Config, weights: Weights) -> None:
    """The tasks whose events are numbers: `number` and `class`."""
    events = scaling.fill(pen, config, weights)
    scale = scaling.fixed(pen, weights) if config.scaling == "fixed" else scaling.stream(pen, weights, events)
    level = pen.op("Sub", events.last, scale.mean) if scale.mean else events.last
    way = lags(pen, config, events, scale) if config.back else changes(pen, events)
    hidden = cells.recurrent(pen, config, weights, seen(pen, config, weights, events, level, way, scale))
    if config.task == "class":
        classify.write(pen, weights, hidden)
        return

    unit, base, values, mask = (
        of_targets(pen, config, name) for name in (scale.change, events.last, events.filled, events.mask)
    )
    if config.lags:
        said = linear(pen, config, weights, level, way, scale)
        if config.experts > 1:
            doubt = experts.record(pen, config, weights, unit, base, values, mask, said)
            advice = experts.mix(pen, config, weights, hidden, doubt, said)
        else:
            advice = pen.op("Transpose", said, perm=[2, 0, 1])
        base = pen.op("Add", base, pen.op("Mul", advice, unit))
    median, widths = head.predict(pen, config, weights, hidden, base, unit)
    sides, told = head.sides(pen, values, median), mask
    if config.reach:
        widths, told = reach.widen(pen, weights, sides, mask, widths)
    head.quantiles(pen, config, weights, median, widths)
    head.surprise(pen, weights, sides, told, widths)


def lags(pen: Pen, config: Config, events: Events, scale: Scale) -> str:
    """From the newest value to each lag's, in scales, around: [lags * features, time + 1, batch]. Writes the history.

    0 where the stream is too young: the past before its first value is taken as flat.
    """
    length = config.history
    whole = pen.op("Concat", events.history, events.filled, axis=TIME)
    batch_first(pen, pen.cut(whole, -length, None, TIME), length, len(config.features), out="history_next")
    around = pen.op("Squeeze", pen.op("Shape", events.last, start=TIME, end=TIME + 1))
    zero, one = (pen.constant(np.array(i, np.int64)) for i in (0, 1))
    steps = pen.op("Range", zero, around, one)
    starts = pen.constant(np.array([[length - lag] for lag in config.back], np.int64))
    index = pen.op("Add", steps, starts)  # [lags, time + 1]
    values = pen.op("Gather", whole, index, axis=TIME)  # [features, lags, time + 1, batch]

    before = pen.op("Unsqueeze", pen.op("Transpose", "age", perm=[1, 0]), pen.ints(TIME))
    known = pen.clip(pen.op("Add", before, pen.cast(events.number, TensorProto.FLOAT)), 1.0)
    age = pen.op("Clip", fold(pen, before, known), pen.floats(0.0), pen.floats(COUNT_LIMIT), out="age_around")
    newest = pen.op("Squeeze", pen.cut(age, -1, None, TIME), pen.ints(TIME))
    pen.op("Transpose", newest, perm=[1, 0], out="age_next")

    axis = pen.ints(1)
    oldest = pen.floats(np.array(config.back, np.float32)[:, None, None])
    old = pen.cast(pen.op("GreaterOrEqual", pen.op("Unsqueeze", age, axis), oldest), TensorProto.FLOAT)
    unit = pen.op("Unsqueeze", scale.change, axis)
    distances = pen.op("Div", pen.op("Sub", values, pen.op("Unsqueeze", events.last, axis)), unit)
    distances = pen.op("Mul", pen.clip(distances, LINEAR_LIMIT), old)
    if len(config.features) == 1:
        return pen.op("Squeeze", distances, pen.ints(0))
    parts = pen.ops("Split", distances, axis=1, num_outputs=len(config.back), out=[f"lag_{k}" for k in config.back])
    return pen.op("Concat", *(pen.op("Squeeze", part, axis) for part in parts), axis=0)


def changes(pen: Pen, events: Events) -> str:
    """The change at each event: what the cells see of the past where there are no lags. Writes the history."""
    pen.op("Transpose", pen.cut(events.last, -1, None, TIME), perm=[2, 1, 0], out="history_next")
    return pen.op("Sub", events.filled, pen.cut(events.last, 0, -1, TIME))


def seen(pen: Pen, config: Config, weights: Weights, events: Events, level: str, way: str, scale: Scale) -> str:
    """What the first layer sees at each event, [time, batch, input_width]."""
    if config.scaling == "stream":
        level = pen.op("Div", pen.cut(level, 1, None, TIME), pen.cut(scale.spread, 1, None, TIME))
        change = "" if config.back else pen.cut(scale.change, 1, None, TIME)
    else:
        level, change = pen.op("Div", events.filled, scale.spread), scale.change
    way = pen.cut(way, 1, None, TIME) if config.back else pen.op("Div", way, change)
    inputs = pen.clip(pen.op("Concat", level, events.mask, way, axis=0), SEEN_LIMIT)
    inputs = pen.op("Transpose", inputs, perm=[1, 2, 0])
    return pen.op("Concat", inputs, clock.seen(pen, config, weights), axis=2) if config.clock else inputs


def linear(pen: Pen, config: Config, weights: Weights, level: str, way: str, scale: Scale) -> str:
    """What each linear path says of the next change, in scales, around: [time + 1, batch, targets * experts].

    In double, then cast: the experts' records add up what follows from it, and its last places would add up too.
    """
    level = pen.clip(pen.op("Div", level, scale.change), LINEAR_LIMIT)
    parts = pen.op("Concat", way, level, axis=0) if config.back else level
    # The cast before the transpose: onnxruntime 1.31 crashes where it fuses them the other way round.
    parts = pen.op("Transpose", pen.cast(parts, TensorProto.DOUBLE), perm=[1, 2, 0])
    said = pen.op("MatMul", parts, pen.constant(weights["linear.weight"].T.astype(np.float64)))
    said = pen.op("Add", said, pen.constant(weights["linear.bias"].astype(np.float64)))
    return pen.cast(said, TensorProto.FLOAT)


def of_targets(pen: Pen, config: Config, tensor: str) -> str:
    """The columns of the features that are predicted."""
    if config.targets == config.features:
        return tensor
    return pen.op("Gather", tensor, pen.ints(*config.target_columns), axis=0)


def _model(config: Config, pen: Pen) -> ModelProto:
    columns = len(config.features) + (len(CLOCK) if config.clock else 0)

    def value(name: str, *shape: str | int) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    inputs = [value(name, "time", "batch", columns) for name in ("x", "mask")]
    outputs = [
        value(config.output, "time", "batch", *config.output_shape),
        value("surprise", "time", "batch", len(config.targets)),
    ]
    for tensor in config.state:
        inputs.append(value(tensor.input, "batch", *tensor.shape))
        outputs.append(value(tensor.output, "batch", *tensor.shape))
    graph = helper.make_graph(pen.nodes, "statecast", inputs, outputs, pen.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    checker.check_model(model, full_check=True)
    return model
