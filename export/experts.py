"""The graph's choice among several linear paths: prediction with expert advice.

Each stream keeps a record of what each expert's advice would have cost it. Experts are mixed by exp(-loss), the
exponentially weighted forecaster (Littlestone and Warmuth 1994; Cesa-Bianchi and Lugosi 2006, ch. 2), times what the
LSTM thinks of them. So a stream never seen in training finds the expert that suits it, within some tens of events.
"""

import numpy as np

from export.config import DOUBT_LIMIT, LINEAR_LIMIT, REGRET_LIMIT, SEEN_LIMIT, Config, Weights
from export.nodes import Pen
from export.scaling import fold


def record(pen: Pen, config: Config, unit: str, base: str, values: str, advice: str) -> str:
    """What each expert's losses say against it, around: [time + 1, batch, targets, experts], 0 for the best one.

    unit and base around; values [time, batch, targets]; advice around, [.., targets * experts], in scales. A loss is
    the absolute error in scales, at most SEEN_LIMIT; nothing where the value is missing. Writes the next losses.
    """
    fixed = config.scaling == "fixed"
    axis = pen.ints(-1)
    told = pen.op("Reshape", pen.cut(advice, 0, -1), pen.ints(0, 0, len(config.targets), config.experts))
    moved = pen.op("Sub", values, pen.cut(base, 0, -1))
    moved = pen.clip(pen.op("Div", moved, unit if fixed else pen.cut(unit, 0, -1)), LINEAR_LIMIT)
    error = pen.op("Abs", pen.op("Sub", pen.op("Unsqueeze", moved, axis), told))
    young = pen.op("Cast", pen.op("Less", pen.cut("age_around", 0, -1), pen.floats(REGRET_LIMIT)), to=1)
    counted = pen.op("Mul", "mask", young)
    if config.targets != config.features:
        counted = pen.op("Gather", counted, pen.ints(*config.target_columns), axis=-1)
    loss = pen.op("Mul", pen.op("Min", error, pen.floats(SEEN_LIMIT)), pen.op("Unsqueeze", counted, axis))
    losses = fold(pen, pen.op("Unsqueeze", "losses", pen.ints(0)), loss)
    pen.op("Squeeze", pen.cut(losses, -1, None), pen.ints(0), out="losses_next")
    doubt = pen.op("Sub", pen.op("ReduceMin", losses, axis, keepdims=1), losses)
    return pen.op("Max", doubt, pen.floats(-DOUBT_LIMIT))


def mix(pen: Pen, config: Config, weights: Weights, hidden: str, trust: str, advice: str) -> str:
    """The experts' advice as one, in scales, around: [time + 1, batch, targets]."""
    shape = pen.ints(0, 0, len(config.targets), config.experts)
    gate = pen.op("MatMul", hidden, pen.floats(weights["gate.weight"].T))
    gate = pen.op("Add", gate, pen.floats(weights["gate.bias"]))
    share = pen.op("Softmax", pen.op("Add", pen.op("Reshape", gate, shape), trust), axis=-1)
    parts = pen.op("Mul", share, pen.op("Reshape", advice, shape))
    # A product with ones, not ReduceSum: that one's order of adding depends on the place in the batch.
    total = pen.op("MatMul", parts, pen.floats(np.ones((config.experts, 1), np.float32)))
    return pen.op("Squeeze", total, pen.ints(-1))
