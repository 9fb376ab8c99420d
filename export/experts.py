"""The graph's choice among several linear paths: prediction with expert advice.

Each stream keeps a record of what each expert's advice would have cost it. Experts are mixed by exp(-loss), the
exponentially weighted forecaster (Littlestone and Warmuth 1994; Cesa-Bianchi and Lugosi 2006, ch. 2), times what the
network thinks of them. So a stream never seen in training finds the expert that suits it, within some tens of events.
"""

import numpy as np
from onnx import TensorProto

from export.config import DOUBT_LIMIT, LINEAR_LIMIT, REGRET_LIMIT, SEEN_LIMIT, Config, Weights
from export.nodes import Pen
from export.scaling import TIME, fold


def record(
    pen: Pen, config: Config, weights: Weights, unit: str, base: str, values: str, mask: str, advice: str
) -> str:
    """What each expert's losses say against it, and the gate's bias, around: [time + 1, batch, targets, experts].

    unit and base around, values and mask [targets, time, batch]; advice [time + 1, batch, targets * experts], in
    scales. A loss is the absolute error in scales, at most SEEN_LIMIT; nothing where the value is missing. Writes the
    next losses.
    """
    said = pen.op("Reshape", advice, pen.ints(0, 0, len(config.targets), config.experts))
    said = pen.cut(pen.op("Transpose", said, perm=[2, 3, 0, 1]), 0, -1, TIME + 1)  # [targets, experts, time, batch]
    moved = pen.op("Sub", values, pen.cut(base, 0, -1, TIME))
    moved = pen.op("Div", moved, unit if config.scaling == "fixed" else pen.cut(unit, 0, -1, TIME))
    moved = pen.op("Unsqueeze", pen.clip(moved, LINEAR_LIMIT), pen.ints(1))
    error = pen.clip(pen.op("Abs", pen.op("Sub", moved, said)), SEEN_LIMIT)
    young = pen.op("Less", pen.cut("age_around", 0, -1, TIME), pen.floats(REGRET_LIMIT))
    young = pen.cast(young, TensorProto.FLOAT)
    if config.targets != config.features:
        young = pen.op("Gather", young, pen.ints(*config.target_columns), axis=0)
    counted = pen.op("Unsqueeze", pen.op("Mul", mask, young), pen.ints(1))
    before = pen.op("Unsqueeze", pen.op("Transpose", "losses", perm=[1, 2, 0]), pen.ints(2))
    losses = fold(pen, before, pen.op("Mul", error, counted), TIME + 1)
    newest = pen.op("Squeeze", pen.cut(losses, -1, None, TIME + 1), pen.ints(2))
    pen.op("Transpose", newest, perm=[2, 0, 1], out="losses_next")
    doubt = pen.op("Sub", pen.op("ReduceMin", losses, pen.ints(1), keepdims=1), losses)
    doubt = pen.op(
        "Add",
        pen.clip(doubt, DOUBT_LIMIT),
        pen.floats(weights["gate.bias"].reshape(len(config.targets), config.experts, 1, 1)),
    )
    return pen.op("Transpose", doubt, perm=[2, 3, 0, 1])


def mix(pen: Pen, config: Config, weights: Weights, hidden: str, doubt: str, advice: str) -> str:
    """The experts' advice as one, in scales, around: [targets, time + 1, batch]."""
    shape = pen.ints(0, 0, len(config.targets), config.experts)
    gate = pen.op("MatMul", hidden, pen.floats(weights["gate.weight"].T))
    share = pen.op("Softmax", pen.op("Add", pen.op("Reshape", gate, shape), doubt), axis=-1)
    parts = pen.op("Mul", share, pen.op("Reshape", advice, shape))
    # A product with ones, not ReduceSum: that one's order of adding depends on the place in the batch.
    total = pen.op("MatMul", parts, pen.floats(np.ones((config.experts, 1), np.float32)))
    return pen.op("Transpose", pen.op("Squeeze", total, pen.ints(-1)), perm=[2, 0, 1])
