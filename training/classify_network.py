"""The network of task `class` as a PyTorch module: what stands before the cells is the number network's.

The same arithmetic as `export.graph` with `export.classify`, the same names of weights.
"""

import torch
from torch import Tensor, nn

from export.config import Config
from training.carried import State
from training.network import Network


class ClassNetwork(Network):
    """Filling, scaling, recurrent layers, softmax."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.head = nn.Linear(config.hidden, config.outcomes)

    def forward(self, x: Tensor, mask: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """As the model file: probabilities [T, batch, 1, classes], surprise [T, batch, 1], the next state."""
        around = self.around(x, mask, state)
        y, after = self.cells(around.seen, self.cells.from_rows(state))
        probabilities = torch.softmax(self.head(y), -1)[:, :, None]
        return probabilities, torch.zeros_like(probabilities[..., 0]), around.state | self.cells.to_rows(after)
