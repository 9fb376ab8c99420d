"""The graph's recurrent layers, whichever the cell. Knows the operators' order of gates, nothing of what they see."""

import numpy as np

from export.config import Config, Weights
from export.nodes import Pen

BATCH = 1  # the axis
OPERATORS = {"lstm": "LSTM", "graves-lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}
# Where ONNX's gates stand among PyTorch's: input, output, forget, cell (lstm); update, reset, new (gru).
GATES = {"lstm": (0, 3, 1, 2), "graves-lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}
PEEPHOLES = (0, 2, 1)  # input, output, forget


def recurrent(pen: Pen, config: Config, weights: Weights, inputs: str) -> str:
    """The last layer's hidden state around each event, [time + 1, batch, hidden]. Writes the next states.

    inputs [time, batch, input_width]. The lstm's are those of Gers et al. 2000, with peepholes Graves 2013, eq. 7-11;
    gru is that of Cho et al. 2014 with the reset gate after the product; rnn is tanh.
    """
    first, start = pen.ints(0), [""]
    padded = config.cell == "rnn"
    if padded:
        inputs = _one_more(pen, inputs, BATCH)
    for layer in range(config.layers):
        w, r, b = (pen.floats(array) for array in onnx_weights(config, weights, layer))
        states = [f"{kind}{layer}" for kind in config.carried]
        start = [pen.op("Unsqueeze", _one_more(pen, state, 0) if padded else state, first) for state in states]
        peepholes = []
        if config.cell == "graves-lstm":
            peepholes.append(pen.floats(weights[f"cells.peephole_l{layer}"][list(PEEPHOLES)].reshape(1, -1)))
        y, *ends = pen.ops(
            OPERATORS[config.cell],
            *(inputs, w, r, b, "", *start, *peepholes),
            out=[f"layer{layer}_{part}" for part in ("y", *config.carried)],
            hidden_size=config.hidden,
            **({"linear_before_reset": 1} if config.cell == "gru" else {}),
        )
        inputs = pen.op("Squeeze", y, pen.ints(BATCH))
        for state, end in zip(states, ends, strict=True):
            pen.op("Squeeze", pen.cut(end, 0, -1, BATCH) if padded else end, first, out=f"{state}_next")
    around = pen.op("Concat", start[0], inputs, axis=0)
    return pen.cut(around, 0, -1, BATCH) if padded else around


def onnx_weights(config: Config, weights: Weights, layer: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One layer's input weights, recurrent weights and biases in ONNX's order of gates, with the axis of directions."""
    order = GATES[config.cell]

    def gates(name: str) -> np.ndarray:
        parts = np.split(weights[f"cells.{name}_l{layer}"], len(order))
        return np.concatenate([parts[gate] for gate in order])

    bias = np.concatenate([gates("bias_ih"), gates("bias_hh")])
    return gates("weight_ih")[None], gates("weight_hh")[None], bias[None]


def _one_more(pen: Pen, tensor: str, axis: int) -> str:
    """One stream more, the first once again: the RNN operator gives a batch of one other bits than larger ones."""
    return pen.op("Concat", tensor, pen.cut(tensor, 0, 1, axis), axis=axis)
