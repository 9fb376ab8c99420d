"""The n-grams: that their probabilities are probabilities, and as good as they should be."""

import numpy as np
import pytest

from training.scores.ngram import ORDERS, NGrams
from training.scores.series import Ints


def grams(symbols: Ints, size: int, fitted: int, start: tuple[int, ...] = (0,)) -> NGrams:
    first = np.isin(np.arange(len(symbols)), start)
    return NGrams(symbols, first, np.arange(len(symbols)) < fitted, size)


@pytest.mark.parametrize("order", ORDERS)
def test_the_probabilities_of_all_symbols_add_up_to_one_seen_or_not(order: int) -> None:
    symbols = np.random.default_rng(0).integers(0, 5, 400) ** 2 % 5
    total = [
        grams(np.append(symbols, last), 6, 300, (0, 200)).probabilities(order, np.array([400])) for last in range(6)
    ]
    assert np.sum(total) == pytest.approx(1)
    assert np.min(total) > 0


def test_a_bigram_is_what_kneser_and_ney_say() -> None:
    """Training part a b a b a c, then a b. Counts after a: b 2, c 1; of different symbols before: a 1 (b), b 1, c 1."""
    found = grams(np.array([0, 1, 0, 1, 0, 2, 0, 1]), 3, 6)
    # Too few grams for discounts of their own: 0.75 of each. The unigram's counts are those of different grams before.
    before = {0: 2, 1: 1, 2: 1}  # the stream's beginning counts as one
    unigram = (before[1] - 0.75) / 4 + 3 * 0.75 / 4 / 3
    assert found.probabilities(2, np.array([7]))[0] == pytest.approx((2 - 0.75) / 3 + 2 * 0.75 / 3 * unigram)


def test_a_chain_is_told_as_well_as_its_entropy_allows_and_not_by_the_unigram() -> None:
    random = np.random.default_rng(0)
    step = random.choice([1, 2], 20_000, p=[0.9, 0.1])
    symbols = step.cumsum() % 10
    found = grams(symbols, 10, 16_000)
    rows = np.arange(16_000, 20_000)
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    nats = {order: -np.log(found.probabilities(order, rows)).mean() for order in ORDERS}
    assert nats[1] == pytest.approx(np.log(10), rel=0.01)
    assert nats[2] == pytest.approx(entropy, rel=0.05)
    assert nats[5] < 1.2 * entropy


def test_no_gram_reaches_over_the_beginning_of_a_stream() -> None:
    one = np.array([0, 1, 2] * 20)
    together = grams(np.concatenate([one, [9], one]), 10, 61, (0, 60, 61))
    alone = grams(np.concatenate([one, [9], one[::-1]]), 10, 61, (0, 60, 61))
    first = np.array([61])
    assert together.probabilities(3, first)[0] > alone.probabilities(3, first)[0]  # streams begin with 0, not with 2
    assert together.contexts[2][61] == 0


def test_a_million_symbols_take_seconds() -> None:
    symbols = np.random.default_rng(0).integers(0, 60, 200_000)
    found = grams(symbols, 60, 160_000)
    assert found.probabilities(5, np.arange(160_000, 200_000)).shape == (40_000,)
