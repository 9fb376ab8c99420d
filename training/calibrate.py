"""Makes the intervals hold what they promise, on events that were not trained on. Knows the trained network.

Split conformal prediction (Vovk 2005; Romano et al. 2019), level by level: each width is stretched until its quantile
leaves the right share of values outside. The stretch is the larger one of what the validation part and what the
training part asks for: a calm validation part must not narrow the intervals below what the training part needed.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from export.config import Weights
from training.lanes import Piece, windows
from training.network import Network
from training.prepare import Prepared
from training.unroll import run, validated

INNER, OUTER = 0.75, 0.95
BOUNDS = (0.05, 20.0)  # of a stretch
FEW = 40  # values that a side needs
SIDES = 2  # up, down

Array = NDArray[np.float64]


@dataclass
class Residuals:
    """Of one target and one part: change less median [events], and widths [events, 4], in scales."""

    distance: Array
    widths: Array


def residuals(network: Network, prepared: Prepared, target: int) -> tuple[Residuals, Residuals]:
    """Of the training and of the validation part, each stream run from its start."""
    network.eval()
    pieces = [Piece(i, 0, int(known)) for i, known in enumerate(prepared.known) if known]
    parts: tuple[list[tuple[Array, Array]], ...] = ([], [])
    with torch.no_grad():
        groups = windows(pieces, 256, 256, np.random.default_rng(0))
        for window, base, widths, change, weight in run(network, prepared, groups):
            valid = validated(prepared, window)[..., 0].numpy() > 0
            there = weight[..., target].numpy() > 0
            distance = (change[..., target] - base[..., target, 0]).numpy()
            for part, rows in zip(parts, (there & ~valid, there & valid), strict=True):
                part.append((distance[rows], widths[..., target, :].numpy()[rows]))
    in_training, in_validation = (
        Residuals(
            np.concatenate([d for d, _ in part]).astype(float), np.concatenate([w for _, w in part]).astype(float)
        )
        for part in parts
    )
    return in_training, in_validation


def calibrate(network: Network, prepared: Prepared) -> Weights:
    """The weights `stretch` [targets, 4] and `tail` [targets, 2]."""
    stretches, tails = [], []
    for target in range(len(network.config.targets)):
        parts = residuals(network, prepared, target)
        stretch = np.max([_stretch(part) for part in parts], axis=0)
        both = Residuals(
            np.concatenate([part.distance for part in parts]), np.concatenate([part.widths for part in parts])
        )
        stretches.append(stretch)
        tails.append(_tail(both, stretch))
    return {"stretch": np.array(stretches, np.float32), "tail": np.array(tails, np.float32)}


def _stretch(part: Residuals) -> Array:
    """Factors of the four widths (up, down, further up, further down)."""
    factors = np.full(4, BOUNDS[0])
    if len(part.distance) < FEW:
        return factors  # asks for nothing
    for side, sign in enumerate((1.0, -1.0)):
        distance, inner, outer = sign * part.distance, part.widths[:, side], part.widths[:, SIDES + side]
        first = np.clip(_quantile(distance / inner, INNER), *BOUNDS)
        factors[side] = first
        factors[SIDES + side] = np.clip(_quantile((distance - first * inner) / outer, OUTER), *BOUNDS)
    return factors


def _quantile(scores: Array, level: float) -> float:
    """The conformal quantile: the ceil((n + 1) * level)-th smallest."""
    rank = min(len(scores), int(np.ceil((len(scores) + 1) * level)))
    return float(np.partition(scores, rank - 1)[rank - 1])


def _tail(part: Residuals, stretch: Array) -> Array:
    """Surprise per outer width beyond the outer quantiles, up and down: exponential tails, by maximum likelihood."""
    slopes = np.full(SIDES, 0.5)
    for side, sign in enumerate((1.0, -1.0)):
        inner, outer = stretch[side] * part.widths[:, side], stretch[SIDES + side] * part.widths[:, SIDES + side]
        beyond = (sign * part.distance - inner - outer) / outer
        beyond = np.minimum(beyond[beyond > 0], 100.0)
        if len(beyond) >= FEW // 4:
            slopes[side] = np.clip(1 / (np.log(10) * beyond.mean()), 0.02, 10.0)
    return slopes
