"""Scores of the exported file and of the baselines on the test part. Runs the file as serving does.

One pass over all events with carried state, through the engine. Only events of the test part whose value is there are
scored, and only where a value came before.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.columns import Columns
from engine.model import Model
from engine.replay import replay
from export.config import LEVELS
from training.baselines import autoregression, persistence
from training.data import Events
from training.naive import mean_changes
from training.splits import TEST, TRAIN, Split

BATCH = 8192
MEDIAN = LEVELS.index(0.5)

Array = NDArray[np.float64]
Scores = dict[str, Any]  # as metrics.json


@dataclass
class Errors:
    """Of the scored events of one stream and feature. scale: the training part's naive error, NaN where it has none."""

    actual: Array  # [events]
    model: Array  # [events, levels]
    persistence: Array
    ar: Array
    scale: float


def predictions(path: Path, events: Events) -> Array:
    """[events, features, levels]: what the file says of each event before it; NaN at a stream's first event."""
    model = Model(path)
    mask = np.isfinite(events.values)
    limit = float(np.finfo(np.float32).max)
    columns = Columns(
        runs=[(0, 0, len(events))],
        keys=[events.keys[i] for i in events.stream],
        offset=np.arange(len(events), dtype=np.int64),
        time=events.time,
        timestamp=events.time,
        x=np.where(mask, events.values.clip(-limit, limit), 0).astype(np.float32),
        mask=mask.astype(np.float32),
    )
    after = [outcome.predicted for _, outcome in replay(model, columns, batch=BATCH, streams=len(events.keys))]
    quantiles = np.concatenate(after).astype(float)
    before = np.full_like(quantiles, np.nan)
    for index in events.per_stream():
        before[index[1:]] = quantiles[index[:-1]]
    return before


def evaluate(path: Path, events: Events, split: Split, order: int) -> Scores:
    """Scores per stream and in all: keys `all` and `streams`, each with `events`, `model`, `persistence`, `ar`."""
    before = predictions(path, events)
    part = split.part
    found: dict[str, Errors] = {}
    for key, index in zip(events.keys, events.per_stream(), strict=True):
        values = events.values[index]
        trained = int((part[index] == TRAIN).sum())
        naive, ar = persistence(values), autoregression(values, trained, order)
        scales = mean_changes(values[:trained]) if trained > 1 else np.full(values.shape[1], np.nan)
        for i, feature in enumerate(events.features):
            rows = (part[index] == TEST) & np.isfinite(values[:, i]) & np.isfinite(naive[:, i])
            if not rows.any():
                continue
            name = key.decode(errors="replace") + (f"/{feature}" if len(events.features) > 1 else "")
            found[name] = Errors(values[rows, i], before[index][rows, i], naive[rows, i], ar[rows, i], float(scales[i]))
    streams = {name: _score(errors) for name, errors in found.items()}
    return {"all": _all(found, streams), "streams": streams}


def _score(errors: Errors) -> Scores:
    actual = errors.actual
    scale = errors.scale if errors.scale > 0 else float("nan")
    level = np.array(LEVELS)
    apart = actual[:, None] - errors.model
    pinball = np.maximum(level * apart, (level - 1) * apart).mean(1).sum()
    within = (actual >= errors.model[:, 0]) & (actual <= errors.model[:, -1])
    size = float(np.abs(actual).sum())
    scores: Scores = {"events": len(actual)}
    for name, predicted in (
        ("model", errors.model[:, MEDIAN]),
        ("persistence", errors.persistence),
        ("ar", errors.ar),
    ):
        mae = float(np.abs(actual - predicted).mean())
        scores[name] = {"mae": mae, "mase": _plain(mae / scale)}
    scores["model"]["wql"] = _plain(2 * float(pinball) / size if size else float("nan"))
    scores["model"]["coverage_90"] = float(within.mean())
    return scores


def _all(found: dict[str, Errors], streams: dict[str, Scores]) -> Scores:
    """MAE and coverage over events; MASE over streams; WQL weighted by the values' magnitudes."""
    counts = [scores["events"] for scores in streams.values()]
    total: Scores = {"events": sum(counts), "streams": len(streams)}
    for name in ("model", "persistence", "ar"):
        mases = [s[name]["mase"] for s in streams.values() if s[name]["mase"] is not None]
        mae = sum(s[name]["mae"] * n for s, n in zip(streams.values(), counts, strict=True)) / max(1, sum(counts))
        total[name] = {"mae": mae, "mase": float(np.mean(mases)) if mases else None}
    sizes = [float(np.abs(errors.actual).sum()) for errors in found.values()]
    quantile_losses = [(s["model"]["wql"] or 0.0) * size for s, size in zip(streams.values(), sizes, strict=True)]
    covered = sum(s["model"]["coverage_90"] * n for s, n in zip(streams.values(), counts, strict=True))
    total["model"]["wql"] = _plain(sum(quantile_losses) / sum(sizes) if sum(sizes) else float("nan"))
    total["model"]["coverage_90"] = covered / max(1, sum(counts))
    return total


def _plain(value: float) -> float | None:
    """For JSON, which has no NaN."""
    return float(value) if np.isfinite(value) else None
