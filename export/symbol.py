"""The graph of task `symbol`: from indexes of symbols to the probabilities of the next one. Knows no values, no scales.

The logits around each event (0..T) are one tensor: evaluation t is the prediction after event t and the prior of event
t + 1, so that surprise needs no state of its own.
"""

import numpy as np
from onnx import TensorProto

from export import cells, classify, clock, recall
from export.config import SURPRISE_LIMIT, Config, Weights
from export.nodes import Pen


def write(pen: Pen, config: Config, weights: Weights) -> None:
    """The whole graph, from x and mask to `probabilities`, `surprise` and the next state.

    x is a symbol's index; what lies outside is taken for the nearest one. A missing symbol is a vector of zeros.
    """
    x, mask = ("x", "mask") if not config.clock else (pen.cut(tensor, 0, 1, 2) for tensor in ("x", "mask"))
    place = pen.cast(pen.op("Clip", x, pen.floats(0.0), pen.floats(config.outcomes - 1)), TensorProto.INT64)
    inputs = pen.op("Gather", pen.floats(weights["embedding.weight"]), pen.op("Squeeze", place, pen.ints(2)), axis=0)
    inputs = pen.op("Mul", inputs, mask)
    if config.clock:
        inputs = pen.op("Concat", inputs, clock.seen(pen, config, weights), axis=2)
    around = classify.logits(pen, weights, cells.recurrent(pen, config, weights, inputs))
    if not config.recall:
        classify.chances(pen, pen.cut(around, 1, None))
        surprise(pen, prior(pen, pen.cut(around, 0, -1), place))
        return
    number = pen.op("Mul", pen.op("Add", pen.cast(place, TensorProto.FLOAT), pen.floats(1.0)), mask)
    mixed, had = recall.mix(pen, config, weights, pen.op("Softmax", around, axis=-1), place, number)
    pen.op("Unsqueeze", mixed, pen.ints(2), out="probabilities")
    surprise(pen, recall.logarithm(pen, had))


def prior(pen: Pen, before: str, place: str) -> str:
    """The logarithm of the probability that the symbol had; before: logits [time, batch, symbols], place [.., 1].

    LogSoftmax takes one scalar logarithm for each event, whose bits do not depend on the batch, as those of Log do.
    """
    return pen.op("GatherElements", pen.op("LogSoftmax", before, axis=-1), place, axis=2)


def surprise(pen: Pen, chance: str) -> None:
    """-log10 of the probability that the symbol had; chance: its natural logarithm, [time, batch, 1]."""
    told = pen.op("Mul", chance, pen.floats(-1 / np.log(10)))
    pen.op("Clip", told, pen.floats(0.0), pen.floats(SURPRISE_LIMIT), out="surprise")
