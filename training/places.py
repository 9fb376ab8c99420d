"""Where the events of a window stand, and which of a validation part's are scored. Knows no task.

Streams stand one after another; a piece's evaluation i is after its stream's event i.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.lanes import Piece, Window, windows

RUN_UP = 256  # events before what is scored, from the cold state
SHORTEST = 4 * RUN_UP  # evaluations of a piece that is scored, where there are so many
SIDE_BY_SIDE = 64  # such pieces


@dataclass(frozen=True)
class Scored(Piece):
    """A piece that is scored from evaluation `begin` on; what comes before is run-up."""

    begin: int


def index(first: NDArray[np.int64], window: Window) -> tuple[Tensor, Tensor]:
    """[steps, pieces]: a window's events, and 1, or 0 for padding, which repeats a piece's last one.

    first: [streams + 1] each stream's first event.
    """
    starts = [int(first[piece.stream]) + piece.first + window.start for piece in window.pieces]
    left = torch.tensor([len(piece) - window.start for piece in window.pieces])
    steps = torch.arange(window.steps)[:, None]
    return torch.tensor(starts) + torch.minimum(steps, left - 1), (steps < left).float()


def validation(trained: NDArray[np.int64], known: NDArray[np.int64], whole: bool = False) -> Iterator[list[Window]]:
    """Windows over the evaluations from trained to known of each stream.

    A long part is scored in pieces side by side, if streams need not be whole.
    """
    size = max(SHORTEST, int(known.max()) if whole else -(-int((known - trained).sum()) // SIDE_BY_SIDE))
    pieces: list[Piece] = [
        Scored(stream, max(0, begin - RUN_UP), min(begin + size, int(last)), begin)
        for stream, (first, last) in enumerate(zip(trained, known, strict=True))
        for begin in range(int(first), int(last), size)
    ]
    return windows(pieces, SIDE_BY_SIDE, RUN_UP, np.random.default_rng(0))


def scored(window: Window) -> Tensor:
    """[steps, pieces]: 1 where a window of `validation` is scored."""
    begins = torch.tensor([p.begin - p.first - window.start for p in window.pieces if isinstance(p, Scored)])
    return (torch.arange(window.steps)[:, None] >= begins).float()


def shuffled(pieces: list[Piece], random: np.random.Generator) -> list[Piece]:
    """In random order, so that pieces of one length are grouped otherwise in each pass."""
    return [pieces[i] for i in random.permutation(len(pieces))]
