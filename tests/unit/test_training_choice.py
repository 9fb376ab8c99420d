"""How a run's structure is chosen, and what is drawn towards "no change"."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training import choose
from training.data import Events
from training.errors import TrainingError
from training.kinds import kind
from training.options import TrainOptions
from training.progress import silent
from training.recipe import Recipe
from training.shrink import shrink
from training.splits import Split, split
from training.thin import thin
from training.trainer import train

HOUR = 3_600_000


def events(streams: list[np.ndarray], step: int = HOUR, features: int = 1) -> Events:
    lengths = [len(values) for values in streams]
    stream = np.repeat(np.arange(len(streams)), lengths)
    time = np.concatenate([np.arange(length) * step for length in lengths])
    order = np.argsort(time, kind="stable")
    values = np.concatenate(streams)[order, None].repeat(features, 1)
    names = tuple(f"f{i}" for i in range(features)) if features > 1 else ("value",)
    return Events([b"s%d" % i for i in range(len(streams))], stream[order], time[order], values, names, True)


def parted(found: Events) -> Split:
    return split(found, 0.7, 0.15)


def options(**more: object) -> TrainOptions:
    small = {"hidden": 8, "epochs": 4, "out": Path("unused"), "lanes": 8, "tbptt": 24}
    return TrainOptions(**(small | more))  # type: ignore[arg-type]


def days(streams: int, length: int = 480) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    t = np.arange(length)
    return [10 * np.sin(2 * np.pi * t / 24 + i) + random.normal(0, 1, length) for i in range(streams)]


def walks(streams: int, length: int = 300) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [random.normal(0, 1, length).cumsum() for _ in range(streams)]


def test_what_the_options_settle_is_not_tried() -> None:
    found = events(days(3))
    open_, settled = (
        kind(found, parted(found), options(**more)).variations()
        for more in ({}, {"scaling": "stream", "lags": (1, 24), "calendar": (), "experts": 2})
    )
    assert len(open_) > 2
    assert settled == []


def test_cycles_are_tried_only_where_the_data_is_fine_and_long_enough() -> None:
    def cycles(step: int, length: int) -> set[tuple[str, ...]]:
        found = events(days(2, length), step)
        tried = kind(found, parted(found), options())
        return {variation.change(tried.config).calendar for variation in tried.variations()} - {()}

    assert cycles(HOUR, 1000) == {("hour",), ("hour", "weekday")}
    assert cycles(24 * HOUR, 200) == {("weekday",)}
    assert cycles(24 * HOUR, 2000) == {("weekday",), ("weekday", "year")}
    assert cycles(1000, 1000) == set()


def test_the_structure_with_the_least_loss_is_chosen_and_told() -> None:
    found = events(days(3))
    said: list[str] = []
    chosen = choose.choose(kind(found, parted(found), options()), 0, said.append)
    best = min(chosen.choices, key=lambda choice: choice.valid_loss)
    (told,) = [choice for choice in chosen.choices if choice.chosen]
    assert told.valid_loss <= best.valid_loss * 1.02
    assert len(said) == len(chosen.choices) > 2
    assert "validation part after 4 epochs" in told.why


def test_what_there_is_no_time_for_is_not_tried() -> None:
    found = events(days(3))
    readings = iter((5.0, 1e9, 1e9))
    chosen = choose.choose(kind(found, parted(found), options()), 0, silent, clock=lambda: next(readings))
    (told,) = chosen.choices
    assert told.chosen
    assert "no time to try more" in told.why
    assert chosen.seconds == 1e9 - 5


def test_how_far_the_trials_went_is_told() -> None:
    found = events(days(3))
    chosen = choose.choose(kind(found, parted(found), options(budget=1e-6)), 0, silent, clock=lambda: 0.0)
    (told,) = [choice for choice in chosen.choices if choice.chosen]
    assert "after 1 epoch." in told.why


def test_what_was_chosen_is_kept_for_a_run_of_the_same_options_only(tmp_path: Path) -> None:
    found = events(days(3))
    chosen = choose.Chosen(kind(found, parted(found), options()).config, [choose.Choice("a", 1.0, True, "why")], 7.5)
    choose.keep(tmp_path, chosen, {"seed": 1})
    assert choose.kept(tmp_path, {"seed": 1}) == chosen
    assert choose.kept(tmp_path, {"seed": 2}) is None
    (tmp_path / choose.CHOICES).write_text("{")
    assert choose.kept(tmp_path, {"seed": 1}) is None


def test_all_structures_are_judged_in_one_unit() -> None:
    """Streams of very different scales, and the same network: its judgement does not hang on the scaling."""
    found = events([values * 10.0 ** (i - 1) for i, values in enumerate(walks(3))])
    judged = []
    for scaling in ("stream", "fixed"):
        tried = kind(found, parted(found), options(scaling=scaling, lags=(0,)))
        task = tried.task(tried.config, trial=False)
        task.network.head.weight.data.zero_()
        task.network.head.bias.data[:] = 0.0
        task.network.head.bias.data[1:] = -10.0  # no width: the loss is that of "no change" at all levels
        judged.append(tried.judge(task))
    assert judged[0] == pytest.approx(judged[1], rel=0.02)
    assert 2.0 < judged[0] < 3.0, "half of five naive errors"


def test_targets_may_be_some_of_the_features() -> None:
    found = events(days(2), features=3)
    assert kind(found, parted(found), options(target=("f1",))).config.targets == ("f1",)
    with pytest.raises(TrainingError, match="--target other: is no feature; they are f0, f1, f2"):
        kind(found, parted(found), options(target=("other",)))


def test_fewer_streams_keep_their_events() -> None:
    found = events([np.full(10, float(i)) for i in range(9)])
    fewer, parts = thin(found, parted(found), 30)
    assert fewer.keys == [b"s0", b"s3", b"s6"]
    assert len(fewer) == len(parts.part) == 30
    for stream, index in enumerate(fewer.per_stream()):
        assert set(fewer.values[index, 0]) == {3.0 * stream}
    assert thin(found, parted(found), 1000)[0] is found


def test_what_cannot_be_known_is_not_said() -> None:
    found = events(walks(6))
    tried = kind(found, parted(found), options(scaling="stream", lags=(0,)))
    task = tried.task(tried.config, trial=False)
    task.network.head.weight.data[0] = 3.0  # it says something about the next step of a random walk
    assert shrink(task) == (0.0,)
    assert not task.network.head.weight.data[0].any()


def test_what_is_known_is_said_as_it_is() -> None:
    found = events(days(4))
    tried = kind(found, parted(found), options(scaling="stream", lags=(1, 2, 24), calendar=()))
    task = tried.task(tried.config, trial=False)
    recipe: Recipe = replace(tried.recipe(tried.config), epochs=3)
    train(task, recipe, silent)
    assert shrink(task) == (1.0,)


def test_streams_that_float32_cannot_tell_are_told() -> None:
    found = events([*(1e9 + values / 10 for values in walks(2)), np.full(300, 5.0), *walks(1)])
    (line,) = kind(found, parted(found), options(lags=(0,))).notes
    assert line.startswith("The changes of 2 streams (such as s0) are too small")
    assert kind(events(walks(2)), parted(events(walks(2))), options(lags=(0,))).notes == []
