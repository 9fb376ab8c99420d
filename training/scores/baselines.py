"""What the model must beat without a network: the seasonal naive forecast, and a linear autoregression of each series.

Knows arrays only. All predict a number from the numbers before it in its own series, and are fitted on the training
part. (Persistence is `Series.past`.)
"""

from collections.abc import Sequence

import numpy as np

from training.scores.series import Array, Ints, Series
from training.splits import TRAIN

ROWS_PER_COEFFICIENT = 3
SAMPLE = 256  # series that the season is looked for in
LONGEST = 2000  # season
PERIODS = 3  # that a training part must hold for a season to be seen in it
CLEAR, DEVIATIONS = 0.05, 3  # least autocorrelation of a season; and so many deviations of what chance brings
PEAKS = 12  # that are tried
CLOSE = 1.05  # a shorter season is preferred where its error is at most so many times the least one


def season(series: Series) -> int:
    """Of the highest peaks of the training part's autocorrelation the lag that foretells it best; 1: there is no peak.

    It is the autocorrelation of the changes, over all series, because a walk's own has peaks that mean nothing. Missing
    ones take no part: each lag's sum is over the pairs that are there.
    """
    trained = series.trained
    long = np.flatnonzero(trained > 2 * PERIODS)
    chosen = long[np.unique(np.linspace(0, len(long) - 1, min(SAMPLE, len(long))).astype(int))] if len(long) else long
    if not len(chosen):
        return 1
    longest = min(LONGEST, int(trained[chosen].max()) // PERIODS)
    products, pairs = np.zeros(longest + 2), np.zeros(longest + 2)
    for i in chosen:
        values = np.diff(series.values[series.first[i] : series.first[i] + trained[i]])
        there = np.isfinite(values)
        apart = np.where(there, values - (values[there].mean() if there.any() else 0), 0)
        deviation = np.sqrt((apart**2).sum() / max(1, there.sum()))
        if deviation > 0:
            lags = min(longest + 2, len(values) // PERIODS + 2)
            products[:lags] += _correlations(apart / deviation)[:lags]
            pairs[:lags] += _correlations(there.astype(float))[:lags]
    correlation = products / np.maximum(pairs, 1)
    peaks = _peaks(correlation, CLEAR + DEVIATIONS / np.sqrt(np.maximum(pairs, 1)))
    if not len(peaks):
        return 1
    errors = [_error(series, int(lag)) for lag in peaks]
    return int(peaks[np.array(errors) <= CLOSE * min(errors)].min())


def _correlations(values: Array) -> Array:
    """[lags]: the sum of products at each lag (Wiener-Khinchin)."""
    size = 1 << (2 * len(values) - 1).bit_length()
    power = np.abs(np.fft.rfft(values, size)) ** 2
    return np.fft.irfft(power, size)[: len(values)]


def _peaks(correlation: Array, least: Array) -> Ints:
    """The lags, from 2 on, of the highest peaks that are clear ones."""
    inner = correlation[2:-1]
    found = np.flatnonzero((inner > correlation[1:-2]) & (inner >= correlation[3:]) & (inner > least[2:-1])) + 2
    return found[np.argsort(-correlation[found], kind="stable")][:PEAKS]


def _error(series: Series, lag: int) -> float:
    """Of the seasonal forecast on the training part, in the series' scales."""
    rows = (series.part == TRAIN) & np.isfinite(series.values) & np.isfinite(series.past)
    rows &= np.isfinite(series.scale[series.of])
    apart = np.abs(series.values[rows] - seasonal(series, lag)[rows])
    return float((apart / series.scale[series.of[rows]]).mean())


def seasonal(series: Series, lag: int) -> Array:
    """[numbers]: the value a season ago; where there was none, persistence."""
    ago = np.arange(len(series.values)) - lag
    there = ago >= series.first[series.of]
    found = np.where(there, series.filled[ago], np.nan)
    return np.where(np.isfinite(found), found, series.past)


def autoregressions(series: Series, lags: Sequence[int]) -> tuple[Array, int]:
    """[numbers]: each series' own autoregression; persistence where it has too little of a training part or past.

    And how many of the scored series have an autoregression.
    """
    predicted = series.past.copy()
    trained, scored = series.trained, np.bincount(series.of[series.scored], minlength=len(series.names))
    fitted = 0
    for i in np.flatnonzero((scored > 0) & (trained > 0)).tolist():
        rows = slice(series.first[i], series.first[i + 1])
        fitted += _autoregression(series.values[rows], series.filled[rows], predicted[rows], int(trained[i]), lags)
    return predicted, fitted


def autoregression(values: Array, trained: int, lags: Sequence[int]) -> Array:
    """[T]: a linear autoregression with a constant, least squares on the first `trained` of the values [T].

    Lag 1 is the value before. Missing values are forward-filled in the past and left out as targets. Where the training
    part is too short, the longest lags are left out; where there is no past yet, persistence.
    """
    newest = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), -1))
    filled = np.where(newest >= 0, values[newest], np.nan)
    predicted = np.concatenate([[np.nan], filled[:-1]])
    _autoregression(values, filled, predicted, trained, lags)
    return predicted


def _autoregression(values: Array, filled: Array, predicted: Array, trained: int, lags: Sequence[int]) -> bool:
    """Write it over what is predicted, where there is enough to fit it; whether there was."""
    there = np.isfinite(values)
    first = int(there.argmax())
    if not there[first]:
        return False
    known, fitted = np.asarray(sorted(lags)), trained - first
    # What each number of lags needs: the longest one's past, and rows enough for its coefficients.
    need = known + ROWS_PER_COEFFICIENT * np.arange(2, len(known) + 2)
    known = known[: np.searchsorted(need, fitted, side="right")]
    if not len(known):
        return False
    start = first + int(known[-1])
    rows = there[start:trained]
    if rows.sum() < ROWS_PER_COEFFICIENT * (len(known) + 1):
        return False
    center = filled[first:trained].mean()  # a shift that the constant takes up; it keeps the equations well conditioned
    design = np.ones((len(values) - start, len(known) + 1))
    for column, lag in enumerate(known.tolist()):
        design[:, column] = filled[start - lag : len(values) - lag] - center
    weights = np.linalg.lstsq(design[: len(rows)][rows], values[start:trained][rows] - center, rcond=None)[0]
    predicted[start:] = design @ weights + center
    return True
