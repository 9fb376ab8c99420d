"""Scores of a file: which events are scored, by which prediction, and what the figures are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.model import Model
from export.config import Config
from export.sample import random_file, random_model
from training.data import Events
from training.scores import numbers
from training.scores.evaluate import evaluate, summary
from training.scores.series import lay_out
from training.scores.summaries import summaries
from training.splits import TEST, TRAIN, VALID, Split


def events(*streams: NDArray[np.float64], **more: Any) -> Events:
    """Streams of [events] or [events, features], one event a minute, side by side."""
    rows = [values.reshape(len(values), -1) for values in streams]
    stream = np.repeat(np.arange(len(rows)), [len(one) for one in rows])
    time = np.concatenate([np.arange(len(one)) * 60_000 for one in rows])
    order = np.argsort(time, kind="stable")
    values = np.concatenate(rows)[order]
    features = ("value",) if values.shape[1] == 1 else tuple(f"f{i}" for i in range(values.shape[1]))
    return Events([b"s%d" % i for i in range(len(rows))], stream[order], time[order], values, features, True, **more)


def by_time(found: Events, valid: int, test: int) -> Split:
    minute = found.time // 60_000
    return Split(np.where(minute < valid, TRAIN, np.where(minute < test, VALID, TEST)).astype(np.int8), None, None)


def walks(count: int, length: int, features: int = 1) -> list[NDArray[np.float64]]:
    random = np.random.default_rng(5)
    return [random.normal(size=(length, features)).cumsum(0) for _ in range(count)]


def alone(model: Model, x: NDArray[np.float64]) -> NDArray[np.float32]:
    """What a file predicts after each event of one stream [events, features], event by event."""
    rows, said = np.zeros((1, model.row_width), np.float32), []
    mask = np.isfinite(x).astype(np.float32)
    for value, there in zip(np.where(mask, x, 0).astype(np.float32), mask, strict=True):
        rows, predicted, _ = model.step(rows, value[None, None], there[None, None])
        said.append(predicted[0, 0])
    return np.array(said)


def test_a_value_is_scored_by_what_the_file_said_one_event_earlier(tmp_path: Path) -> None:
    random_model(tmp_path / "m.onnx", features=2, scaling="stream", lags=(1, 2, 3))
    streams = walks(3, 50, 2)
    streams[1][40:43, 0] = np.nan
    found = events(*streams)
    total = evaluate(tmp_path / "m.onnx", found, by_time(found, 30, 40), 24).scores
    model = Model(tmp_path / "m.onnx")
    for i, values in enumerate(streams):
        said = alone(model, values)[:, :, 2]
        for j in range(2):
            errors = np.abs(values[40:, j] - said[39:-1, j])
            expected = float(np.nanmean(errors))
            own = total["streams"][f"s{i}/f{j}"]
            assert own["model"]["mae"] == pytest.approx(expected, rel=1e-4)
            assert own["events"] == np.isfinite(errors).sum()
    assert total["all"]["events"] == 57
    assert total["all"]["streams"] == 6
    assert total["baselines"]["ar_lags"] == [1, 2, 3]


def test_a_model_without_lags_is_held_against_the_autoregression_of_the_order_asked_for(tmp_path: Path) -> None:
    random_model(tmp_path / "m.onnx")
    found = events(*walks(1, 60))
    assert evaluate(tmp_path / "m.onnx", found, by_time(found, 40, 50), 4).scores["baselines"]["ar_lags"] == [
        1,
        2,
        3,
        4,
    ]


def test_all_is_over_the_events_but_mase_over_the_streams_that_have_a_scale() -> None:
    found = events(np.array([0.0, 1, 0, 1, 3]), np.array([0.0, 10, 0, 10, 10, 20, 30]), np.full(6, 7.0))
    series = lay_out(found, by_time(found, 3, 4), ("value",))
    rows = np.flatnonzero(series.scored)
    levels = (0.05, 0.5, 0.95)
    off = np.where(series.of[rows] == 1, 5.0, 1.0)
    model = series.values[rows][:, None] + off[:, None] * [-1, 1, 1]
    scores = numbers.score(series, rows, levels, model, {"persistence": series.past[rows]})
    total = scores["all"]
    assert (total["events"], total["streams"], total["scaled"]) == (6, 3, 2)
    assert total["model"]["mae"] == pytest.approx((1 + 3 * 5 + 2) / 6)
    assert total["model"]["rmse"] == pytest.approx(np.sqrt((1 + 3 * 25 + 2) / 6))
    assert total["model"]["mase"] == pytest.approx((1 / 1 + 5 / 10) / 2)
    assert total["persistence"]["mase"] == pytest.approx((2 / 1 + (0 + 10 + 10) / 3 / 10) / 2)
    assert total["persistence"]["wql"] == pytest.approx((2 + 20) / (3 + 10 + 20 + 30 + 7 + 7))
    assert total["model"]["coverage_90"] == 1
    assert [row["observed"] for row in total["calibration"]] == [0, 1, 1]
    assert scores["streams"]["s2"]["model"]["mase"] is None
    assert total["persistence"]["beaten"] == 2


def test_the_quantile_loss_is_twice_the_pinball_loss_by_the_size_of_the_values() -> None:
    found = events(np.array([1.0, 2, 4, 4, 4]))
    series = lay_out(found, by_time(found, 2, 3), ("value",))
    rows = np.flatnonzero(series.scored)
    model = np.tile([2.0, 3.0, 6.0], (2, 1))
    scores = numbers.score(series, rows, (0.05, 0.5, 0.95), model, {})
    pinball = (0.05 * 2 + 0.5 * 1 + 0.05 * 2) / 3
    assert scores["all"]["model"]["wql"] == pytest.approx(2 * pinball / 4)


def test_a_test_part_without_values_has_no_figures(tmp_path: Path) -> None:
    random_model(tmp_path / "m.onnx")
    values = walks(1, 40)[0]
    values[30:] = np.nan
    found = events(values)
    scores = evaluate(tmp_path / "m.onnx", found, by_time(found, 20, 30), 2).scores
    assert scores["all"]["events"] == 0
    assert scores["all"]["model"] == dict.fromkeys(("mae", "rmse", "mase", "wql", "coverage_90", "coverage_50"))
    assert scores["streams"] == {}


def test_the_best_the_median_and_the_worst_stream_are_shown(tmp_path: Path) -> None:
    random_model(tmp_path / "m.onnx")
    found = events(*walks(5, 300))
    evaluation = evaluate(tmp_path / "m.onnx", found, by_time(found, 50, 100), 2)
    mases = {name: own["model"]["mase"] for name, own in evaluation.scores["streams"].items()}
    ranked = sorted(mases, key=lambda name: mases[name])
    assert [stretch.rank for stretch in evaluation.stretches] == ["best", "median", "worst"]
    assert [stretch.name for stretch in evaluation.stretches] == [ranked[0], ranked[2], ranked[4]]
    best = evaluation.stretches[0]
    np.testing.assert_array_equal(best.actual, found.values[found.stream == int(best.name[1:]), 0][-len(best.actual) :])
    assert best.time[-1] == 299 * 60_000


@pytest.mark.parametrize(("streams", "ranks"), [(1, ["only"]), (2, ["best", "worst"])])
def test_of_fewer_streams_fewer_are_shown(tmp_path: Path, streams: int, ranks: list[str]) -> None:
    random_model(tmp_path / "m.onnx")
    found = events(*walks(streams, 60))
    evaluation = evaluate(tmp_path / "m.onnx", found, by_time(found, 40, 50), 2)
    assert [stretch.rank for stretch in evaluation.stretches] == ranks


def text(*streams: str) -> Events:
    symbols = tuple(dict.fromkeys("".join(streams)))
    index = [np.array([symbols.index(one) for one in stream], float) for stream in streams]
    return events(*index, symbols=symbols)


def test_a_symbol_is_scored_by_the_probability_it_had_one_event_earlier(tmp_path: Path) -> None:
    config = Config(hidden=8, task="symbol", outcomes=4, embedding=4)
    random_file(tmp_path / "m.onnx", config, symbols=("", "a", "b", "c"), text="characters")
    streams = ["abcab" * 8, "cba" * 10 + "x" + "cba" * 3]
    found = text(*streams)
    scores = evaluate(tmp_path / "m.onnx", found, by_time(found, 20, 25), 0).scores
    model, nats, hits = Model(tmp_path / "m.onnx"), [], []
    for stream in streams:
        index = np.array([max(0, "\0abc".find(one)) for one in stream])
        said = alone(model, index[:, None].astype(float))[:, 0]
        chance = said[np.arange(24, len(stream) - 1), index[25:]]
        nats += (-np.log(chance)).tolist()
        hits += (said[24:-1].argmax(1) == index[25:]).tolist()
    total = scores["all"]
    assert total["events"] == 15 + 15
    assert total["unknown"] == 1
    assert total["model"]["nats"] == pytest.approx(np.mean(nats), rel=1e-4)
    assert total["model"]["bits"] == pytest.approx(np.mean(nats) / np.log(2), rel=1e-4)
    assert total["model"]["perplexity"] == pytest.approx(np.exp(np.mean(nats)), rel=1e-4)
    assert total["model"]["accuracy"] == pytest.approx(np.mean(hits))
    assert total["ngram"]["nats"] < total["unigram"]["nats"] < 2
    assert sum(row["events"] for row in total["positions"]) == 30
    assert summary(scores)["ngram_nats"] == total["ngram"]["nats"]


def labelled() -> tuple[Events, Split]:
    """Nine streams of three classes by their mean, told in another order than the file's; the last three are scored."""
    random = np.random.default_rng(3)
    kinds = np.array([0, 1, 2] * 4)
    streams = [5.0 * kind + random.normal(size=12) for kind in kinds]
    found = events(*streams, classes=("a", "b", "c"))
    found.label = kinds[found.stream]
    part = np.array([TRAIN] * 6 + [VALID] * 3 + [TEST] * 3, np.int8)
    return found, Split(part[found.stream], None, None)


@pytest.mark.parametrize("told", ["at each event", "at the first one"])
def test_a_sequence_is_scored_by_what_was_said_after_its_last_event(tmp_path: Path, told: str) -> None:
    found, split = labelled()
    if told == "at the first one":
        found.label = np.where(found.time == found.time.min(), found.label, -1)
    config = Config(targets=("class",), hidden=8, task="class", outcomes=3)
    random_file(tmp_path / "m.onnx", config, classes=("c", "a", "b"), per="sequence")
    scores = evaluate(tmp_path / "m.onnx", found, split, 0).scores
    model = Model(tmp_path / "m.onnx")
    said = np.array([alone(model, found.values[found.stream == i])[-1, 0] for i in (9, 10, 11)])
    actual = np.array([1, 2, 0])  # a, b and c as the file has them
    total = scores["all"]
    assert (total["events"], total["streams"], total["classes"]) == (3, 3, ["c", "a", "b"])
    assert total["model"]["accuracy"] == pytest.approx((said.argmax(1) == actual).mean())
    assert total["model"]["nats"] == pytest.approx(-np.log(said[np.arange(3), actual]).mean(), rel=1e-4)
    confusion = np.zeros((3, 3), int)
    confusion[actual, said.argmax(1)] = 1
    assert total["confusion"] == confusion.tolist()
    assert total["logistic"]["accuracy"] == 1
    assert total["logistic"]["recall"] == {"a": 1, "b": 1, "c": 1}
    assert total["majority"]["accuracy"] == pytest.approx(1 / 3)
    assert scores["streams"]["s9"]["logistic"]["accuracy"] == 1


def test_of_classes_per_event_each_labelled_event_of_the_test_part_is_scored(tmp_path: Path) -> None:
    found, split = labelled()
    assert found.label is not None
    found.label[:12] = -1  # the first event of each stream
    config = Config(targets=("class",), hidden=8, task="class", outcomes=3)
    random_file(tmp_path / "m.onnx", config, classes=("c", "a", "b"), per="event")
    total = evaluate(tmp_path / "m.onnx", found, split, 0).scores["all"]
    assert total["events"] == 3 * 11
    assert np.sum(total["confusion"]) == 33
    assert total["logistic"]["accuracy"] > 0.9


def test_the_summaries_of_an_event_are_of_the_values_so_far() -> None:
    values = np.array([[np.nan], [3.0], [np.nan], [5.0], [1.0]])
    found = summaries(values)
    assert np.isnan(found[0]).all()
    # first, last, mean, deviation, least, greatest, mean change, slope
    np.testing.assert_allclose(found[3], [3, 5, 4, 1, 3, 5, 1, 1], atol=1e-9)
    slope = np.polyfit([1, 3, 4], [3, 5, 1], 1)[0]
    np.testing.assert_allclose(found[4], [3, 1, 3, np.std([3, 5, 1]), 1, 5, (2 + 4) / 3, slope], atol=1e-9)
    np.testing.assert_array_equal(summaries(values[:4])[3], found[3])
