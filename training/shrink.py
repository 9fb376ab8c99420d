"""Whether what the network says of the next change is worth saying. Knows the trained network and the validation part.

Where there is nothing to know (prices are nearly so) a network still says something, and errs more than "no change"
does. Its median is drawn towards the last value by the factor that errs least on the validation part.
"""

import numpy as np
import torch

from export.config import HEAD_ROWS
from training.calibrate import Residuals
from training.network import Network
from training.number import Number

FACTORS = (0.0, 0.25, 0.5, 0.75)
WORTH = 0.0005  # of the mean absolute error, that a factor must save


def shrink(task: Number) -> tuple[float, ...]:
    """Put the factor of each target into the weights; gives the factors."""
    network = task.network
    found = Residuals(network, task.prepared)
    factors = []
    for target in range(len(network.config.targets)):
        judged = found.there[:, target] & found.valid
        change = task.prepared.change[:, target].double().numpy()[judged]
        said = change - found.distance[judged, target]
        errors = {factor: float(np.abs(change - factor * said).mean()) for factor in FACTORS} if judged.any() else {}
        best = min(errors, key=lambda factor: errors[factor], default=1.0)
        whole = float(np.abs(change - said).mean()) if judged.any() else 0.0
        factors.append(best if errors and errors[best] < whole * (1 - WORTH) else 1.0)
    if any(factor < 1 for factor in factors):
        _apply(network, torch.tensor(factors))
        task.record()
    return tuple(factors)


def _apply(network: Network, factors: torch.Tensor) -> None:
    rows = torch.arange(len(factors)) * HEAD_ROWS[network.config.head]
    network.head.weight.data[rows] *= factors[:, None]
    network.head.bias.data[rows] *= factors
    if network.config.lags:
        each = factors.repeat_interleave(network.config.experts)
        network.linear.weight.data *= each[:, None]
        network.linear.bias.data *= each
