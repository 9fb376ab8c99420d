"""Scores of task class: hits of the model and of its rivals on the same sequences, or events, of the test part.

Of a sequence, what counts is what is said after its last event. Knows arrays only; the file is run elsewhere.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.signature import Per
from training.data import Events
from training.scores.figures import mean, plain
from training.scores.series import Array, Bools, Ints, names_of
from training.scores.summaries import logistic, summaries
from training.splits import TEST, TRAIN, VALID, Split

Scores = dict[str, Any]
RIVALS = ("majority", "logistic")
TINY = 1e-300


def score(
    events: Events,
    split: Split,
    classes: Sequence[str],
    per: Per,
    model: NDArray[np.float32],
    stepped: Bools,
    seed: int,
) -> Scores:
    """Keys `all` and `streams`, each with `events` and the measures of the model and of its rivals.

    model: [events, classes] probabilities after each event, classes in the signature's order.
    """
    place = {name: i for i, name in enumerate(classes)}
    told = np.array([place.get(name, -1) for name in events.classes] + [-1])
    label = told[np.full(len(events), -1) if events.label is None else events.label]
    if per == "sequence":
        label = _at_the_end(events, label)
    rows, columns = _rows(events, label)
    part, truth = split.part[rows], label[rows]
    asked = (part == TEST) & stepped[rows]
    of_part = {p: (columns[part == p], truth[part == p]) for p in (TRAIN, VALID)}
    common = int(np.bincount(of_part[TRAIN][1], minlength=len(classes)).argmax())
    chances = {
        "model": model[rows[asked]].astype(float),
        "logistic": logistic(of_part[TRAIN], of_part[VALID], columns[asked], len(classes), seed),
    }
    said = {name: chance.argmax(1) for name, chance in chances.items()} | {"majority": np.full(asked.sum(), common)}
    actual, stream = truth[asked], events.stream[rows[asked]]
    total: Scores = {"events": int(asked.sum()), "streams": len(np.unique(stream)), "classes": list(classes)}
    for name in ("model", *RIVALS):
        total[name] = {"accuracy": plain(mean(said[name] == actual)), "recall": _recall(actual, said[name], classes)}
    for name, chance in chances.items():
        total[name]["nats"] = plain(-mean(np.log(np.maximum(chance[np.arange(len(actual)), actual], TINY))))
    total["majority"]["class"] = classes[common]
    counts = np.bincount(actual * len(classes) + said["model"], minlength=len(classes) ** 2)
    total["confusion"] = counts.reshape(len(classes), -1).tolist()  # rows: what it was; columns: what the model said
    return {"all": total, "streams": _streams(events, stream, {name: found == actual for name, found in said.items()})}


def _at_the_end(events: Events, label: Ints) -> Ints:
    """[events]: each stream's class at its last event, wherever it is told; -1 at the others."""
    order, first = events.by_stream()
    found = np.full(len(events), -1)
    for begin, end in zip(first[:-1].tolist(), first[1:].tolist(), strict=True):
        if end > begin:
            found[order[end - 1]] = label[order[begin:end]].max()
    return found


def _rows(events: Events, label: Ints) -> tuple[Ints, Array]:
    """The events that are asked for their class, [rows], and their summaries [rows, columns]."""
    order, first = events.by_stream()
    rows, columns = [], []
    for begin, end in zip(first[:-1].tolist(), first[1:].tolist(), strict=True):
        index = order[begin:end]
        asked = np.flatnonzero(label[index] >= 0)
        if len(asked):
            rows.append(index[asked])
            columns.append(summaries(events.values[index])[asked])
    if not rows:
        return np.zeros(0, np.int64), np.zeros((0, 0))
    return np.concatenate(rows), np.concatenate(columns)


def _recall(actual: Ints, said: Ints, classes: Sequence[str]) -> dict[str, float | None]:
    """Of each class's sequences or events, the share that was found; None where there are none."""
    found: dict[str, float | None] = {}
    for i, name in enumerate(classes):
        rows = actual == i
        found[name] = plain(mean(said[rows] == i))
    return found


def _streams(events: Events, stream: Ints, hits: dict[str, Bools]) -> Scores:
    there, place = np.unique(stream, return_inverse=True)
    counts = np.bincount(place, minlength=len(there))
    shares = {
        name: (np.bincount(place, hit, len(there)) / np.maximum(counts, 1)).tolist() for name, hit in hits.items()
    }
    names = names_of(events.keys)
    return {
        names[key]: {"events": count, **{name: {"accuracy": share[i]} for name, share in shares.items()}}
        for i, (key, count) in enumerate(zip(there.tolist(), counts.tolist(), strict=True))
    }
