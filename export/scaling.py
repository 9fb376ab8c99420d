"""The graph's part between the user's units and the network's: missing values filled, then level, spread and scale.

Events are numbered 1..T. What is known before the first and after each event, 0..T, is called "around": such tensors
are [time + 1, batch, features]. All that is carried over time is a left fold that starts with the state, so that a
split over time cannot change a bit: CumSum(Concat(state, x)), never state + CumSum(x).
"""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from export.config import COUNT_LIMIT, PRIOR_WEIGHT, SUMS, VALUE_LIMIT, Config, Weights
from export.nodes import Pen


@dataclass(frozen=True)
class Events:
    """The input, ready for scaling. In scaling "fixed" all values are less the centre."""

    values: str  # [time, batch, features], 0 where missing
    filled: str  # the same, with the last value there was in place of a missing one (0 before the first)
    last: str  # around: the newest filled value
    number: str  # int32 [time, batch, features]: valid values in this call so far


@dataclass(frozen=True)
class Scale:
    """Around each event. In scaling "fixed" spread and change are constants [features], and the mean is 0: None."""

    mean: str | None  # of the stream's values
    spread: str  # mean absolute distance from the mean
    change: str  # mean absolute change from event to event: the unit of errors, as in MASE (Hyndman and Koehler 2006)


def fill(pen: Pen, config: Config, weights: Weights) -> Events:
    """Forward fill without a loop: valid values go to consecutive places of a buffer, then are read by their number.

    Place 0 holds the state's newest value. Missing values go to the last place, T, which nobody reads where there are
    any: with m of them the numbers end at T - m.
    """
    valid = pen.cast("mask", TensorProto.BOOL)
    values = pen.clip("x", VALUE_LIMIT)
    if config.scaling == "fixed":
        values = pen.op("Sub", values, pen.floats(weights["center"]))
    values = pen.op("Where", valid, values, pen.floats(0.0))
    newest = pen.cut("history", -1, None, axis=1) if config.history > 1 else "history"
    before = pen.op("Transpose", newest, perm=[1, 0, 2])  # [1, batch, features]
    number = pen.op("CumSum", pen.cast("mask", TensorProto.INT32), pen.constant(np.array(0, np.int32)))
    place = pen.op("Where", valid, number, pen.constant(np.array(-1, np.int32)))
    buffer = pen.op("ScatterElements", pen.op("Concat", before, values, axis=0), place, values, axis=0)
    filled = pen.op("GatherElements", buffer, number, axis=0)
    return Events(values, filled, pen.op("Concat", before, filled, axis=0), number)


def fold(pen: Pen, state: str, increments: str) -> str:
    """Running sums around each event, from the state [1, batch, features]."""
    return pen.op("CumSum", pen.op("Concat", state, increments, axis=0), pen.constant(np.array(0, np.int64)))


def fixed(pen: Pen, weights: Weights) -> Scale:
    """Constants that were fitted in training."""
    return Scale(None, pen.floats(weights["spread"]), pen.floats(weights["scale"]))


def stream(pen: Pen, weights: Weights, events: Events) -> Scale:
    """Running means of a stream's own values; writes the next state `sums_next`.

    Sums are of distances from an anchor, the stream's first value, and of magnitudes only: nothing cancels. They stand
    still at COUNT_LIMIT values. A scale is shrunk towards a prior made from the anchor, so that the second event of a
    stream is not judged with a scale of zero; the prior's weight falls as 1 / count.
    """
    one, none = pen.floats(1.0), pen.floats(0.0)
    parts = pen.op("Transpose", "sums", perm=[1, 0, 2])
    count_in, anchor_in, total_in, spread_in, change_in = pen.ops(
        "Split", parts, axis=0, num_outputs=len(SUMS), out=[f"sums_{name}" for name in SUMS]
    )
    first = pen.op("GatherElements", events.values, pen.op("ArgMax", "mask", axis=0, keepdims=1), axis=0)
    anchor_next = pen.op("Where", pen.op("Greater", count_in, none), anchor_in, first)

    count = pen.op("Min", fold(pen, count_in, "mask"), pen.floats(COUNT_LIMIT))
    known = pen.op("Min", count, one)  # 1 from the first value on
    anchor = pen.op("Mul", anchor_next, known)
    before = pen.cut(count, 0, -1)
    running = pen.op("Mul", "mask", pen.op("Cast", pen.op("Less", before, pen.floats(COUNT_LIMIT)), to=1))
    again = pen.op("Mul", running, pen.op("Min", before, one))  # a value that has one before it

    total = fold(pen, total_in, pen.op("Mul", running, pen.op("Sub", events.values, anchor_next)))
    mean = pen.op("Add", anchor, pen.op("Div", total, pen.op("Max", count, one)))

    def distances(state: str, origin: str) -> str:
        distance = pen.op("Abs", pen.op("Sub", events.filled, pen.cut(origin, 0, -1)))
        return fold(pen, state, pen.op("Mul", again, distance))

    spread = distances(spread_in, mean)
    change = distances(change_in, events.last)

    changes = pen.op("Max", pen.op("Sub", count, one), none)
    weight = pen.op("Div", pen.floats(PRIOR_WEIGHT), pen.op("Add", changes, one))
    prior = pen.op("Mul", pen.op("Abs", anchor), pen.floats(weights["prior"][0]))
    prior = pen.op("Mul", pen.op("Add", prior, pen.floats(weights["prior"][1])), weight)
    divisor = pen.op("Add", changes, weight)

    newest = [pen.cut(around, -1, None) for around in (count, total, spread, change)]
    sums = pen.op("Concat", newest[0], anchor_next, *newest[1:], axis=0)
    pen.op("Transpose", sums, perm=[1, 0, 2], out="sums_next")
    return Scale(
        mean,
        pen.op("Div", pen.op("Add", spread, prior), divisor),
        pen.op("Div", pen.op("Add", change, prior), divisor),
    )
