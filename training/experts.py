"""Fits the linear paths: one autoregression for each group of streams that behave alike. Knows evaluations only.

Clusterwise regression (Späth 1979): streams are given to the expert that errs least on them, experts are fitted to
their streams, in turns. Then each is refitted for absolute errors, which a median needs. One more expert says "no
change".
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from export.config import Config
from training.prepare import Prepared

TURNS = 20
REFITS = 6
STREAMS = 2000  # that a fit looks at, at most
ROWS = 300_000  # evaluations that a fit looks at, at most: many more than it has coefficients
FAR = 10.0  # scales; what moves further weighs little, so that a broken sensor does not bend an expert
RIDGE = 1e-4  # of the evaluations: small beside what noise of a tenth of a scale adds up to
GENERAL = 10.0  # evaluations that the streams' common expert is worth to each group

Array = NDArray[np.float64]


def fit(prepared: Prepared, config: Config, target: int, seed: int) -> tuple[Array, Array]:
    """What each expert says of a target's next change, in scales, fitted on the training part.

    Coefficients [experts, linear_width] and a constant, a drift, [experts]. They are of the target's own past alone:
    with all features' past a fit has too many coefficients, and training finds what else there is to say.
    """
    own = _own_columns(config, target)
    fitted = _fit(prepared, own, target, config.experts, seed)
    coefficients = np.zeros((config.experts, config.linear_width))
    coefficients[:, own] = fitted[:, :-1]
    return coefficients, fitted[:, -1]


def _own_columns(config: Config, target: int) -> list[int]:
    """Where the target's own lags and level stand among the columns of the linear path."""
    column = config.target_columns[target]
    return list(range(column, config.linear_width, len(config.features)))


def _fit(prepared: Prepared, own: list[int], target: int, experts: int, seed: int) -> Array:
    """[experts, columns + 1], the constant last."""
    random = np.random.default_rng(seed)
    chosen = np.flatnonzero(prepared.trained)
    if len(chosen) > STREAMS:
        chosen = np.sort(random.choice(chosen, STREAMS, replace=False))
    share = min(1.0, ROWS / max(1, int(prepared.trained[chosen].sum())))
    groups = []
    for stream in chosen:
        start = int(prepared.first[stream])
        rows = prepared.weight[start : start + int(prepared.trained[stream]), target].numpy() > 0
        rows &= random.random(len(rows)) < share
        if rows.any():
            index = torch.from_numpy(start + np.flatnonzero(rows))
            x, y = prepared.linear(index)[:, own].double().numpy(), prepared.change[index, target].double().numpy()
            groups.append((np.concatenate([x, np.ones((len(x), 1))], 1), y))
    width = len(own) + 1
    if not groups:
        return np.zeros((experts, width))
    moments = [_moments(x, y, _modesty(x, y)) for x, y in groups]
    common = _refine(groups, _solve(_sum(moments)), None)
    if experts == 1:
        return common[None]
    found = _cluster(moments, common, min(experts - 1, len(groups)))
    nearest = _nearest(moments, found)
    fitted = np.zeros((experts, width))  # those without a group stay at "no change"
    for i, w in enumerate(found):
        mine = [group for group, near in zip(groups, nearest, strict=True) if near == i]
        if mine:
            fitted[i] = _refine(mine, w, common)
    return fitted


@dataclass
class Moments:
    """All that least squares needs to know of some evaluations."""

    xx: Array
    xy: Array
    yy: float
    rows: int

    def cost(self, w: Array) -> float:
        """The sum of squared errors of coefficients w."""
        return float(self.yy - 2 * self.xy @ w + w @ self.xx @ w)


def _moments(x: Array, y: Array, weights: Array) -> Moments:
    xw = x * weights[:, None]
    return Moments(np.asarray(xw.T @ x), np.asarray(xw.T @ y), float(weights @ y**2), len(y))


def _sum(parts: list[Moments]) -> Moments:
    total = Moments(np.zeros_like(parts[0].xx), np.zeros_like(parts[0].xy), 0.0, 0)
    for part in parts:
        total.xx, total.xy = total.xx + part.xx, total.xy + part.xy
        total.yy, total.rows = total.yy + part.yy, total.rows + part.rows
    return total


def _modesty(x: Array, y: Array) -> Array:
    """Weights near 1 where all moves are below FAR, falling with their fourth power.

    What a column usually holds, such as the way back along a trend, is no large move however far it is.
    """
    usual = np.maximum(1.0, np.median(np.abs(x), axis=0))
    largest = np.maximum((np.abs(x) / usual).max(1, initial=0), np.abs(y))
    result: Array = 1 / (1 + (largest / FAR) ** 2) ** 2
    return result


def _solve(moments: Moments, towards: Array | None = None) -> Array:
    """Ridge regression, shrunk towards other coefficients where there are some."""
    ridge = RIDGE * moments.rows + (0.0 if towards is None else GENERAL)
    towards = np.zeros(len(moments.xy)) if towards is None else towards
    penalised = moments.xx + ridge * np.eye(len(towards))
    return np.asarray(np.linalg.solve(penalised, moments.xy + ridge * towards), np.float64)


def _cluster(streams: list[Moments], common: Array, experts: int) -> list[Array]:
    """Experts from the streams' moments; each new one starts from the stream that is served worst so far."""
    own: list[Array] = [_solve(moments, common) for moments in streams]
    best = np.array([moments.cost(w) for moments, w in zip(streams, own, strict=True)])
    found = [common]
    while len(found) < experts:
        costs = np.array([min(moments.cost(w) for w in found) for moments in streams])
        found.append(own[int((costs - best).argmax())])
    for _ in range(TURNS):
        nearest = _nearest(streams, found)
        before = [w.copy() for w in found]
        for i in range(experts):
            mine = [moments for moments, near in zip(streams, nearest, strict=True) if near == i]
            if mine:
                found[i] = _solve(_sum(mine), common)
        if all(np.array_equal(a, b) for a, b in zip(before, found, strict=True)):
            break
    return found


def _nearest(streams: list[Moments], found: list[Array]) -> NDArray[np.int64]:
    """The expert that errs least on each stream."""
    costs = np.array([[moments.cost(w) for w in found] for moments in streams])
    return np.asarray(costs.argmin(1), np.int64)


def _refine(groups: list[tuple[Array, Array]], w: Array, common: Array | None) -> Array:
    """From least squares towards least absolute errors, by reweighting."""
    modest = [_modesty(x, y) for x, y in groups]
    for _ in range(REFITS):
        weights = [m / np.maximum(np.abs(y - x @ w), 0.05) for m, (x, y) in zip(modest, groups, strict=True)]
        w = _solve(_sum([_moments(x, y, v) for v, (x, y) in zip(weights, groups, strict=True)]), common)
    return w
