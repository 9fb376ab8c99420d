"""How far a stream's values have come, of late, in its intervals: widens those of a stream that is wilder than others.

Intervals are calibrated for all streams together, and for the time of the validation part. Each stream keeps the mean
of its errors, measured in its own intervals, and has them widened by what that mean is above the usual one: so streams
that differ are covered alike, and one that changes is followed (in the spirit of adaptive conformal inference, Gibbs
and Candes 2021, but by a mean, so that what is carried is a sum).

The mean forgets: after each BLOCK errors both of its sums are halved. Halving is exact in binary, so the sums of a
whole call are one left fold, in which an error after b more blocks counts 2**b times, divided by 2**b at the end: a
split over time changes no bit.
"""

import numpy as np
from onnx import TensorProto

from export.config import BLOCK, BLOCKS, FACTOR, FAR, PATIENCE, Weights
from export.nodes import Pen
from export.scaling import TIME, fold


def widen(pen: Pen, weights: Weights, sides: str, mask: str, widths: str) -> tuple[str, str]:
    """The widths of each stream's intervals, [4, targets, time + 1, batch], by its own factor; writes `reach_next`.

    And [targets, time, batch]: 1 where an error counts, which is where the stream had a value before.

    sides as `head.sides` gives them; mask [targets, time, batch]; widths around.
    """
    begun, position, weight, total = pen.ops(
        "Split",
        pen.op("Transpose", "reach", perm=[1, 2, 0]),  # [targets, 4, batch]: a sum stands where time stands
        axis=TIME,
        num_outputs=4,
        out=["reach_begun", "reach_position", "reach_weight", "reach_total"],
    )
    known = pen.op("Clip", fold(pen, begun, mask), pen.floats(0.0), pen.floats(1.0))
    counted = pen.op("Mul", mask, pen.cut(known, 0, -1, TIME))
    places = fold(pen, position, counted)
    block = pen.op("Mul", places, pen.floats(1 / BLOCK))
    block = pen.cast(pen.op("Clip", block, pen.floats(0.0), pen.floats(float(BLOCKS))), TensorProto.INT32)
    power = pen.op("Gather", pen.floats(2.0 ** np.arange(BLOCKS + 1)), block)

    inner, outer = pen.ops("Split", pen.cut(widths, 0, -1, TIME + 1), axis=0, num_outputs=2, out=["near", "beyond"])
    error = pen.op("ReduceMax", pen.op("Div", sides, pen.op("Add", inner, outer)), pen.ints(0), keepdims=0)
    error = pen.op("Clip", error, pen.floats(0.0), pen.floats(FAR))
    counts = pen.op("Mul", counted, pen.cut(power, 0, -1, TIME))
    weight = pen.op("Div", fold(pen, weight, counts), power)
    total = pen.op("Div", fold(pen, total, pen.op("Mul", counts, error)), power)

    newest = [pen.cut(around, -1, None, TIME) for around in (known, places, weight, total)]
    whole = pen.op("Mul", pen.cast(pen.cut(block, -1, None, TIME), TensorProto.FLOAT), pen.floats(float(BLOCK)))
    newest[1] = pen.op("Sub", newest[1], whole)
    pen.op("Transpose", pen.op("Concat", *newest, axis=TIME), perm=[2, 0, 1], out="reach_next")

    usual = weights["usual"].reshape(-1, 1, 1)
    above = pen.op("Add", total, pen.floats(usual * PATIENCE))
    below = pen.op("Mul", pen.op("Add", weight, pen.floats(PATIENCE)), pen.floats(usual))
    factor = pen.op("Clip", pen.op("Div", above, below), pen.floats(FACTOR[0]), pen.floats(FACTOR[1]))
    return pen.op("Mul", widths, pen.op("Unsqueeze", factor, pen.ints(0))), counted
