"""Which lags are found: seasons of the training part, only where they pay, and never more than streams are long."""

import numpy as np
import pytest

from training.data import Events
from training.lags import LONGEST, find
from training.splits import TEST, TRAIN, Split


def events(streams: list[np.ndarray]) -> Events:
    """Streams of one feature, one after another."""
    lengths = [len(values) for values in streams]
    return Events(
        keys=[b"%d" % i for i in range(len(streams))],
        stream=np.repeat(np.arange(len(streams)), lengths),
        time=np.concatenate([np.arange(length) for length in lengths]),
        values=np.concatenate(streams)[:, None],
        features=("value",),
        timed=True,
    )


def trained(streams: list[np.ndarray], share: float = 1.0) -> tuple[Events, Split]:
    """All of it in the training part, or the first share of each stream."""
    found = events(streams)
    part = np.concatenate([np.where(np.arange(len(s)) < share * len(s), TRAIN, TEST) for s in streams])
    return found, Split(part.astype(np.int8), 0, 0)


def seasonal(period: int, length: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(0, 1, period)[np.arange(length) % period] * 5 + random.normal(0, 0.3, length)


@pytest.mark.parametrize("period", [30, 50, 168])
def test_a_season_is_found_with_the_value_before_it(period: int) -> None:
    found = find(*trained([seasonal(period, 2000, seed) for seed in range(4)]))
    assert {period, period + 1} <= set(found.lags)
    assert f"{period}-{period + 1}" in found.why


def test_a_random_walk_gets_few_lags() -> None:
    random = np.random.default_rng(0)
    assert find(*trained([random.normal(0, 1, 1000).cumsum() for _ in range(10)])).lags == tuple(range(1, 9))


def test_what_comes_after_the_training_part_is_not_looked_at() -> None:
    random = np.random.default_rng(0)
    later = seasonal(50, 2000, 1)
    calm = random.normal(0, 1, 2000).cumsum()
    first = find(*trained([np.concatenate([calm, later])], share=0.5))
    second = find(*trained([np.concatenate([calm, calm])], share=0.5))
    assert first == second


def test_streams_that_are_too_short_get_none() -> None:
    assert find(*trained([np.arange(5.0), np.arange(4.0)])).lags == ()


def test_no_lag_is_beyond_a_quarter_of_the_median_stream() -> None:
    found = find(*trained([seasonal(20, 60, seed) for seed in range(9)]))
    assert 1 < max(found.lags) <= 15


def test_a_season_longer_than_a_row_may_keep_is_left_out() -> None:
    assert max(find(*trained([seasonal(LONGEST + 100, 8 * LONGEST, 0)])).lags) <= LONGEST


def test_constant_and_missing_streams_are_passed_over() -> None:
    values = seasonal(30, 1000, 0)
    values[::7] = np.nan
    with_others = find(*trained([values, np.full(1000, 3.0), np.full(1000, np.nan), seasonal(30, 1000, 1)]))
    assert {30, 31} <= set(with_others.lags)
