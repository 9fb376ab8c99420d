"""Task `class` in training: what is learned of sequences and of events, what is scored, what the file says."""

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.control_charts import CLASSES, charts
from export import parity
from export.config import Config
from export.graph import build
from export.signature import Per
from training import trainer
from training.classify import Class, initialise
from training.classify_data import prepare
from training.classify_network import ClassNetwork
from training.data import Events
from training.errors import TrainingStopped
from training.measure import constants
from training.recipe import Recipe
from training.reference import reference
from training.splits import TEST, TRAIN, VALID, Split

RECIPE = Recipe(epochs=8, patience=8, tbptt=64, lanes=64, learning_rate=5e-3, dropout=0.1)


def events(*streams: list[tuple[float, int]]) -> Events:
    """Each stream a list of values (NaN: missing) and classes (-1: not told)."""
    stream = np.repeat(np.arange(len(streams)), [len(one) for one in streams])
    time = np.concatenate([np.arange(len(one)) for one in streams])
    value, label = np.array([pair for one in streams for pair in one]).T
    order = np.argsort(time, kind="stable")
    return Events(
        keys=[b"%d" % i for i in range(len(streams))],
        stream=stream[order],
        time=time[order],
        values=value[order, None],
        features=("value",),
        timed=False,
        label=label[order].astype(np.int64),
        classes=tuple(f"class {i}" for i in range(int(label.max()) + 1)),
    )


def by_stream(found: Events, parts: Any) -> Split:
    return Split(np.array(parts, np.int8)[found.stream], None, None)


def task(found: Events, split: Split, per: Per, **more: Any) -> Class:
    torch.manual_seed(0)
    config = Config(
        ("value",), ("class",), task="class", outcomes=len(found.classes), **{"hidden": 16, "scaling": "fixed"} | more
    )
    network = ClassNetwork(config)
    network.load(network.weights() | constants(found, split, config))
    initialise(network)
    return Class(network, prepare(found, split, network, per))


def test_control_charts_are_told_apart() -> None:
    values, kinds = charts(each=50, seed=1)
    found = events(*([(value, int(kind)) for value in row] for row, kind in zip(values, kinds, strict=True)))
    parts = np.repeat([TRAIN, VALID, TEST], [200, 40, 60])
    learner = task(found, by_stream(found, parts), "sequence", hidden=32)

    trainer.train(learner, RECIPE, lambda _: None)

    config = learner.network.config
    step = parity.session(build(config, learner.network.weights()), config)
    x = values[parts == TEST].T[..., None].astype(np.float32)
    probabilities, _, _ = step(x, np.ones_like(x), parity.cold(config, x.shape[1]))
    right = probabilities[-1, :, 0].argmax(-1) == kinds[parts == TEST]
    assert len(CLASSES) == config.outcomes
    assert right.mean() >= 0.9


def test_each_event_is_told_its_class_where_classes_change() -> None:
    # The class is whether the value before the last one was positive: nobody can know it from one event.
    random = np.random.default_rng(0)
    streams = []
    for length in random.integers(30, 90, 40):
        values = random.choice([-1.0, 1.0], length)
        streams.append([(v, int(before > 0)) for v, before in zip(values, [0.0, *values], strict=False)])
    found = events(*streams)
    split = by_stream(found, np.repeat([TRAIN, VALID], 20))
    learner = task(found, split, "event")
    outcome = trainer.train(
        learner, Recipe(epochs=12, patience=12, tbptt=16, lanes=8, learning_rate=2e-2), lambda _: None
    )
    assert outcome.best_loss < 0.1 < np.log(2)


def test_a_sequence_counts_once_at_its_end_whatever_its_length() -> None:
    random = np.random.default_rng(1)
    found = events(*([(random.normal(), i % 2)] * int(n) for i, n in enumerate(random.integers(1, 200, 30))))
    learner = task(found, by_stream(found, np.repeat([TRAIN, VALID], [25, 5])), "sequence")
    recipe = Recipe(epochs=1, patience=1, tbptt=20, lanes=4)
    assert sum(int(count) for _, count in learner.losses(recipe, np.random.default_rng(0), 1)) == 25
    assert learner.labelled.weight.sum() == 30


def test_what_a_sequence_began_with_is_learned_at_its_end() -> None:
    # Sequences of unequal length that differ in their first value alone.
    random = np.random.default_rng(2)
    streams = []
    for i, length in enumerate(random.integers(5, 20, 160)):
        rest = random.normal(scale=0.3, size=length)
        streams.append([((i % 2) * 6.0 - 3.0, i % 2), *((value, i % 2) for value in rest)])
    found = events(*streams)
    learner = task(found, by_stream(found, np.repeat([TRAIN, VALID], [140, 20])), "sequence")
    outcome = trainer.train(
        learner, Recipe(epochs=8, patience=8, tbptt=64, lanes=8, learning_rate=2e-2), lambda _: None
    )
    assert outcome.best_loss < 0.2


def test_events_without_a_class_are_not_counted() -> None:
    found = events([(1.0, 0), (2.0, -1), (3.0, 1)], [(1.0, 1), (np.nan, 1), (2.0, -1)])
    learner = task(found, by_stream(found, [TRAIN, VALID]), "event")
    assert sum(int(count) for _, count in learner.losses(RECIPE, np.random.default_rng(0), 1)) == 2
    assert learner.labelled.weight.tolist() == [1, 0, 1, 1, 1, 0]
    assert prepare(found, by_stream(found, [0, 1]), learner.network, "sequence").weight.tolist() == [0, 0, 1, 0, 0, 1]


def test_the_validation_part_is_scored_as_the_network_says() -> None:
    random = np.random.default_rng(3)
    values, label = random.normal(size=3000), random.integers(0, 3, 3000)
    found = events(list(zip(values, label, strict=True)))
    split = Split(np.repeat([TRAIN, VALID, TEST], [500, 2000, 500]).astype(np.int8), None, None)
    learner = task(found, split, "event")
    step = reference(learner.network.config, learner.network.weights())
    x = values.astype(np.float32).reshape(-1, 1, 1)
    probabilities, _, _ = step(x, np.ones_like(x), parity.cold(learner.network.config, 1))
    had = np.take_along_axis(probabilities[:, 0, 0], label[:, None], 1)[500:2500]
    assert learner.validate() == pytest.approx(-np.log(had).mean(), abs=1e-5)


@pytest.mark.parametrize("scaling", ["fixed", "stream"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "graves-lstm"])
def test_the_file_says_what_the_network_says_of_classes(scaling: str, cell: str) -> None:
    config = Config(
        ("a", "b"), ("kind",), 16, task="class", outcomes=4, scaling=scaling, cell=cell, calendar=("weekday",)
    )
    torch.manual_seed(1)
    weights = ClassNetwork(config).weights()
    weights["head.weight"] *= 10
    step = parity.session(build(config, weights), config)
    assert parity.difference(step, reference(config, weights), config, weights) <= parity.TOLERANCE


def test_no_class_in_the_training_part_is_refused() -> None:
    found = events([(1.0, -1), (2.0, -1)], [(1.0, 1), (2.0, 0)])
    with pytest.raises(TrainingStopped, match="no event of the training part has a class"):
        task(found, by_stream(found, [TRAIN, VALID]), "event")
