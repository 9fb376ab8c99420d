"""What a stream's own last symbols say: by hand, in the file, for all events at once; and when it is kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export import parity
from export.config import ORDERS, Config, Weights
from export.graph import build
from export.sample import random_weights
from export.signature import load
from training.kinds.symbols import dropout
from training.options import TrainOptions
from training.recall import Told, counted, fit
from training.run import train

LONGEST = ORDERS[-1]
BIAS = np.array([1.5, 1.0, 0.5, 0.0, -0.5], np.float32)


def by_hand(symbols: list[int], memory: int) -> dict[int, list[int]]:
    """Of the symbols so far, -1 a missing one: of each order what followed where the same symbols stood before."""
    newest, found = len(symbols) - 1, dict[int, list[int]]()
    for order in ORDERS:
        run = symbols[newest - order + 1 : newest + 1] if newest >= order - 1 else [-1]
        places = [
            place
            for place in range(max(newest - memory + LONGEST, order - 1), newest)
            if -1 not in run and symbols[place - order + 1 : place + 1] == run and symbols[place + 1] != -1
        ]
        found[order] = [symbols[place + 1] for place in places]
    return found


def mixed(chances: np.ndarray, found: dict[int, list[int]], bias: np.ndarray) -> np.ndarray:
    for order, strength in zip(ORDERS, np.exp(bias.astype(float)), strict=True):
        counts = np.bincount(found[order], minlength=len(chances))
        chances = (counts + strength * chances) / (counts.sum() + strength)
    return chances


def model(recall: int, outcomes: int = 4) -> tuple[Config, Weights, parity.Step]:
    config = Config(("s",), ("s",), 8, task="symbol", outcomes=outcomes, embedding=4, recall=recall)
    weights = random_weights(config, seed=1)
    if recall:
        weights |= {"recall.bias": BIAS, "recall.slope": np.zeros(5, np.float32)}
    return config, weights, parity.session(build(config, weights), config)


WITH, _, LOOKED_UP = model(16)
_, _, ALONE = model(0)


@settings(max_examples=30, deadline=None)
@given(symbols=st.lists(st.sampled_from([0, 1, 1, 2, 2, -1]), min_size=1, max_size=60), split=st.integers(1, 60))
def test_the_file_mixes_what_followed_the_same_symbols_before_with_what_the_network_says(
    symbols: list[int], split: int
) -> None:
    x = np.array(symbols, np.float32).reshape(-1, 1, 1)
    mask = (x >= 0).astype(np.float32)
    alone, _, _ = ALONE(x * mask, mask, {name: np.zeros((1, 8), np.float32) for name in ("h0", "c0")})
    state, parts = parity.cold(WITH, 1), []
    for first, last in ((0, split), (split, len(symbols))):
        if first < min(last, len(symbols)):
            probabilities, _, state = LOOKED_UP(x[first:last] * mask[first:last], mask[first:last], state)
            parts.append(probabilities)

    expected = [mixed(alone[t, 0, 0], by_hand(symbols[: t + 1], 16), BIAS) for t in range(len(symbols))]

    np.testing.assert_allclose(np.concatenate(parts)[:, 0, 0], expected, rtol=1e-5, atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(streams=st.lists(st.lists(st.sampled_from([0, 1, 1, 2, -1]), min_size=1, max_size=50), min_size=1, max_size=3))
def test_what_is_counted_for_all_events_at_once_is_what_each_event_would_find(streams: list[list[int]]) -> None:
    symbol = np.concatenate(streams).astype(np.int64)
    stream = np.repeat(np.arange(len(streams)), [len(s) for s in streams])
    hits, total = counted(symbol, stream, 20)
    row = 0
    for symbols in streams:
        for t, one in enumerate(symbols):
            found = by_hand(symbols[:t], 20) if t else {order: [] for order in ORDERS}
            assert total[row].tolist() == [len(found[order]) for order in ORDERS]
            if one >= 0:
                assert hits[row].tolist() == [found[order].count(one) for order in ORDERS]
            row += 1


def test_a_row_keeps_the_last_symbols_by_their_numbers() -> None:
    x = np.array([3, 0, 9, 1], np.float32).reshape(-1, 1, 1)
    mask = np.array([1, 1, 1, 0], np.float32).reshape(-1, 1, 1)
    _, _, state = LOOKED_UP(x * mask, mask, parity.cold(WITH, 1))
    assert state["recall"][0, -5:].tolist() == [0, 4, 1, 4, 0]  # the third lies beyond the last symbol


def test_the_mix_is_fitted_to_what_is_told_and_is_the_same_each_time() -> None:
    random = np.random.default_rng(0)
    symbols = np.tile(random.integers(0, 20, 50), 20)
    hits, total = counted(symbols, np.zeros(1000, np.int64), 200)
    told = Told(
        torch.full((1000,), -np.log(20), dtype=torch.float64), torch.full((1000,), 0.05, dtype=torch.float64),
        torch.from_numpy(hits).double(), torch.from_numpy(total).double(),
    )  # fmt: skip
    weights, nats = fit(told)
    assert nats < 0.3 < 2.9 < told.nats()
    again, _ = fit(told)
    assert all(weights[name].tobytes() == again[name].tobytes() for name in weights)


def test_recall_is_in_the_file_where_it_saves_nats_and_only_there(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    songs = ["".join(random.choice(list("abcdefgh"), 120)) for _ in range(12)]
    repeated, never = tmp_path / "repeated.txt", tmp_path / "never.txt"
    repeated.write_text("".join(song * 4 for song in songs))
    never.write_text("".join(random.choice(list("abcdefgh"), 4000)))
    small = {"text": "characters", "hidden": 8, "epochs": 1, "recall": 128, "threads": 1}

    found = {
        path.stem: train([path], TrainOptions(out=tmp_path / path.stem / "RUN", **small))  # type: ignore[arg-type]
        for path in (repeated, never)
    }

    assert found["repeated"].signature.recall == 128
    assert found["repeated"].metrics["all"]["model"]["nats"] < 1.0  # of 2.08, by the network alone
    assert found["never"].signature.recall == 0
    assert [t.input for t in load(found["never"].model)[1].state] == ["h0", "c0"]
    assert any(note.startswith("Recall: ") and note.endswith("left out.") for note in found["never"].metrics["notes"])


@pytest.mark.parametrize(
    ("events", "weights", "share"),
    [(60, 10_000, 0.0), (100_000, 350_000, 0.2), (900_000, 350_000, 0.1), (10**7, 350_000, 0.0)],
)
def test_less_is_hidden_where_there_are_more_events_for_each_weight(events: int, weights: int, share: float) -> None:
    assert dropout(events, weights) == share
