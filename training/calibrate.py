"""Makes the intervals hold what they promise, on events that were not trained on. Knows the trained network.

Split conformal prediction (Vovk 2005; Romano et al. 2019), level by level: each width is stretched until its quantile
leaves the right share of the validation part's values outside. Errors of the training part say nothing here: the
network was fitted to them, and they are too small. Only where the validation part has fewer than FEW values are they
taken with it. What the intervals of one stream miss beyond that, its own factor makes up (`export.reach`), so the
stretch is measured with that factor in place.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from export.config import Weights
from training.lanes import Piece, windows
from training.network import Network
from training.prepare import Prepared
from training.reach import errors, followed
from training.unroll import run, validated

INNER, OUTER = 0.75, 0.95
BOUNDS = (0.05, 20.0)  # of a stretch
FEW = 40  # values that a side needs
SIDES = 2  # up, down
TURNS = 3  # the factor follows from the stretch, and the stretch from the factor

Array = NDArray[np.float64]
Places = NDArray[np.bool_]


class Residuals:
    """Of all evaluations up to the validation part's end, in the order of `Prepared`: N of them.

    distance [N, targets]: change less median; widths [N, targets, 4], both in scales. there [N, targets]: whether the
    next value is there. valid [N]: whether it is of the validation part. Each stream is run from its start.
    """

    def __init__(self, network: Network, prepared: Prepared) -> None:
        total, targets = len(prepared.change), len(network.config.targets)
        self.distance, self.widths = np.zeros((total, targets)), np.ones((total, targets, 4))
        self.there, self.valid = np.zeros((total, targets), np.bool_), np.zeros(total, np.bool_)
        self.streams = [
            slice(int(first), int(first + known))
            for first, known in zip(prepared.first[:-1], prepared.known, strict=True)
            if known
        ]
        network.eval()
        pieces = [Piece(i, 0, int(known)) for i, known in enumerate(prepared.known) if known]
        with torch.no_grad():
            groups = windows(pieces, 256, 256, np.random.default_rng(0))
            for window, base, widths, change, weight in run(network, prepared, groups):
                valid = validated(prepared, window)[..., 0].numpy() > 0
                for lane, piece in enumerate(window.pieces):
                    steps = min(window.steps, len(piece) - window.start)
                    start = int(prepared.first[piece.stream]) + piece.first + window.start
                    rows = slice(start, start + steps)
                    self.distance[rows] = (change[:steps, lane] - base[:steps, lane, :, 0]).numpy()
                    self.widths[rows] = widths[:steps, lane].numpy()
                    self.there[rows] = weight[:steps, lane].numpy() > 0
                    self.valid[rows] = valid[:steps, lane]


def calibrate(network: Network, prepared: Prepared) -> Weights:
    """The weights `stretch` [targets, 4] and `tail` [targets, 2], and `usual` [targets] where streams have factors."""
    found = Residuals(network, prepared)
    parts = [_target(network, found, target) for target in range(len(network.config.targets))]
    names = ("stretch", "tail", "usual") if network.config.reach else ("stretch", "tail")
    return {name: np.array([part[name] for part in parts], np.float32) for name in names}


def _target(network: Network, found: Residuals, target: int) -> dict[str, Array | float]:
    there = found.there[:, target]
    judged = there & found.valid if (there & found.valid).sum() >= FEW else there
    distance, widths = found.distance[:, target], found.widths[:, target]
    stretch = _stretch(distance[judged], widths[judged])
    usual, factor = 1.0, np.ones(len(distance))
    for _ in range(TURNS if network.config.reach else 0):
        error = errors(torch.from_numpy(distance[:, None]), torch.from_numpy(widths * stretch)).numpy()
        usual = max(float(error[judged].mean()), 1e-6) if judged.any() else 1.0
        factor = np.ones(len(distance))
        for rows in found.streams:
            factor[rows] = followed(error[rows], there[rows], usual)
        stretch = _stretch(distance[judged], (widths * factor[:, None])[judged])
    tail = _tail(distance[there], (widths * factor[:, None] * stretch)[there])
    return {"stretch": stretch, "tail": tail, "usual": usual}


def _stretch(distance: Array, widths: Array) -> Array:
    """Factors of the four widths (up, down, further up, further down)."""
    factors = np.ones(4)
    if len(distance) < FEW:
        return factors
    for side, sign in enumerate((1.0, -1.0)):
        out, inner, outer = sign * distance, widths[:, side], widths[:, SIDES + side]
        first = np.clip(_quantile(out / inner, INNER), *BOUNDS)
        factors[side] = first
        factors[SIDES + side] = np.clip(_quantile((out - first * inner) / outer, OUTER), *BOUNDS)
    return factors


def _quantile(scores: Array, level: float) -> float:
    """The conformal quantile: the ceil((n + 1) * level)-th smallest."""
    rank = min(len(scores), int(np.ceil((len(scores) + 1) * level)))
    return float(np.partition(scores, rank - 1)[rank - 1])


def _tail(distance: Array, widths: Array) -> Array:
    """Surprise per outer width beyond the outer quantiles, up and down: exponential tails, by maximum likelihood."""
    slopes = np.full(SIDES, 0.5)
    for side, sign in enumerate((1.0, -1.0)):
        outer = widths[:, SIDES + side]
        beyond = (sign * distance - widths[:, side] - outer) / outer
        beyond = np.minimum(beyond[beyond > 0], 100.0)
        if len(beyond) >= FEW // 4:
            slopes[side] = np.clip(1 / (np.log(10) * beyond.mean()), 0.02, 10.0)
    return slopes
