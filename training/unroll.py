"""Runs the LSTM and the head over windows of prepared streams: for training, for scores, for calibration."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from export.config import LEVELS, SEEN_LIMIT
from training.lanes import Piece, Window
from training.network import Network
from training.prepare import Stream

LOSS_LIMIT = 1000.0  # scales


def run(
    network: Network, streams: list[Stream], groups: Iterator[list[Window]], dropout: float = 0.0
) -> Iterator[tuple[Window, Tensor, Tensor, Tensor, Tensor]]:
    """Run groups of pieces side by side from the cold LSTM, carrying its state from window to window, detached.

    Yields window, base [steps, pieces, targets, 1], widths [.., 4], and of the next events change and weight
    [steps, pieces, targets]; all in scales. Padding has weight 0.
    """
    config = network.config
    for group in groups:
        lanes = len(group[0].pieces)
        h = c = torch.zeros(config.layers, lanes, config.hidden)
        for window in group:
            lanes = len(window.pieces)
            h, c = h[:, :lanes].contiguous(), c[:, :lanes].contiguous()
            seen, linear, doubts, change, weight = _gather(streams, window)
            hidden, (h, c) = network.lstm(nn.functional.dropout(seen, dropout / 2), (h, c))
            correction, widths = network.predict(nn.functional.dropout(hidden, dropout))
            base = correction
            if config.lags:
                against = doubts if config.experts > 1 else None
                base = base + network.mix(hidden, network.advice(linear), against)[..., None]
            yield window, base, widths, change, weight
            h, c = h.detach(), c.detach()


def quantile_loss(quantiles: Tensor, change: Tensor, weight: Tensor) -> Tensor:
    """The sum over all of the pinball losses of all levels (Koenker and Bassett 1978)."""
    levels = torch.tensor(LEVELS)
    error = change.clip(-LOSS_LIMIT, LOSS_LIMIT)[..., None] - quantiles
    return (torch.maximum(levels * error, (levels - 1) * error).sum(-1) * weight).sum()


def from_evaluation(window: Window, first: Callable[[Piece], int]) -> Tensor:
    """[steps, pieces, 1]: 1 from each piece's given evaluation on."""
    starts = torch.tensor([first(piece) - piece.first - window.start for piece in window.pieces])
    return (torch.arange(window.steps)[:, None] >= starts).float()[..., None]


def _gather(streams: list[Stream], window: Window) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """seen, linear, doubt, change and weight of a window, [steps, pieces, ...], padded with zeros."""
    fields: tuple[list[Tensor], ...] = ([], [], [], [], [], [])
    for piece in window.pieces:
        stream, first = streams[piece.stream], piece.first + window.start
        part = slice(first, min(first + window.steps, piece.last))
        tensors = (stream.front, stream.way, stream.level, stream.doubt, stream.change, stream.weight)
        for column, tensor in zip(fields, tensors, strict=True):
            column.append(_padded(tensor[part], window.steps))
    front, way, level, doubts, change, weight = (torch.stack(column, 1) for column in fields)
    return (
        torch.cat([front, way.clip(-SEEN_LIMIT, SEEN_LIMIT)], -1),
        torch.cat([way, level], -1),
        doubts,
        change,
        weight,
    )


def _padded(tensor: Tensor, steps: int) -> Tensor:
    if len(tensor) == steps:
        return tensor
    return torch.cat([tensor, torch.zeros(steps - len(tensor), *tensor.shape[1:])])
