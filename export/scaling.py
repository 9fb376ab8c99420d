"""The graph's part between the user's units and the network's: missing values filled, then level, spread and scale.

Inside the graph tensors are [features, time, batch], unlike the file's [time, batch, features]: onnxruntime's kernels
that broadcast are many times slower where the last axis is short.

Events are numbered 1..T. What is known before the first and after each event, 0..T, is called "around": such tensors
are [features, time + 1, batch]. All that is carried over time is a left fold that starts with the state, so that a
split over time cannot change a bit: CumSum(Concat(state, x)), never state + CumSum(x).
"""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from export.config import COUNT_LIMIT, PRIOR_WEIGHT, SUMS, VALUE_LIMIT, Config, Weights
from export.nodes import Pen

TIME = 1  # the axis


@dataclass(frozen=True)
class Events:
    """The input, ready for scaling. In scaling "fixed" all values are less the centre."""

    mask: str  # [features, time, batch]
    values: str  # 0 where missing
    filled: str  # the same, with the last value there was in place of a missing one (0 before the first)
    last: str  # around: the newest filled value
    history: str  # [features, history, batch]: the state, oldest first
    number: str  # int32: valid values in this call so far


@dataclass(frozen=True)
class Scale:
    """Around each event. In scaling "fixed" spread and change are constants [features, 1, 1], the mean is 0: None."""

    mean: str | None  # of the stream's values
    spread: str  # mean absolute distance from the mean
    change: str  # mean absolute change from event to event: the unit of errors, as in MASE (Hyndman and Koehler 2006)


def fill(pen: Pen, config: Config, weights: Weights) -> Events:
    """Forward fill without a loop: valid values go to consecutive places of a buffer, then are read by their number.

    Place 0 holds the state's newest value. Missing values go to the last place, T, which nobody reads where there are
    any: with m of them the numbers end at T - m.
    """
    x, mask = "x", "mask"
    if config.clock:
        x, mask = (pen.cut(tensor, 0, len(config.features), 2) for tensor in (x, mask))
    mask = pen.op("Transpose", mask, perm=[2, 0, 1])
    values = pen.clip(pen.op("Transpose", x, perm=[2, 0, 1]), VALUE_LIMIT)
    if config.scaling == "fixed":
        values = pen.op("Sub", values, per_feature(pen, weights["center"]))
    valid = pen.cast(mask, TensorProto.BOOL)
    values = pen.op("Where", valid, values, pen.floats(0.0))
    if config.history > 1:
        history = batch_last(pen, "history", config.history, len(config.features))
        before = pen.cut(history, -1, None, TIME)
    else:
        before = history = pen.op("Transpose", "history", perm=[2, 1, 0])
    number = pen.op("CumSum", pen.cast(mask, TensorProto.INT32), pen.constant(np.array(TIME, np.int32)))
    place = pen.op("Where", valid, number, pen.constant(np.array(-1, np.int32)))
    buffer = pen.op("ScatterElements", pen.op("Concat", before, values, axis=TIME), place, values, axis=TIME)
    filled = pen.op("GatherElements", buffer, number, axis=TIME)
    return Events(mask, values, filled, pen.op("Concat", before, filled, axis=TIME), history, number)


def batch_last(pen: Pen, tensor: str, length: int, features: int) -> str:
    """[batch, length, features] -> [features, length, batch], over a plain matrix: ten times faster than at once."""
    flat = pen.op("Transpose", pen.op("Reshape", tensor, pen.ints(0, length * features)), perm=[1, 0])
    if features == 1:
        return pen.op("Reshape", flat, pen.ints(1, length, -1))
    return pen.op("Transpose", pen.op("Reshape", flat, pen.ints(length, features, -1)), perm=[1, 0, 2])


def batch_first(pen: Pen, tensor: str, length: int, features: int, out: str) -> None:
    """[features, length, batch] -> [batch, length, features]."""
    if features > 1:
        tensor = pen.op("Transpose", tensor, perm=[1, 0, 2])
    flat = pen.op("Transpose", pen.op("Reshape", tensor, pen.ints(length * features, -1)), perm=[1, 0])
    pen.op("Reshape", flat, pen.ints(-1, length, features), out=out)


def fold(pen: Pen, state: str, increments: str, axis: int = TIME) -> str:
    """Running sums around each event, from a state that has one step along the axis."""
    return pen.op("CumSum", pen.op("Concat", state, increments, axis=axis), pen.constant(np.array(axis, np.int64)))


def per_feature(pen: Pen, values: np.ndarray) -> str:
    """A constant for each feature."""
    return pen.floats(values.reshape(-1, 1, 1))


def fixed(pen: Pen, weights: Weights) -> Scale:
    """Constants that were fitted in training."""
    return Scale(None, per_feature(pen, weights["spread"]), per_feature(pen, weights["scale"]))


def stream(pen: Pen, weights: Weights, events: Events) -> Scale:
    """Running means of a stream's own values; writes the next state `sums_next`.

    Sums are of distances from an anchor, the stream's first value, and of magnitudes only: nothing cancels. They stand
    still at COUNT_LIMIT values. A scale is shrunk towards a prior made from the anchor, so that the second event of a
    stream is not judged with a scale of zero; the prior's weight falls as 1 / count.
    """
    one = pen.floats(1.0)
    count_in, anchor_in, total_in, spread_in, change_in = pen.ops(
        "Split",
        pen.op("Transpose", "sums", perm=[2, 1, 0]),  # [features, sums, batch]: a sum stands where time stands
        axis=TIME,
        num_outputs=len(SUMS),
        out=[f"sums_{name}" for name in SUMS],
    )
    newest = pen.op("ArgMax", events.mask, axis=TIME, keepdims=1)
    first = pen.op("GatherElements", events.values, newest, axis=TIME)
    anchor_next = pen.op("Where", pen.cast(count_in, TensorProto.BOOL), anchor_in, first)

    count = pen.clip(fold(pen, count_in, events.mask), COUNT_LIMIT)
    known = pen.clip(count, 1.0)  # 1 from the first value on
    anchor = pen.op("Mul", anchor_next, known)
    before = pen.cut(count, 0, -1, TIME)
    going = pen.cast(pen.op("Less", before, pen.floats(COUNT_LIMIT)), TensorProto.FLOAT)
    running = pen.op("Mul", events.mask, going)
    again = pen.op("Mul", running, pen.clip(before, 1.0))  # a value that has one before it

    total = fold(pen, total_in, pen.op("Mul", running, pen.op("Sub", events.values, anchor_next)))
    mean = pen.op("Add", anchor, pen.op("Div", total, pen.op("Max", count, one)))

    def distances(state: str, origin: str) -> str:
        distance = pen.op("Abs", pen.op("Sub", events.filled, pen.cut(origin, 0, -1, TIME)))
        return fold(pen, state, pen.op("Mul", again, distance))

    spread = distances(spread_in, mean)
    change = distances(change_in, events.last)

    changes = pen.op("Sub", pen.op("Max", count, one), one)
    weight = pen.op("Div", pen.floats(PRIOR_WEIGHT), pen.op("Add", changes, one))
    prior = pen.op("Mul", pen.op("Abs", anchor), per_feature(pen, weights["prior"][0]))
    prior = pen.op("Mul", pen.op("Add", prior, per_feature(pen, weights["prior"][1])), weight)
    divisor = pen.op("Add", changes, weight)

    ends = [pen.cut(around, -1, None, TIME) for around in (count, total, spread, change)]
    parts = pen.op("Concat", ends[0], anchor_next, *ends[1:], axis=TIME)  # [features, sums, batch]
    pen.op("Transpose", parts, perm=[2, 1, 0], out="sums_next")
    return Scale(
        mean,
        pen.op("Div", pen.op("Add", spread, prior), divisor),
        pen.op("Div", pen.op("Add", change, prior), divisor),
    )
