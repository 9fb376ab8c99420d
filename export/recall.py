"""What a stream's own last symbols say of the next one, mixed with what the network says. Knows no cells, no training.

The row keeps the last M symbols, by their numbers: index + 1, or 0 where the symbol is missing or there was none. For
each order k the places are found where the last k symbols stood before: N_k of them, of which C_k(v) were followed by
v. The network's probabilities p are the base of a hierarchical Dirichlet mix (MacKay and Peto 1995), k ascending:

    p(v) <- (C_k(v) + a_k p(v)) / (N_k + a_k),   a_k = exp(bias_k + slope_k max p at first)

A missing symbol is a gap: it is predicted by no place, and no run of symbols reaches over it. A place counts where it
lies so far inside the memory that a run of the longest order would fit before it; so the places before an event that
were followed by its symbol are those that a run one longer finds after it, and one comparison serves both.
"""

import numpy as np
from onnx import TensorProto

from export.config import LOG_LIMIT, ORDERS, Config, Weights
from export.nodes import Pen

LONGEST = ORDERS[-1]
ROOTS = 10
PLACES = 2  # the axis of what is compared, [batch, time, places]


def mix(pen: Pen, config: Config, weights: Weights, around: str, place: str, symbol: str) -> tuple[str, str]:
    """The mixed probabilities after each event, [time, batch, symbols], and the one that its symbol had, [.., 1].

    around: the network's, [time + 1, batch, symbols]; place int64 and symbol float32 [time, batch, 1]: the events'
    indexes, and their numbers. Writes the next state. Counts are whole numbers in float32: no order of adding changes
    a bit of them.
    """
    windows = _windows(pen, config.recall, symbol)
    at, following, same = _compared(pen, config.recall, windows)
    places = config.recall - LONGEST
    none, ones = pen.floats(0.0), pen.floats(np.ones((places, 1), np.float32))
    after = _runs(pen, pen.op("And", pen.op("Greater", following, none), same[0]), same[1:LONGEST])
    before = _runs(pen, pen.op("And", pen.op("Greater", at, none), same[1]), same[2:])
    followed = pen.op("Unsqueeze", pen.cast(same[0], TensorProto.FLOAT), pen.ints(PLACES + 1))

    strength = _strengths(pen, weights, around)
    before_and_after = pen.op("Concat", pen.cut(strength, 0, -1, 1), pen.cut(strength, 1, None, 1), axis=0)
    totals = pen.op("Concat", _count(pen, before, ones), _count(pen, after, ones), axis=0)
    told, share = _shares(pen, before_and_after, totals)
    told = pen.op("Unsqueeze", told, pen.ints(PLACES))
    (told_before, told_after), (share_before, share_after) = (_halves(pen, tensor) for tensor in (told, share))

    had = pen.op("GatherElements", pen.cut(around, 0, -1), place, axis=2)
    had = pen.op("Mul", share_before, pen.op("Transpose", had, perm=[1, 0, 2]))
    hits = pen.op("MatMul", told_before, pen.op("MatMul", before, followed))
    had = pen.op("Add", had, pen.op("Squeeze", hits, pen.ints(PLACES + 1)))

    base = pen.op("Mul", share_after, pen.op("Transpose", pen.cut(around, 1, None), perm=[1, 0, 2]))
    index = pen.cast(pen.op("Max", pen.op("Sub", following, pen.floats(1.0)), none), TensorProto.INT64)
    rows = [pen.op("Reshape", base, pen.ints(-1, config.outcomes))]  # two axes are three times as fast as three
    rows += [pen.op("Reshape", part, pen.ints(-1, places)) for part in (index, pen.op("MatMul", told_after, after))]
    mixed = pen.op("Reshape", pen.op("ScatterElements", *rows, axis=1, reduction="add"), pen.op("Shape", base))
    return tuple(pen.op("Transpose", tensor, perm=[1, 0, 2]) for tensor in (mixed, had))  # type: ignore[return-value]


def logarithm(pen: Pen, chance: str) -> str:
    """The natural logarithm of probabilities, float32, at least that of 1e-300.

    Log's last bits differ with the batch. Here stand roots, in double, and the series of the inverse hyperbolic
    tangent: ten square roots bring a number so near to 1 that four terms are enough.
    """
    root = pen.op("Max", pen.cast(chance, TensorProto.DOUBLE), pen.doubles(1e-300))
    for _ in range(ROOTS):
        root = pen.op("Sqrt", root)
    one = pen.doubles(1.0)
    ratio = pen.op("Div", pen.op("Sub", root, one), pen.op("Add", root, one))
    square = pen.op("Mul", ratio, ratio)
    series = pen.doubles(1 / 7)
    for term in (1 / 5, 1 / 3, 1.0):
        series = pen.op("Add", pen.op("Mul", series, square), pen.doubles(term))
    whole = pen.op("Mul", pen.op("Mul", ratio, series), pen.doubles(2.0 * 2**ROOTS))
    return pen.cast(whole, TensorProto.FLOAT)


def _windows(pen: Pen, memory: int, symbol: str) -> str:
    """[batch, time, memory + 1]: what stood in the memory before each event, then its own symbol."""
    new = pen.op("Transpose", pen.op("Squeeze", symbol, pen.ints(2)), perm=[1, 0])
    whole = pen.op("Concat", "recall", new, axis=1)
    pen.cut(whole, -memory, None, 1, out="recall_next")
    events = pen.op("Squeeze", pen.op("Shape", symbol, start=0, end=1))
    zero, one = (pen.constant(np.array(i, np.int64)) for i in (0, 1))
    starts = pen.op("Unsqueeze", pen.op("Range", zero, events, one), pen.ints(1))
    index = pen.op("Add", starts, pen.constant(np.arange(memory + 1, dtype=np.int64)[None]))
    return pen.op("Gather", whole, index, axis=1)


def _compared(pen: Pen, memory: int, windows: str) -> tuple[str, str, list[str]]:
    """Of each place its symbol, the one that followed, and whether the one j before it is the stream's j-th newest."""
    newest = pen.cut(windows, memory - LONGEST, None, PLACES)
    newest = pen.op("Where", pen.op("Less", newest, pen.floats(1.0)), pen.floats(-1.0), newest)  # a gap is like nothing
    last = pen.ops(
        "Split", newest, axis=PLACES, num_outputs=LONGEST + 1, out=[f"back_{j}" for j in range(LONGEST, -1, -1)]
    )
    earlier = [pen.cut(windows, LONGEST - j, memory - j, PLACES) for j in range(LONGEST + 1)]
    same = [pen.op("Equal", earlier[j], last[LONGEST - j]) for j in range(LONGEST + 1)]
    return earlier[0], pen.cut(windows, LONGEST + 1, None, PLACES), same


def _runs(pen: Pen, run: str, same: list[str]) -> str:
    """[batch, time, orders, places]: 1 where a run of each order ends."""
    rows = []
    for further in same:
        run = pen.op("And", run, further)
        rows.append(pen.op("Unsqueeze", run, pen.ints(PLACES)))
    return pen.cast(pen.op("Concat", *rows, axis=PLACES), TensorProto.FLOAT)


def _strengths(pen: Pen, weights: Weights, around: str) -> str:
    """a_k around, [batch, time + 1, orders]."""
    top = pen.op("Transpose", pen.op("ReduceMax", around, pen.ints(-1), keepdims=1), perm=[1, 0, 2])
    power = pen.op("Add", pen.op("Mul", top, pen.floats(weights["recall.slope"])), pen.floats(weights["recall.bias"]))
    return pen.op("Exp", pen.clip(power, LOG_LIMIT))


def _shares(pen: Pen, strengths: str, totals: str) -> tuple[str, str]:
    """What one place of each order adds to its symbol, [batch, time, orders]; and what is left to the network.

    The mix is linear in the counts: this is its form when it is multiplied out. strengths, totals alike.
    """
    of = zip(
        *(
            pen.ops("Split", tensor, axis=2, num_outputs=len(ORDERS), out=[f"{name}_{k}" for k in ORDERS])[::-1]
            for name, tensor in (("strength", strengths), ("weight", pen.op("Add", totals, strengths)))
        ),
        strict=True,
    )
    share, told = pen.floats(1.0), []
    for strength, weight in of:
        told.append(pen.op("Div", share, weight))
        share = pen.op("Mul", told[-1], strength)
    return pen.op("Concat", *told[::-1], axis=2), share


def _halves(pen: Pen, tensor: str) -> list[str]:
    """Before each event, and after it."""
    return pen.ops("Split", tensor, axis=0, num_outputs=2, out=[f"{tensor}_before", f"{tensor}_after"])


def _count(pen: Pen, runs: str, which: str) -> str:
    """[batch, time, orders]: how many places; which [.., places, 1]: 1 where one counts."""
    return pen.op("Squeeze", pen.op("MatMul", runs, which), pen.ints(3))
