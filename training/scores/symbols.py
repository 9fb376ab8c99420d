"""Scores of task symbol: nats of the model and of n-grams on the same symbols of the test part. Knows arrays only."""

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data import Events
from training.scores.figures import mean, plain
from training.scores.ngram import ORDERS, NGrams
from training.scores.series import Array, Bools, Ints, names_of
from training.splits import TEST, TRAIN, VALID, Split

Scores = dict[str, Any]
POSITIONS = 40  # stretches of equally many symbols that nats are told for
RIVALS = ("unigram", "ngram")
TINY = 1e-300
LARGEST = 700.0  # nats whose exponential is still a number


@dataclass(frozen=True)
class Text:
    """The symbols that are there, of all streams one after another, as columns."""

    event: Ints  # [N]
    stream: Ints
    position: Ints  # in its stream, from 0
    symbol: Ints  # its index in the signature
    part: NDArray[np.int8]


def text_of(events: Events, split: Split, symbols: Array) -> Text:
    """symbols: [events] indexes in the signature, NaN where missing."""
    order, _ = events.by_stream()
    event = order[np.isfinite(symbols[order])]
    stream = events.stream[event]
    first = np.searchsorted(stream, stream)
    return Text(event, stream, np.arange(len(event)) - first, symbols[event].astype(np.int64), split.part[event])


def score(events: Events, text: Text, size: int, surprise: NDArray[np.float32], right: Bools) -> tuple[Scores, Scores]:
    """Keys `all` and `streams`, each with `events` and the measures; and what was chosen for the rivals.

    size: symbols in the signature. surprise: [events] -log10 of the probability that the model gave, NaN where it said
    nothing. right: [events] whether it found the symbol the likeliest. Scored are symbols that came after another one.
    """
    rows = np.flatnonzero((text.part == TEST) & (text.position > 0) & np.isfinite(surprise[text.event]))
    grams = NGrams(text.symbol, text.position == 0, text.part == TRAIN, size)
    checked = np.flatnonzero((text.part == VALID) & (text.position > 0))
    nats_of = {order: mean(_nats(grams.probabilities(order, checked))) for order in ORDERS}
    order = min(nats_of, key=lambda order: nats_of[order])
    nats = {
        "model": surprise[text.event[rows]].astype(float) * log(10),
        "unigram": _nats(grams.probabilities(1, rows)),
        "ngram": _nats(grams.probabilities(order, rows)),
    }
    hits = right[text.event[rows]].astype(float)
    there, place = np.unique(text.stream[rows], return_inverse=True)
    counts = np.bincount(place, minlength=len(there))
    total: Scores = {
        "events": len(rows),
        "streams": len(there),
        "unknown": int((text.symbol[rows] == 0).sum()),
        **{name: _measures(mean(column)) for name, column in nats.items()},
        "positions": _positions(text.position[rows], nats["model"], nats["ngram"]),
    }
    total["model"]["accuracy"] = plain(mean(hits))
    names = names_of(events.keys)
    means = {name: (np.bincount(place, column) / counts).tolist() for name, column in nats.items()}
    accuracy = (np.bincount(place, hits) / counts).tolist()
    streams = {
        names[stream]: {"events": count, **{name: _measures(column[i]) for name, column in means.items()}}
        for i, (stream, count) in enumerate(zip(there.tolist(), counts.tolist(), strict=True))
    }
    for share, measures in zip(accuracy, streams.values(), strict=True):
        measures["model"]["accuracy"] = share
    return {"all": total, "streams": streams}, {"ngram_order": order}


def _nats(probability: Array) -> Array:
    return -np.log(np.maximum(probability, TINY))


def _measures(nats: float) -> dict[str, float | None]:
    figures = {"nats": nats, "bits": nats / log(2), "perplexity": np.exp(min(nats, LARGEST))}
    return {name: plain(value) for name, value in figures.items()}


def _positions(position: Ints, model: Array, ngram: Array) -> list[dict[str, float]]:
    """Means over stretches of the stream: from its `from`-th symbol on, `events` of them, all streams together."""
    order = np.argsort(position, kind="stable")
    return [
        {
            "from": int(position[rows[0]]) + 1,
            "events": len(rows),
            "model": float(model[rows].mean()),
            "ngram": float(ngram[rows].mean()),
        }
        for rows in np.array_split(order, np.clip(len(order), 1, POSITIONS))
        if len(rows)
    ]
