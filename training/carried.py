"""What all networks that become model files have in common: their weights by name, and a cold state. Knows no task."""

from typing import Self

import torch
from torch import Tensor, nn

from export.config import Config, Weights

State = dict[str, Tensor]


class Carried(nn.Module):
    """A network whose state is carried from event to event."""

    config: Config

    def weights(self) -> Weights:
        """All weights and constants, as `Config.shapes` names them."""
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in self.state_dict().items()}

    def load(self, weights: Weights) -> Self:
        """Take over weights; gives itself."""
        self.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
        return self

    def cold(self, batch: int) -> State:
        """The state of streams that have seen nothing."""
        return {t.input: torch.zeros(batch, *t.shape) for t in self.config.state}
