"""Which lags the linear paths get: found in the training part alone. Knows events, nothing of networks.

Seasons are the peaks of the changes' autocorrelation, averaged over streams. Whether short lags, more of them, or the
seasons too are worth their place in every row is decided by a linear autoregression that is fitted to the first part
of the training part, and scored on the rest of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data import Events
from training.naive import forward_filled, mean_changes
from training.splits import TRAIN, Split

SHORT = (8, 24)  # how many of the newest values may be lags
MODEST = 4  # a lag is used where the median stream's training part is this many times as long
LONGEST = 1500  # a row keeps as many values of each feature
SERIES, LENGTH = 200, 20_000  # that are looked at, at most: the streams' features
SEASONS = 3  # at most
SAME = 0.6  # of a multiple's autocorrelation, that makes the shorter one the season
MULTIPLES = ((1, 1), (2, 3), (4, 7))  # of a season, tried together
CLEAR = 0.1  # autocorrelation that a season has at least
NEAR = 200
BETTER, FAR_BETTER = 0.997, 0.99  # of the error with fewer lags, that more lags must reach: up to NEAR, and beyond
FITTED = 0.8  # of what is looked at; the rest scores
FAR = 10.0  # scales
RIDGE = 1e-3

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Lags:
    """What was found, and why it was chosen."""

    lags: tuple[int, ...]
    why: str


def find(events: Events, split: Split) -> Lags:
    """Lags for these events; none where streams are too short for two."""
    series = _series(events, split)
    length = float(np.median([len(values) for values in series])) if series else 0.0
    longest = int(min(length / MODEST, LONGEST))
    if longest < 2:
        return Lags((), "streams are too short for lags")
    groups = _groups(_seasons(series, longest), longest)
    chosen = groups[0]
    best = _error(series, chosen)
    words = [f"{told(chosen)}: {best:.4f}"]
    for group in groups[1:]:
        lags = tuple(sorted({*chosen, *group}))
        if lags == chosen:
            continue
        error = _error(series, lags)
        taken = error < best * (BETTER if lags[-1] <= NEAR else FAR_BETTER)
        words.append(f"with {told(group)}: {error:.4f}{', taken' if taken else ''}")
        if taken:
            chosen, best = lags, error
    return Lags(chosen, f"linear error by lags, in naive errors: {'; '.join(words)}")


def _series(events: Events, split: Split) -> list[Array]:
    """The training part of each stream and feature, filled, in scales of its mean absolute change."""
    found = []
    for index in events.per_stream():
        values = events.values[index[split.part[index] == TRAIN]][-LENGTH:]
        if len(values) > 1:
            found.append(values)
    found.sort(key=len, reverse=True)
    series = []
    for values in found[:: max(1, -(-len(found) * len(events.features) // SERIES))]:
        filled, scales = forward_filled(values), mean_changes(values)
        for column, scale in zip(filled.T, scales, strict=True):
            known = column[np.isfinite(column)]
            if scale > 0 and len(known) > 1:
                series.append(known / scale)
    return series


def _seasons(series: Sequence[Array], longest: int) -> list[int]:
    """Peaks of the changes' autocorrelation, the highest first; of multiples only those that are higher still."""
    total, weight = np.zeros(longest + 2), np.zeros(longest + 2)
    for values in series:
        changes = np.clip(np.diff(values), -FAR, FAR)
        changes -= changes.mean()
        n = len(changes)
        power = np.abs(np.fft.rfft(changes, 2 * n)) ** 2
        found = np.fft.irfft(power)[: longest + 2]
        if found[0] > 0:
            reach = min(len(found), n // MODEST * 2)
            total[:reach] += n * found[:reach] / found[0]
            weight[:reach] += n
    curve = total / np.maximum(weight, 1)
    peaks = [k for k in range(3, longest + 1) if curve[k] > CLEAR and curve[k] >= max(curve[k - 1], curve[k + 1])]
    chosen: list[int] = []
    for k in sorted(peaks, key=lambda k: (-curve[k], k)):
        shorter = [other for other in peaks if k % other == 0 and curve[other] > SAME * curve[k]]
        season = min(shorter)
        if len(chosen) < SEASONS and all(min(season % other, -season % other) > 1 for other in chosen):
            chosen.append(season)
    return chosen


def _groups(seasons: Sequence[int], longest: int) -> list[tuple[int, ...]]:
    """What is tried, one after another. A lag of whole seasons comes with the one before it: together, a change."""
    groups = [tuple(range(1, min(short, longest) + 1)) for short in SHORT]
    for season in seasons:
        for first, last in MULTIPLES:
            lags = {season * k + more for k in range(first, last + 1) for more in (0, 1)}
            groups.append(tuple(sorted(lag for lag in lags if lag <= longest)))
    return [group for group in groups if len(group) > 1]


def _error(series: Sequence[Array], lags: tuple[int, ...]) -> float:
    """Mean absolute error of one linear autoregression for all series, on the last part of each."""
    back = np.array(lags[1:])
    width = len(back) + 1
    xx, xy = RIDGE * np.eye(width), np.zeros(width)
    held: list[tuple[Array, Array]] = []
    for values in series:
        if len(values) < lags[-1] + 2:
            continue
        view = np.lib.stride_tricks.sliding_window_view(values, lags[-1])[:-1]
        last = view[:, -1:]
        x = np.clip(np.concatenate([view[:, -back] - last, last - values.mean()], 1), -FAR * 10, FAR * 10)
        y = np.clip(values[lags[-1] :] - last[:, 0], -FAR, FAR)
        cut = int(FITTED * len(values)) - lags[-1]
        if cut > 0:
            xx += x[:cut].T @ x[:cut]
            xy += x[:cut].T @ y[:cut]
        held.append((x[max(cut, 0) :].copy(), y[max(cut, 0) :]))  # a copy, so that the rest is let go
    weights = np.linalg.solve(xx + RIDGE * np.trace(xx) / width * np.eye(width), xy)
    wrong = [np.abs(y - x @ weights) for x, y in held]
    return float(np.concatenate(wrong).mean()) if wrong else float("inf")


def told(lags: tuple[int, ...]) -> str:
    """Lags in words: 1-8 24-25."""
    runs: list[list[int]] = []
    for lag in lags:
        if runs and runs[-1][-1] == lag - 1:
            runs[-1].append(lag)
        else:
            runs.append([lag])
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
