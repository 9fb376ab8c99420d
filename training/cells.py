"""The recurrent layers in PyTorch, whichever the cell: the same arithmetic as `export.cells`, the same names.

Knows nothing of what they see, nor of heads and losses.
"""

import torch
from torch import Tensor, nn

from export.config import GATES, Config
from training.dropout import dropout as hide
from training.peepholes import PeepholeLSTM

KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # of a layer, as PyTorch's operators take them
State = tuple[Tensor, ...]  # hidden, and cell where there is one: each [layers, batch, hidden]
FORGET = 1  # the gate's place, of an lstm


class Cells(nn.Module):
    """All layers of a config's cell."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        bound = config.hidden**-0.5
        for name, shape in config.shapes().items():
            if name.startswith("cells."):
                weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
                self.register_parameter(name.removeprefix("cells."), weight)

    def forward(self, x: Tensor, state: State, dropout: float = 0.0, weights: float = 0.0) -> tuple[Tensor, State]:
        """x [T, batch, input_width] -> the last layer's hidden states [T, batch, hidden], and the next state.

        dropout: the share of each layer's outputs, but the last's, that the next layer does not see. weights: the share
        of recurrent weights that are hidden in all of these steps (Merity et al. 2018).
        """
        layers = [self._layer(layer, weights) for layer in range(self.config.layers)]
        if self.config.cell == "graves-lstm":
            return self._peepholes(x, state, dropout, layers)
        told = (
            [weight for layer in layers for weight in layer],
            True,
            self.config.layers,
            dropout,
            dropout > 0,
            False,
            False,
        )
        if self.config.cell == "lstm":
            y, *after = torch.lstm(x, state, *told)
        else:
            y, *after = (torch.gru if self.config.cell == "gru" else torch.rnn_tanh)(x, state[0], *told)
        return y, tuple(after)

    def cold(self, batch: int) -> State:
        """The state of streams that have seen nothing."""
        config = self.config
        return tuple(torch.zeros(config.layers, batch, config.hidden) for _ in config.carried)

    def from_rows(self, rows: dict[str, Tensor]) -> State:
        """The state from tensors [batch, hidden] by the names that a row has for them: h0, c0, h1, ..."""
        layers = range(self.config.layers)
        return tuple(torch.stack([rows[f"{kind}{layer}"] for layer in layers]) for kind in self.config.carried)

    def to_rows(self, state: State) -> dict[str, Tensor]:
        """The inverse of `from_rows`."""
        kinds = zip(self.config.carried, state, strict=True)
        return {f"{kind}{layer}": tensor[layer] for kind, tensor in kinds for layer in range(self.config.layers)}

    def _layer(self, layer: int, hidden: float) -> list[Tensor]:
        """One layer's weights as PyTorch's operators take them, with a share of the recurrent ones hidden."""
        w, r, b, c = (getattr(self, f"{kind}_l{layer}") for kind in KINDS)
        return [w, hide(r, hidden), b, c]

    def _peepholes(self, x: Tensor, state: State, dropout: float, layers: list[list[Tensor]]) -> tuple[Tensor, State]:
        ends = []
        for layer, (w, r, b, c) in enumerate(layers):
            if layer and dropout:
                x = hide(x, dropout)
            x, cell = PeepholeLSTM.apply(
                x, state[0][layer], state[1][layer], w, r, b + c, getattr(self, f"peephole_l{layer}")
            )
            ends.append((x[-1], cell))
        return x, tuple(torch.stack(kind) for kind in zip(*ends, strict=True))


def initialise(cells: Cells) -> None:
    """Xavier for what comes in, orthogonal for what recurs, forget gates open, peepholes shut.

    Glorot and Bengio 2010; Saxe et al. 2014; Jozefowicz et al. 2015.
    """
    hidden = cells.config.hidden
    for name, weight in cells.named_parameters():
        if "weight_ih" in name:
            nn.init.xavier_uniform_(weight)
        elif "weight_hh" in name:
            for gate in torch.split(weight.data, hidden):
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(weight)
            if "bias_ih" in name and GATES[cells.config.cell] == GATES["lstm"]:
                nn.init.ones_(weight.data[FORGET * hidden : (FORGET + 1) * hidden])
