"""The arithmetic of the demo's scores, on figures small enough to check by hand; and the live table's books."""

import numpy as np
import pytest

from demo.score import Score, Stream, before, by_variable, score, shifted, together
from demo.tally import Tally
from demo.topics import Output
from demo.weather import Events

NAN = float("nan")


def columns(*figures: float) -> np.ndarray:
    return np.array(figures, np.float64)


def stream(**changed: np.ndarray) -> Stream:
    """Four training events with a naive error of 2, then three scored ones: 10, 12, 11."""
    parts = {
        "value": columns(2, 4, 6, 8, 10, 12, 11),
        "training": np.array([1, 1, 1, 1, 0, 0, 0], bool),
        "scored": np.array([0, 0, 0, 0, 1, 1, 1], bool),
        "prediction": columns(0, 0, 0, 9, 13, 11, 99),  # for the next event: 9, 13, 11 are judged
        "lower": columns(0, 0, 0, 8, 12.5, 10, 0),
        "upper": columns(0, 0, 0, 10, 13.5, 12, 0),
        "ar24": columns(NAN, NAN, NAN, NAN, 10.5, 12.5, 11.5),
    }
    return Stream(**(parts | changed))


def test_persistence_is_the_last_value_that_was_there() -> None:
    assert np.array_equal(before(columns(NAN, 1, NAN, NAN, 2)), columns(NAN, NAN, 1, 1, 1), equal_nan=True)


def test_a_prediction_stands_beside_the_event_that_it_was_made_for() -> None:
    assert np.array_equal(shifted(columns(1, 2, 3)), columns(NAN, 1, 2), equal_nan=True)


def test_errors_are_means_over_the_scored_events() -> None:
    found = score(stream())
    assert found.targets == 3
    assert found.mae == pytest.approx({"model": (1 + 1 + 0) / 3, "persistence": (2 + 2 + 1) / 3, "ar24": 0.5})


def test_scaled_errors_are_divided_by_persistence_on_the_training_part() -> None:
    assert score(stream()).scaled == pytest.approx({"model": 1 / 3, "persistence": 5 / 6, "ar24": 0.25})


def test_coverage_counts_the_values_inside_the_interval_that_was_said_before_them() -> None:
    assert score(stream()).coverage == pytest.approx(2 / 3)


def test_a_missing_value_is_no_target_and_does_not_end_persistence() -> None:
    found = score(stream(value=columns(2, 4, 6, 8, 10, NAN, 11)))
    assert found.targets == 2
    assert found.mae["persistence"] == pytest.approx((2 + 1) / 2)


def test_all_predictors_are_judged_on_the_same_events() -> None:
    found = score(stream(ar24=columns(NAN, NAN, NAN, NAN, NAN, 12.5, 11.5)))
    assert found.targets == 2
    assert found.mae["model"] == pytest.approx(0.5)


def test_together_weighs_errors_by_target_and_scaled_errors_by_stream() -> None:
    one = Score(1, dict.fromkeys(("model", "persistence", "ar24"), 1.0), {"model": 1.0, "persistence": 1, "ar24": 1}, 1)
    two = Score(3, dict.fromkeys(("model", "persistence", "ar24"), 2.0), {"model": 3.0, "persistence": 1, "ar24": 1}, 0)
    found = together([one, two], same_unit=True)
    assert (found.targets, found.mae["model"], found.scaled["model"], found.coverage) == (4, 1.75, 2.0, 0.25)
    assert together([one, two], same_unit=False).mae == {}


def test_a_stream_without_targets_counts_for_nothing() -> None:
    silent = score(stream(value=np.full(7, NAN)))
    assert silent.targets == 0
    assert together([silent, score(stream())], same_unit=True).mae == pytest.approx(score(stream()).mae)


def test_variables_gather_their_stations() -> None:
    found = by_variable({"EWR.temp": score(stream()), "JFK.temp": score(stream())}, ["temp"])
    assert found["temp"].targets == 6


def output(step: int, prediction: float) -> Output:
    return Output(step - 1, step * 1000, step, prediction, prediction - 1, prediction + 1, None)


def test_the_tally_scores_each_event_by_the_prediction_that_came_before_it() -> None:
    events = Events(["A.temp"] * 4, np.array([1000, 2000, 3000, 4000]), columns(1, 2, NAN, 5))
    tally = Tally(events, since=2000)
    for step, prediction in enumerate((1.5, 2.5, 4.0, 0.0), 1):
        tally.take("A.temp", output(step, prediction))
    line = tally.lines["A.temp"]
    assert line.mae == ((0.5 + 1.0) / 2, (1.0 + 3.0) / 2)  # 2 after 1.5 was said; 5 after 4.0, the last value being 2
    assert tally.gain == pytest.approx(1.5 / 4)
    assert (line.actual, line.said, line.prediction) == (5.0, 4.0, 0.0)


def test_the_tally_lives_through_outputs_that_should_not_be_there() -> None:
    events = Events(["A.temp"], np.array([1000]), columns(1))
    tally = Tally(events, since=0)
    tally.take("other", output(1, 0.0))
    tally.take("A.temp", output(9, 0.0))
    assert tally.count == 2
    assert tally.gain is None
