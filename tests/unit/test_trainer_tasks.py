"""What every task promises the training loop: nothing but weights and random numbers goes from one pass to the next."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.config import Config
from training import classify, classify_data, number, prepare, symbol, symbol_data, symbol_network
from training.classify_network import ClassNetwork
from training.data import Events
from training.measure import constants
from training.network import Network
from training.recipe import Recipe
from training.resume import CheckpointFile
from training.splits import Split
from training.standing import Standing, Tensors
from training.task import Task
from training.trainer import train

RECIPE = Recipe(epochs=4, patience=4, tbptt=12, lanes=3, learning_rate=0.01, dropout=0.2, schedule="cosine")
MADE_OF: dict[str, Any] = {"options": {}, "versions": {}, "data": []}
KINDS = 3


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Killed(Exception):
    pass


def made(values: np.ndarray, **more: Any) -> tuple[Events, Split]:
    """Four streams of unequal length; a quarter of the time validates."""
    length = len(values) // 4
    time = np.concatenate([np.arange(length - 7 * i) for i in range(4)])
    order = np.argsort(time, kind="stable")
    columns: dict[str, Any] = {
        name: value[: len(time)][order] if isinstance(value, np.ndarray) else value for name, value in more.items()
    }
    stream = np.repeat(np.arange(4), [length - 7 * i for i in range(4)])[order]
    events = Events(
        keys=[b"a", b"b", b"c", b"d"],
        stream=stream,
        time=time[order],
        values=values[: len(time)][order, None],
        features=("value",),
        timed=False,
        **columns,
    )
    return events, Split((time[order] >= length * 0.6).astype(np.int8), None, None)


def numbers() -> Task:
    events, split = made(np.random.default_rng(0).normal(size=400).cumsum())
    config = Config(hidden=5, layers=2, lags=(1, 2), experts=3)
    network = Network(config)
    network.load(network.weights() | constants(events, split, config))
    number.initialise(network)
    return number.Number(network, prepare.prepare(events, split, network))


def symbols() -> Task:
    names = tuple("abcd")
    events, split = made(np.random.default_rng(0).integers(0, 4, 400).astype(float), symbols=names)
    known = symbol_data.vocabulary(events, split, 10)
    config = Config(("value",), ("value",), 6, layers=2, task="symbol", outcomes=len(known), embedding=3)
    network = symbol_network.SymbolNetwork(config)
    text = symbol_data.prepare(events, split, config, known, network.weights())
    symbol_network.initialise(network, text.counts)
    return symbol.Symbol(network, text)


def classes() -> Task:
    random = np.random.default_rng(0)
    told = random.integers(0, KINDS, 400)
    events, split = made(told + random.normal(size=400), label=told, classes=("x", "y", "z"))
    config = Config(("value",), ("class",), 5, layers=2, scaling="fixed", task="class", outcomes=KINDS)
    network = ClassNetwork(config)
    network.load(network.weights() | constants(events, split, config))
    classify.initialise(network)
    return classify.Class(network, classify_data.prepare(events, split, network, "event"))


@pytest.mark.parametrize("task", [numbers, symbols, classes])
def test_a_task_that_was_cut_off_goes_on_to_the_same_weights(task: Callable[[], Task], tmp_path: Path) -> None:
    class Cut(CheckpointFile):
        def save(self, standing: Standing, tensors: Tensors) -> None:
            super().save(standing, tensors)
            if standing.epoch == 2:
                raise Killed

    def begun() -> Task:
        torch.manual_seed(7)
        return task()

    whole, again = begun(), begun()
    outcome = train(whole, RECIPE, lambda _: None)
    with pytest.raises(Killed):
        train(begun(), RECIPE, lambda _: None, checkpointer=Cut(tmp_path, MADE_OF, False))
    found = train(again, RECIPE, lambda _: None, checkpointer=CheckpointFile(tmp_path, MADE_OF, True))
    assert found.best_loss == outcome.best_loss
    for name, array in whole.network.weights().items():
        np.testing.assert_array_equal(again.network.weights()[name], array)


@pytest.mark.parametrize("task", [numbers, symbols, classes])
def test_a_task_knows_nearly_how_many_windows_a_pass_has(task: Callable[[], Task]) -> None:
    made = task()
    counted = sum(1 for _ in made.losses(RECIPE, np.random.default_rng(0), 2))
    assert 0.5 * counted <= made.steps(RECIPE) <= 2 * counted
