"""The search for the highest rate: against services whose limit is known."""

from collections.abc import Callable

import pytest

from loadtest.ramp import DOWN, FINE, LOWEST, Ramp, Step, search


def found(p99: Callable[[float], float], first: float = 1000.0, highest: float = 1e7, late: float = 0.0) -> Ramp:
    return search(lambda rate: Step(rate, p99(rate), late, complete=True), first, highest, limit_ms=100.0)


def bears(limit: float) -> Callable[[float], float]:
    """5 ms up to a rate, a second above it."""
    return lambda rate: 5.0 if rate <= limit else 1000.0


@pytest.mark.parametrize("limit", [1000.0, 1500.0, 43_210.0, 700_000.0, 77.0, 11.0])
def test_the_highest_rate_is_found_to_a_tenth_from_above_and_below(limit: float) -> None:
    ramp = found(bears(limit))

    assert ramp.best is not None
    assert ramp.worst is not None
    assert ramp.best.rate <= limit < ramp.worst.rate <= ramp.best.rate * FINE * 1.001
    assert len(ramp.steps) < 40


def test_one_failure_is_the_machines_two_are_the_services() -> None:
    fails = {2000.0: 1, 4000.0: 2}

    def p99(rate: float) -> float:
        fails[rate] = fails.get(rate, 0) - 1
        return 1000.0 if fails[rate] >= 0 or rate > 4000 else 5.0

    ramp = found(p99)

    assert [step.rate for step in ramp.steps[:5]] == [1000.0, 2000.0, 2000.0, 4000.0, 4000.0]
    assert ramp.best is not None
    assert 2000.0 <= ramp.best.rate < 4000.0


def test_a_service_that_bears_nothing_is_told_so_after_few_steps() -> None:
    ramp = found(bears(0.0))

    assert ramp.best is None
    assert ramp.verdict == "no rate has a p99 below 100 ms, not even 10/s"
    assert min(step.rate for step in ramp.steps) == LOWEST
    assert len(ramp.steps) <= 12
    assert DOWN > 2


def test_a_service_that_bears_everything_ends_the_search_at_the_highest_rate() -> None:
    ramp = found(bears(1e12), highest=5000.0)

    assert [step.rate for step in ramp.steps] == [1000.0, 2000.0, 4000.0, 5000.0]
    assert ramp.verdict == "5,000/s (p99 5.0 ms), and the load test offers no more"


def test_where_the_sender_fell_behind_the_verdict_says_whose_limit_it_is() -> None:
    assert "there the sender itself fell behind: more --processes" in found(bears(3000.0), late=200.0).verdict
    assert "sender" not in found(bears(3000.0), late=20.0).verdict


def test_outputs_that_never_came_end_the_search() -> None:
    ramp = search(lambda rate: Step(rate, None if rate > 1000 else 5.0, 0.0, rate <= 1000), 1000.0, 1e7, 100.0)

    assert [(step.rate, step.complete) for step in ramp.steps] == [(1000.0, True), (2000.0, False)]
    assert ramp.verdict == "1,000/s (p99 5.0 ms); 2,000/s is too much (nothing arrived, not all arrived)"
    assert ramp.as_dict()["rate"] == 1000.0
