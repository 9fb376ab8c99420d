"""Packs streams of unequal length into lanes that are trained side by side, with hardly a step spent on padding.

Streams are cut into pieces of whole windows, so that there are enough pieces for all lanes. Pieces run side by side in
order of length; a window ends where the shortest running piece ends, but is never shorter than MIN_STEPS: only there,
at most MIN_STEPS - 1 steps of a piece are padding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

MIN_STEPS = 8


@dataclass(frozen=True)
class Piece:
    """Evaluations first..last of one stream."""

    stream: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first


@dataclass(frozen=True)
class Window:
    """Evaluations start..start + steps of each running piece, counted from its first."""

    pieces: list[Piece]
    start: int
    steps: int


def cut(lengths: list[int], lanes: int, window: int, shift: int) -> list[Piece]:
    """Pieces of all streams, about as many as there are lanes or more; the first of each stream is `shift` short."""
    size = max(window, -(-sum(lengths) // (lanes * window)) * window)
    pieces = []
    for stream, length in enumerate(lengths):
        ends = [*range(shift or size, length, size), length] if length > 0 else []
        pieces += [Piece(stream, first, last) for first, last in zip([0, *ends], ends, strict=False) if last > first]
    return pieces


def windows(pieces: list[Piece], lanes: int, window: int, random: np.random.Generator) -> Iterator[list[Window]]:
    """Groups of at most `lanes` pieces of similar length, in random order; each as its windows, one after another."""
    order = sorted(pieces, key=lambda piece: -len(piece))
    groups = [order[first : first + lanes] for first in range(0, len(order), lanes)]
    for i in random.permutation(len(groups)):
        yield list(_group(groups[i], window))


def _group(pieces: list[Piece], window: int) -> Iterator[Window]:
    """Longest piece first, so that those that have ended are the last ones."""
    start = 0
    while pieces:
        steps = min(window, max(MIN_STEPS, len(pieces[-1]) - start), len(pieces[0]) - start)
        yield Window(pieces, start, steps)
        start += steps
        pieces = [piece for piece in pieces if len(piece) > start]
