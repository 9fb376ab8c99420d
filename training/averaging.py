"""The exponential moving average of the weights (Polyak and Juditsky 1992). Knows nothing of how they are stepped."""

import torch
from torch import Tensor, nn

YOUNG = 10  # steps: so long the average is little more than the mean of what there was


class Average:
    """The average of weights; inside `with` they have it in place of their own values. With decay 0 there is none."""

    def __init__(self, weights: list[nn.Parameter], decay: float) -> None:
        self.weights = weights if decay else []
        self.decay = decay
        self.kept: list[Tensor] = [weight.data.clone() for weight in self.weights]
        self.steps = 0

    def update(self) -> None:
        """Take in the weights after a step."""
        if not self.kept:
            return
        self.steps += 1
        decay = min(self.decay, self.steps / (YOUNG + self.steps))
        torch._foreach_lerp_(self.kept, [weight.data for weight in self.weights], 1 - decay)

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *_: object) -> None:
        self._swap()

    def _swap(self) -> None:
        for i, weight in enumerate(self.weights):
            self.kept[i], weight.data = weight.data, self.kept[i]
