"""What the predictions are worth: errors of the model and of two baselines, and the interval's coverage. Pure.

Every predictor is judged on the same targets: events of the scored part whose value is there. A prediction for an event
is the one that its stream's event before it got. Scaled: divided by the mean absolute error of persistence on the
stream's training part (MASE; Hyndman and Koehler 2006), so that degrees and hectopascals can be averaged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PREDICTORS = ("model", "persistence", "ar24")
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Stream:
    """One stream, in order, as columns of equal length; all float64 in the stream's unit, NaN where there is none."""

    value: Doubles  # [events]
    training: Bools  # [events]
    scored: Bools  # [events]
    prediction: Doubles  # [events] for the NEXT event, as the output topic has it
    lower: Doubles
    upper: Doubles
    ar24: Doubles  # [events] for THIS event


@dataclass(frozen=True)
class Score:
    """Of a stream, a variable or all streams."""

    targets: int
    mae: dict[str, float]  # by predictor, in the unit; empty where units are mixed
    scaled: dict[str, float]  # by predictor
    coverage: float  # the part of the targets inside the 90 % interval


def before(values: Doubles) -> Doubles:
    """Persistence: for each event the last value that was there before it; NaN where there was none."""
    seen = np.where(np.isnan(values), -1, np.arange(len(values)))
    last = np.concatenate([[-1], np.maximum.accumulate(seen)[:-1]])
    return np.where(last >= 0, values[np.maximum(last, 0)], np.nan)


def shifted(figures: Doubles) -> Doubles:
    """What was said for the next event, put beside the event it was said for."""
    return np.concatenate([[np.nan], figures[:-1]])


def score(stream: Stream) -> Score:
    """Of one stream. A stream without any target has NaN in every figure."""
    naive = before(stream.value)
    said = {"model": shifted(stream.prediction), "persistence": naive, "ar24": stream.ar24}
    scale = _mean(np.abs(stream.value - naive)[stream.training])
    targets = stream.scored & ~np.isnan(stream.value)
    for column in said.values():
        targets &= ~np.isnan(column)
    mae = {name: _mean(np.abs(stream.value - column)[targets]) for name, column in said.items()}
    inside = (shifted(stream.lower) <= stream.value) & (stream.value <= shifted(stream.upper))
    return Score(
        int(targets.sum()),
        mae,
        {name: error / scale if scale > 0 else float("nan") for name, error in mae.items()},
        _mean(inside[targets].astype(np.float64)),
    )


def together(scores: Sequence[Score], *, same_unit: bool) -> Score:
    """Several streams' scores: errors and coverage by target, scaled errors by stream."""
    known = [s for s in scores if s.targets and not np.isnan(s.scaled["model"])]
    weights = np.array([s.targets for s in known], np.float64)

    def weighted(figures: list[float]) -> float:
        return float(np.average(figures, weights=weights)) if known else float("nan")

    return Score(
        int(weights.sum()),
        {name: weighted([s.mae[name] for s in known]) for name in PREDICTORS} if same_unit else {},
        {name: _mean(np.array([s.scaled[name] for s in known])) for name in PREDICTORS},
        weighted([s.coverage for s in known]),
    )


def by_variable(scores: Mapping[str, Score], variables: Sequence[str]) -> dict[str, Score]:
    """The scores of streams named STATION.VARIABLE, by variable."""
    return {
        name: together([s for key, s in scores.items() if key.endswith(f".{name}")], same_unit=True)
        for name in variables
    }


def _mean(figures: Doubles) -> float:
    figures = figures[~np.isnan(figures)]
    return float(figures.mean()) if len(figures) else float("nan")
