"""What the graph sees of an event's time: cycles of the calendar, and the time since the stream's last event.

Sin, Cos and Log differ in their last bits with the size of the batch, in double too. So here stand a polynomial and
square roots, in double: products, sums, roots and rounding have one right result.
"""

from math import factorial, pi

import numpy as np
from onnx import TensorProto

from export.config import CLOCK, SEEN_LIMIT, Config, Weights
from export.nodes import Pen

HOUR = 3_600_000  # milliseconds
CYCLES = {"hour": 24.0, "weekday": 7 * 24.0, "year": 365.2425 * 24.0}  # hours
TERMS = 9  # of the sine's series on half a turn: what is left out is below 3e-8
ROOTS = 3
GAP_LIMIT = SEEN_LIMIT / 2


def seen(pen: Pen, config: Config, weights: Weights) -> str:
    """[time, batch, clock_width]: the cycles' sines, their cosines, and the gap. Reads the last two columns of x.

    The gap is a logarithm of the time since the stream's last event, in units of the typical one, bent so that it
    needs no logarithm: 16 tanh(log(ratio) / 16), from the ratio's eighth root. It is 0 on a stream's first event, and
    limited; a time that goes back is taken as one millisecond. Writes `clock_next` where the gap is seen.
    """
    last = pen.ints(-1)
    columns = pen.cut("x", len(config.features), None, 2)
    hours, rest = (pen.op("Squeeze", part, last) for part in _split(pen, columns, 2, "x"))
    parts = []
    if config.calendar:
        parts.append(_cycles(pen, config, hours, rest))
    if config.since_last:
        before = [pen.op("Transpose", part, perm=[1, 0]) for part in _split(pen, "clock", 1, "clock")]
        around = [pen.op("Concat", start, column, axis=0) for start, column in zip(before, (hours, rest), strict=True)]
        newest = pen.op("Concat", *(pen.cut(part, -1, None) for part in around), axis=0)
        pen.op("Transpose", newest, perm=[1, 0], out="clock_next")
        parts.append(pen.op("Unsqueeze", _gap(pen, weights, around), pen.ints(0)))
    whole = pen.op("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]
    return pen.op("Transpose", whole, perm=[1, 2, 0])


def _cycles(pen: Pen, config: Config, hours: str, rest: str) -> str:
    """[2 * cycles, time, batch]: sines, then cosines, which are sines a quarter of a turn later."""
    lengths = np.array([CYCLES[cycle] for cycle in config.calendar] * 2)[:, None, None]
    quarters = np.repeat([0.0, 0.25], len(config.calendar))[:, None, None]
    time = pen.op("Add", _double(pen, hours), pen.op("Div", _double(pen, rest), pen.doubles(HOUR)))
    turns = pen.op("Add", pen.op("Div", time, pen.doubles(lengths)), pen.doubles(quarters))
    turns = pen.op("Sub", turns, pen.op("Round", turns))
    square = pen.op("Mul", turns, turns)
    terms = [(-1) ** k * (2 * pi) ** (2 * k + 1) / factorial(2 * k + 1) for k in range(TERMS)]
    total = pen.doubles(terms[-1])
    for term in terms[-2::-1]:
        total = pen.op("Add", pen.op("Mul", total, square), pen.doubles(term))
    return pen.cast(pen.op("Mul", total, turns), TensorProto.FLOAT)


def _gap(pen: Pen, weights: Weights, around: list[str]) -> str:
    """[time, batch]; around: hours and milliseconds, [time + 1, batch], zeros where there was no event before."""
    before = [pen.cut(part, 0, -1) for part in around]
    hours, rest = (
        _double(pen, pen.op("Sub", pen.cut(part, 1, None), start)) for part, start in zip(around, before, strict=True)
    )
    gap = pen.op("Add", pen.op("Mul", hours, pen.doubles(HOUR)), rest)
    root = pen.op("Div", pen.op("Max", gap, pen.doubles(1.0)), pen.doubles(weights["typical"].astype(np.float64)))
    for _ in range(ROOTS):
        root = pen.op("Sqrt", root)
    one = pen.doubles(1.0)
    bent = pen.op("Div", pen.op("Sub", root, one), pen.op("Add", root, one))
    bent = pen.cast(pen.op("Mul", bent, pen.doubles(2.0 * 2**ROOTS)), TensorProto.FLOAT)
    known = pen.cast(pen.op("Max", *(pen.op("Abs", part) for part in before)), TensorProto.BOOL)
    return pen.op("Where", known, pen.clip(bent, GAP_LIMIT), pen.floats(0.0))


def _split(pen: Pen, tensor: str, axis: int, name: str) -> list[str]:
    names = [f"{name}_hours", f"{name}_rest"]
    return pen.ops("Split", tensor, axis=axis, num_outputs=len(CLOCK), out=names)


def _double(pen: Pen, tensor: str) -> str:
    return pen.cast(tensor, TensorProto.DOUBLE)
