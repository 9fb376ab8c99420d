"""The graph's last part: quantiles of the next event, and the surprise of this one. Knows nothing of scaling's sums.

The head stands on the LSTM's state around each event (0..T), so evaluation t is the prediction after event t, and at
the same time the prior of event t + 1: surprise needs no state of its own.
"""

import numpy as np

from export.config import HEAD_WIDTH, SURPRISE_LIMIT, WIDTH_LIMIT, Config, Weights
from export.nodes import Pen

INNER = -float(np.log10(0.5))  # surprise at the 25 % and 75 % quantiles; at 5 % and 95 % it is 1
# From the widths (up, down, further up, further down) to the offsets of the five levels from the median. Each row's sum
# grows outwards, so quantiles cannot cross.
OFFSETS = np.array([[0, 0, 0, 1, 1], [-1, -1, 0, 0, 0], [0, 0, 0, 0, 1], [-1, 0, 0, 0, 0]], np.float32)


def predict(pen: Pen, config: Config, weights: Weights, hidden: str, base: str, scale: str) -> tuple[str, str]:
    """Median [time + 1, batch, targets] in the user's units (less the centre), widths [.., targets, 4] in scales.

    hidden [time + 1, batch, hidden]; base and scale broadcast to [time + 1, batch, targets]. Writes `quantiles`.
    """
    targets = len(config.targets)
    raw = pen.op("MatMul", hidden, pen.floats(weights["head.weight"].T))
    raw = pen.op("Add", raw, pen.floats(weights["head.bias"]))
    raw = pen.op("Reshape", raw, pen.ints(0, 0, targets, HEAD_WIDTH))
    correction, exponents = pen.ops("Split", raw, pen.ints(1, HEAD_WIDTH - 1), axis=-1, out=["correction", "exponents"])
    widths = pen.op("Exp", pen.clip(exponents, WIDTH_LIMIT))
    widths = pen.op("Mul", widths, pen.floats(weights["stretch"]))
    axis = pen.ints(-1)
    base, scale = pen.op("Unsqueeze", base, axis), pen.op("Unsqueeze", scale, axis)
    median = pen.op("Add", base, pen.op("Mul", correction, scale))  # [.., targets, 1]
    offsets = pen.op("Mul", pen.op("MatMul", widths, pen.floats(OFFSETS)), scale)
    quantiles = pen.op("Add", median, offsets)
    if config.scaling == "fixed":
        center = weights["center"][list(config.target_columns)][:, None]
        quantiles = pen.op("Add", quantiles, pen.floats(center))
    pen.cut(quantiles, 1, None, out="quantiles")
    return median, widths


def surprise(pen: Pen, weights: Weights, values: str, median: str, widths: str, scale: str, *, constant: bool) -> None:
    """-log10 of the two-sided tail probability of each event under the prediction before it; writes `surprise`.

    Piecewise linear in the value through what the quantiles say: 0 at the median, INNER at the 25 % and 75 %
    quantiles, 1 at 5 % and 95 %, then a fitted slope. A straight line in -log10 p is an exponential tail.
    values [time, batch, targets]; median, widths and scale around, unless the scale is constant: [targets].
    """
    axis = pen.ints(-1)
    distance = pen.op("Sub", pen.op("Unsqueeze", values, axis), pen.cut(median, 0, -1))
    scale = scale if constant else pen.cut(scale, 0, -1)
    distance = pen.op("Div", distance, pen.op("Unsqueeze", scale, axis))  # [time, batch, targets, 1]
    distance = pen.op("Mul", distance, pen.floats(np.array([1, -1], np.float32)))  # up, down
    inner, outer = pen.ops("Split", pen.cut(widths, 0, -1), axis=-1, num_outputs=2, out=["inner", "outer"])
    near = pen.op("Div", distance, inner)
    far = pen.op("Div", pen.op("Sub", distance, inner), outer)
    beyond = pen.op("Sub", far, pen.floats(1.0))
    ramps = pen.op("Concat", near, far, beyond, axis=-1)  # [.., 6]
    tops = np.array([1, 1, 1, 1, 1e6, 1e6], np.float32)
    ramps = pen.op("Min", pen.op("Max", ramps, pen.floats(0.0)), pen.floats(tops))
    tail = weights["tail"]
    slopes = np.concatenate([np.full_like(tail, INNER), np.full_like(tail, 1 - INNER), tail], axis=1)
    ramps = pen.op("Mul", ramps, pen.floats(slopes))
    # Not ReduceSum: the order in which it adds depends on where in the batch an event stands.
    first, second, third = pen.ops("Split", ramps, axis=-1, num_outputs=3, out=["ramp_near", "ramp_far", "ramp_beyond"])
    sides = pen.op("Add", pen.op("Add", first, second), third)
    pen.op("Min", pen.op("ReduceMax", sides, axis, keepdims=0), pen.floats(SURPRISE_LIMIT), out="surprise")
