"""Scores of the exported file and of its rivals on the test part, whatever the task. Runs the file as serving does.

Only events of the test part whose value is there and had a past are scored, the same ones for all.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.columns import Outcome
from engine.model import Model
from training.data import Events
from training.scores import classes, numbers, symbols
from training.scores.replayed import inputs, replayed
from training.scores.series import Array, Ints, Series, lay_out
from training.splits import Split

Scores = dict[str, Any]
RIVALS = {"number": numbers.RIVALS, "symbol": symbols.RIVALS, "class": classes.RIVALS}
JUDGED = {"number": "mase", "symbol": "nats", "class": "accuracy"}  # less is better, but of accuracy more
SHOWN = 120  # last numbers of the test part that a stretch shows


@dataclass(frozen=True)
class Stretch:
    """The end of one series' test part, for a picture: columns of equal length."""

    name: str
    rank: str  # "best", "median" or "worst" by the model's MASE, or the "only" one
    time: NDArray[np.int64]  # [events] milliseconds since the epoch, or the event's number
    timed: bool
    actual: Array  # [events]
    said: Array  # [events, levels]


@dataclass(frozen=True)
class Evaluation:
    """scores: for metrics.json, with the keys `task`, `all`, `streams` and `baselines` (what was chosen for them)."""

    scores: Scores
    stretches: list[Stretch] = field(default_factory=list)


def evaluate(path: Path, events: Events, split: Split, ar_order: int, seed: int = 0) -> Evaluation:
    """Run the file over all events and score what it said of the test part.

    ar_order: of the linear autoregression, where the model has no lags of its own.
    """
    model = Model(path)
    if model.signature.task == "number":
        return _numbers(model, events, split, ar_order, seed)
    if model.signature.task == "symbol":
        return _symbols(model, events, split)
    chances, stepped = replayed(model, events, lambda outcome: outcome.predicted[:, 0])
    per = model.signature.per
    scores = classes.score(events, split, model.signature.classes, per, chances, stepped, seed)
    return Evaluation({"task": "class", **scores, "baselines": {"per": per}})


def _numbers(model: Model, events: Events, split: Split, ar_order: int, seed: int) -> Evaluation:
    signature = model.signature
    quantiles, stepped = replayed(model, events, lambda outcome: outcome.predicted)
    series = lay_out(events, split, signature.targets)
    rows = np.flatnonzero(series.scored)
    said = numbers.before(series, rows, quantiles, stepped).astype(float)
    heard = np.isfinite(said).all(1)
    rows, said = rows[heard], said[heard]
    others, chosen = numbers.rivals(series, rows, signature.lags or range(1, ar_order + 1), seed)
    scores = numbers.score(series, rows, signature.levels, said, others)
    scores["all"]["refused"] = int((~stepped).sum())
    return Evaluation(
        {"task": "number", **scores, "baselines": chosen}, _stretches(events, series, rows, said, scores["streams"])
    )


def _symbols(model: Model, events: Events, split: Split) -> Evaluation:
    """Of each event is kept the surprise and the likeliest next symbol."""

    def keep(outcome: Outcome) -> NDArray[np.float32]:
        return np.column_stack([outcome.surprise[:, 0], outcome.predicted[:, 0].argmax(1)]).astype(np.float32)

    kept, stepped = replayed(model, events, keep)
    seen = inputs(model, events)[:, 0]
    text = symbols.text_of(events, split, seen)
    right = np.zeros(len(events), np.bool_)
    right[text.event[1:]] = (text.position[1:] > 0) & (kept[text.event[:-1], 1] == text.symbol[1:])
    surprise = np.where(stepped, kept[:, 0], np.nan)
    scores, chosen = symbols.score(events, text, len(model.signature.symbols), surprise, right)
    return Evaluation({"task": "symbol", **scores, "baselines": chosen})


def _stretches(events: Events, series: Series, rows: Ints, said: Array, scores: Scores) -> list[Stretch]:
    """Of the best, the median and the worst series, as far as there are so many."""
    known = [name for name, found in scores.items() if found["model"]["mase"] is not None and found["events"] > 1]
    known.sort(key=lambda name: scores[name]["model"]["mase"])
    if not known:
        return []
    places = {len(known) // 2: "median", len(known) - 1: "worst", 0: "best" if len(known) > 1 else "only"}
    index = {name: i for i, name in enumerate(series.names)}
    return [_stretch(events, series, rows, said, index[known[i]], places[i]) for i in sorted(places)]


def _stretch(events: Events, series: Series, rows: Ints, said: Array, number: int, rank: str) -> Stretch:
    end = int(np.searchsorted(rows, series.first[number + 1]))
    begin = max(int(np.searchsorted(rows, series.first[number])), end - SHOWN)
    shown = rows[begin:end]
    return Stretch(
        name=series.names[number],
        rank=rank,
        time=events.time[series.event[shown]],
        timed=events.timed,
        actual=series.values[shown],
        said=said[begin:end],
    )


def summary(scores: Scores) -> dict[str, float]:
    """What the signature says of the scores: the model's figures, and each rival's one by which the task is judged."""
    total, measure = scores["all"], JUDGED[scores["task"]]
    figures = {name: value for name, value in total["model"].items() if not isinstance(value, dict)}
    figures |= {f"{rival}_{measure}": total[rival][measure] for rival in RIVALS[scores["task"]]}
    return {name: float(figure) for name, figure in figures.items() if figure is not None}
