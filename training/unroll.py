"""Runs the cells and the head over windows of prepared streams: for training, for scores, for calibration."""

from collections.abc import Iterator

import torch
from torch import Tensor

from export.config import LEVELS
from export.head import OFFSETS, QUARTILE
from training.dropout import of_window
from training.lanes import Window
from training.network import Network
from training.places import index
from training.prepare import Prepared

LOSS_LIMIT = 1000.0  # scales


def run(
    network: Network, prepared: Prepared, groups: Iterator[list[Window]], dropout: float = 0.0
) -> Iterator[tuple[Window, Tensor, Tensor, Tensor, Tensor]]:
    """Run groups of pieces side by side from the cold state, carrying it from window to window, detached.

    Yields window, base [steps, pieces, targets, 1], widths [.., 4], and of the next events change and weight
    [steps, pieces, targets]; all in scales. Padding has weight 0. dropout: the share of the outputs, and half of it of
    the inputs, that is hidden, each piece's own for a whole window.
    """
    config = network.config
    for group in groups:
        state = network.cells.cold(len(group[0].pieces))
        for window in group:
            lanes = len(window.pieces)
            state = tuple(tensor.detach()[:, :lanes].contiguous() for tensor in state)
            seen, linear, doubts, change, weight = _gather(prepared, window)
            hidden, state = network.cells(of_window(seen, dropout / 2), state, dropout)
            correction, widths = network.predict(of_window(hidden, dropout))
            base = correction
            if config.lags:
                against = doubts if config.experts > 1 else None
                base = base + network.mix(hidden, network.advice(linear), against)[..., None]
            yield window, base, widths, change, weight


def loss(network: Network, base: Tensor, widths: Tensor, change: Tensor, weight: Tensor) -> Tensor:
    """The sum of the losses of what `run` yields, as the network's head has it."""
    if network.config.head == "normal":
        return normal_loss(base, widths, change, weight)
    return quantile_loss(base + widths @ torch.from_numpy(OFFSETS), change, weight)


def quantile_loss(quantiles: Tensor, change: Tensor, weight: Tensor) -> Tensor:
    """The sum over all of the pinball losses of all levels (Koenker and Bassett 1978)."""
    levels = torch.tensor(LEVELS)
    error = change.clip(-LOSS_LIMIT, LOSS_LIMIT)[..., None] - quantiles
    return (torch.maximum(levels * error, (levels - 1) * error).sum(-1) * weight).sum()


def normal_loss(mean: Tensor, widths: Tensor, change: Tensor, weight: Tensor) -> Tensor:
    """The sum of the negative logarithms of a normal's density, but for their constant (Nix and Weigend 1994)."""
    deviation = widths[..., 0] / QUARTILE
    distance = (change.clip(-LOSS_LIMIT, LOSS_LIMIT) - mean[..., 0]) / deviation
    return ((deviation.log() + distance.square() / 2) * weight).sum()


def validated(prepared: Prepared, window: Window) -> Tensor:
    """[steps, pieces, 1]: 1 where the next event is after the training part."""
    starts = torch.tensor([int(prepared.trained[p.stream]) - p.first - window.start for p in window.pieces])
    return (torch.arange(window.steps)[:, None] >= starts).float()[..., None]


def _gather(prepared: Prepared, window: Window) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """seen, linear, doubt, change and weight of a window, [steps, pieces, ...]; padding repeats a piece's last."""
    places, there = index(prepared.first, window)
    rows = places.flatten()
    doubt, change, weight = (
        tensor.index_select(0, rows) for tensor in (prepared.doubt, prepared.change, prepared.weight)
    )
    seen, linear, doubt, change, weight = (
        tensor.view(*places.shape, *tensor.shape[1:]) for tensor in (*prepared.inputs(rows), doubt, change, weight)
    )
    return seen, linear, doubt, change, weight * there[..., None]
