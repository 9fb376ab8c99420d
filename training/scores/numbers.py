"""Scores of task number: errors and intervals of the model and of its rivals on the same numbers of the test part.

Knows arrays and signatures; the file is run elsewhere. A rival predicts a point: it counts as all its quantiles.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.scores.baselines import autoregressions, season, seasonal
from training.scores.figures import mean, plain
from training.scores.series import Array, Bools, Ints, Series
from training.scores.window import predict, width_for

Scores = dict[str, Any]  # as metrics.json: plain numbers, lists and dictionaries, None where there is no figure
RIVALS = ("persistence", "seasonal", "ar", "mlp")
MEASURES = ("mae", "rmse", "mase", "wql")


def before(series: Series, rows: Ints, quantiles: NDArray[np.float32], stepped: Bools) -> NDArray[np.float32]:
    """[rows, levels]: what the file said of each number when it came; NaN where it had not said anything yet.

    quantiles: [events, targets, levels] after each event. A refused event says nothing: the one before it stands.
    """
    last = np.maximum.accumulate(np.where(stepped[series.event], np.arange(len(series.event)), -1))
    newest = last[rows - 1]
    said = quantiles[series.event[newest], series.target[newest]]
    said[(rows == 0) | (newest < series.first[series.of[rows]])] = np.nan
    return said


def rivals(series: Series, rows: Ints, lags: Sequence[int], seed: int) -> tuple[dict[str, Array], Scores]:
    """Each rival's predictions of these numbers, [rows], and what was chosen for them."""
    period, width = season(series), width_for(series)
    ar, fitted = autoregressions(series, lags)
    predicted = {
        "persistence": series.past[rows],
        "seasonal": seasonal(series, period)[rows],
        "ar": ar[rows],
        "mlp": predict(series, rows, width, seed),
    }
    return predicted, {"season": period, "ar_lags": sorted(lags), "ar_streams": fitted, "mlp_window": width}


def score(series: Series, rows: Ints, levels: Sequence[float], model: Array, others: Mapping[str, Array]) -> Scores:
    """Keys `all` and `streams`, each with `events` and the measures of the model and of each rival.

    rows: the scored numbers; model: [rows, levels]; others: [rows] each. In all, MAE, RMSE, quantile loss and coverage
    are over the numbers, and MASE is the mean over the series that have a scale, `scaled` of them.
    """
    of, actual = series.of[rows], series.values[rows]
    there, place = np.unique(of, return_inverse=True)
    means = _Means(place, len(there))
    sizes = means.of(np.abs(actual))
    scale = series.scale[there]
    level = np.array(levels)
    total: Scores = {"events": len(rows), "streams": len(there), "scaled": int(np.isfinite(scale).sum())}
    each: dict[str, dict[str, Array]] = {}
    for name, said in {"model": model, **others}.items():
        apart = actual - (said if said.ndim == 1 else said[:, levels.index(0.5)])
        mae, square = means.of(np.abs(apart)), means.of(apart**2)
        loss = np.abs(apart) if said.ndim == 1 else _quantile_loss(actual, said, level)
        with np.errstate(divide="ignore", invalid="ignore"):
            each[name] = {"mae": mae, "rmse": np.sqrt(square), "mase": mae / scale, "wql": means.of(loss) / sizes}
            total[name] = {
                "mae": plain(mean(np.abs(apart))),
                "rmse": plain(np.sqrt(mean(apart**2))),
                "mase": plain(mean(each[name]["mase"][np.isfinite(scale)])),
                "wql": plain(np.float64(mean(loss)) / mean(np.abs(actual))),
            }
    for share, (low, high) in intervals(levels).items():
        within = (actual >= model[:, low]) & (actual <= model[:, high])
        each["model"][f"coverage_{share}"] = means.of(within.astype(float))
        total["model"][f"coverage_{share}"] = plain(mean(within))
    for name in others:  # the series in which the model's errors are smaller
        total[name]["beaten"] = int((each["model"]["mae"] < each[name]["mae"]).sum())
    below = [plain(mean(actual <= model[:, i])) for i in range(len(levels))]
    total["calibration"] = [{"level": q, "observed": share} for q, share in zip(levels, below, strict=True)]
    return {"all": total, "streams": _streams([series.names[i] for i in there], means.count, each)}


def intervals(levels: Sequence[float]) -> dict[int, tuple[int, int]]:
    """Per cent -> the places of the two quantiles that bound the central interval of so much."""
    return {
        round(100 * (levels[-1 - i] - levels[i])): (i, len(levels) - 1 - i)
        for i in range(len(levels) // 2)
        if abs(levels[i] + levels[-1 - i] - 1) < 1e-6
    }


class _Means:
    """Means over each group of rows."""

    def __init__(self, place: Ints, groups: int) -> None:
        self.place, self.groups = place, groups
        self.count = np.bincount(place, minlength=groups)

    def of(self, values: Array) -> Array:
        return np.bincount(self.place, values, self.groups) / self.count


def _quantile_loss(actual: Array, said: Array, level: Array) -> Array:
    """Twice the pinball loss, [rows], mean over the levels: of a point it is the absolute error."""
    apart = actual[:, None] - said
    loss: Array = 2 * np.maximum(level * apart, (level - 1) * apart).mean(1)
    return loss


def _streams(names: list[str], counts: Ints, each: dict[str, dict[str, Array]]) -> Scores:
    columns = {
        name: {
            measure: np.where(np.isfinite(values), values, None).tolist()  # type: ignore[call-overload]
            for measure, values in measures.items()
        }
        for name, measures in each.items()
    }
    return {
        name: {"events": events}
        | {rival: {key: column[i] for key, column in measures.items()} for rival, measures in columns.items()}
        for i, (name, events) in enumerate(zip(names, counts.tolist(), strict=True))
    }
