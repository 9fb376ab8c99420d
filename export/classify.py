"""The graph's last part for task `class`: the probabilities of each class after each event. Knows nothing of values."""

from export.config import Weights
from export.nodes import Pen


def write(pen: Pen, weights: Weights, hidden: str) -> None:
    """Write `probabilities`, and `surprise`, of which a class has none. hidden [time + 1, batch, hidden], around."""
    chances(pen, logits(pen, weights, pen.cut(hidden, 1, None)))
    pen.op("Mul", pen.cut("mask", 0, 1, 2), pen.floats(0.0), out="surprise")


def logits(pen: Pen, weights: Weights, hidden: str) -> str:
    """[..., hidden] -> [..., outcomes]."""
    product = pen.op("MatMul", hidden, pen.floats(weights["head.weight"].T))
    return pen.op("Add", product, pen.floats(weights["head.bias"]))


def chances(pen: Pen, logits: str) -> None:
    """Write `probabilities` from the logits after each event, [time, batch, outcomes]."""
    pen.op("Unsqueeze", pen.op("Softmax", logits, axis=-1), pen.ints(2), out="probabilities")
