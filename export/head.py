"""The graph's last part: quantiles of the next event, and the surprise of this one. Knows nothing of scaling's sums.

The head stands on the last layer's state around each event (0..T), so evaluation t is the prediction after event t,
and at the same time the prior of event t + 1: surprise needs no state of its own.
"""

from statistics import NormalDist

import numpy as np

from export.config import HEAD_ROWS, SURPRISE_LIMIT, WIDTH_LIMIT, Config, Weights
from export.nodes import Pen
from export.scaling import TIME, per_feature

INNER = -float(np.log10(0.5))  # surprise at the 25 % and 75 % quantiles; at 5 % and 95 % it is 1
BEYOND_LIMIT = 1e6  # outer widths
# From the widths (up, down, further up, further down) to the offsets of the five levels from the median. Each row's sum
# grows outwards, so quantiles cannot cross.
OFFSETS = np.array([[0, 0, 0, 1, 1], [-1, -1, 0, 0, 0], [0, 0, 0, 0, 1], [-1, 0, 0, 0, 0]], np.float32)
QUARTILE, OUTER = (NormalDist().inv_cdf(level) for level in (0.75, 0.95))
NORMAL = np.array([QUARTILE, QUARTILE, OUTER - QUARTILE, OUTER - QUARTILE], np.float32)  # widths of deviation 1


def predict(pen: Pen, config: Config, weights: Weights, hidden: str, base: str, unit: str) -> tuple[str, str]:
    """Median [targets, time + 1, batch] less the centre, and widths [4, targets, time + 1, batch], in the user's units.

    hidden [time + 1, batch, hidden]; base and unit broadcast to [targets, time + 1, batch].
    A normal head's median is its mean, and its four widths are made of one deviation, so that calibration and surprise
    are the same for both heads.
    """
    targets, width = len(config.targets), HEAD_ROWS[config.head]
    rows = weights["head.weight"].reshape(targets, width, -1)
    bias = weights["head.bias"].reshape(targets, width)
    stretch = weights["stretch"]
    fixed = config.scaling == "fixed"
    if fixed:  # a constant scale is put into the weights
        scale = weights["scale"][list(config.target_columns)]
        factor = np.ones((targets, width), np.float32)
        factor[:, 0] = scale
        rows, bias, stretch = rows * factor[:, :, None], bias * factor, stretch * scale[:, None]
    if config.head == "normal":
        stretch = stretch * NORMAL
    raw = pen.op("MatMul", hidden, pen.floats(rows.reshape(targets * width, -1).T))
    raw = pen.op("Reshape", raw, pen.ints(0, 0, targets, width))
    raw = pen.op("Transpose", raw, perm=[3, 2, 0, 1])
    raw = pen.op("Add", raw, pen.floats(bias.T[:, :, None, None]))
    correction, exponents = pen.ops("Split", raw, pen.ints(1, width - 1), axis=0, out=["correction", "exponents"])
    correction = pen.op("Squeeze", correction, pen.ints(0))
    widths = pen.op("Exp", pen.clip(exponents, WIDTH_LIMIT))
    widths = pen.op("Mul", widths, pen.floats(stretch.T[:, :, None, None]))
    if not fixed:
        correction, widths = pen.op("Mul", correction, unit), pen.op("Mul", widths, unit)
    return pen.op("Add", base, correction), widths


def quantiles(pen: Pen, config: Config, weights: Weights, median: str, widths: str) -> None:
    """The levels after each event, in the user's units; writes `quantiles`."""
    up, down, further_up, further_down = pen.ops(
        "Split", widths, axis=0, num_outputs=4, out=["up", "down", "further_up", "further_down"]
    )
    middle = pen.op("Unsqueeze", median, pen.ints(0))
    upper, lower = pen.op("Add", middle, up), pen.op("Sub", middle, down)
    high, low = pen.op("Add", upper, further_up), pen.op("Sub", lower, further_down)
    levels = pen.op("Concat", low, lower, middle, upper, high, axis=0)
    if config.scaling == "fixed":
        levels = pen.op("Add", levels, per_feature(pen, weights["center"][list(config.target_columns)]))
    pen.op("Transpose", pen.cut(levels, 1, None, TIME + 1), perm=[2, 3, 1, 0], out="quantiles")


def sides(pen: Pen, values: str, median: str) -> str:
    """How far each value lies above, and below, the median before it: [2, targets, time, batch], one of them negative.

    values [targets, time, batch]; median around.
    """
    distance = pen.op("Unsqueeze", pen.op("Sub", values, pen.cut(median, 0, -1, TIME)), pen.ints(0))
    return pen.op("Concat", distance, pen.op("Neg", distance), axis=0)


def surprise(pen: Pen, weights: Weights, sides: str, told: str, widths: str) -> None:
    """-log10 of the two-sided tail probability of each event under the prediction before it; writes `surprise`.

    Piecewise linear in the value through what the quantiles say: 0 at the median, INNER at the 25 % and 75 %
    quantiles, 1 at 5 % and 95 %, then a fitted slope. A straight line in -log10 p is an exponential tail.
    sides as `sides` gives them; told [targets, time, batch], 0 where nothing was there to be surprised by, or nothing
    to tell what would come: surprise is 0 there; widths around.
    """
    inner, outer = pen.ops("Split", pen.cut(widths, 0, -1, TIME + 1), axis=0, num_outputs=2, out=["inner", "outer"])
    zero, one = pen.floats(0.0), pen.floats(1.0)
    near = pen.op("Clip", pen.op("Div", sides, inner), zero, one)
    further = pen.op("Div", pen.op("Sub", sides, inner), outer)
    far = pen.op("Clip", further, zero, one)
    beyond = pen.op("Clip", pen.op("Sub", further, one), zero, pen.floats(BEYOND_LIMIT))
    total = pen.op("Mul", near, pen.floats(INNER))
    total = pen.op("Add", total, pen.op("Mul", far, pen.floats(1 - INNER)))
    total = pen.op("Add", total, pen.op("Mul", beyond, pen.floats(weights["tail"].T[:, :, None, None])))
    total = pen.op("ReduceMax", total, pen.ints(0), keepdims=0)  # one side is 0
    total = pen.op("Mul", pen.op("Clip", total, zero, pen.floats(SURPRISE_LIMIT)), told)
    pen.op("Transpose", total, perm=[1, 2, 0], out="surprise")
