"""A stream's own factor of its intervals: the same bits however its events are split, and what it does to coverage."""

import numpy as np
import torch

from export import parity
from export.config import BLOCK, PATIENCE, Config
from export.graph import build
from export.sample import random_weights
from training.network import Network
from training.reach import factors, followed

EVENTS = 5 * BLOCK


def model(**more: object) -> tuple[Config, parity.Step]:
    config = Config(hidden=8, reach=True, **more)  # type: ignore[arg-type]
    return config, parity.session(build(config, random_weights(config)), config)


def test_a_split_over_blocks_changes_no_bit() -> None:
    config, step = model(lags=(1, 2, 7))
    x, mask = parity.walks(config, random_weights(config), EVENTS, 3)
    whole = step(x, mask, parity.cold(config, 3))
    state, said = parity.cold(config, 3), []
    for first, last in ((0, 1), (1, BLOCK + 9), (BLOCK + 9, 3 * BLOCK), (3 * BLOCK, EVENTS)):
        quantiles, _, state = step(x[first:last], mask[first:last], state)
        said.append(quantiles)
    assert np.concatenate(said).tobytes() == whole[0].tobytes()
    assert state["reach"].tobytes() == whole[2]["reach"].tobytes()


def test_a_wild_stream_gets_wider_intervals_and_a_calm_one_narrower() -> None:
    config, step = model(scaling="fixed")
    random = np.random.default_rng(0)
    x = (random.normal(size=(600, 2, 1)) * [[[2.0], [0.02]]]).astype(np.float32)
    quantiles, _, _ = step(x, np.ones_like(x), parity.cold(config, 2))
    widths = quantiles[:, :, 0, -1] - quantiles[:, :, 0, 0]
    assert widths[-1, 0] > 1.5 * widths[0, 0]
    assert widths[-1, 1] < 0.7 * widths[0, 1]


def test_the_factor_of_arrays_is_that_of_tensors() -> None:
    random = np.random.default_rng(1)
    distance = torch.from_numpy(random.normal(0, 2, (EVENTS, 1, 1, 1)).astype(np.float32))
    mask = torch.from_numpy((random.random((EVENTS, 1, 1)) > 0.2).astype(np.float32))
    widths = torch.ones(EVENTS, 1, 1, 4)
    usual = torch.tensor([0.3])
    begun = torch.tensor([[[1.0, 0.0, 0.0, 0.0]]])
    around, _ = factors(distance, widths, mask, usual, begun)
    error = (distance.abs() / 2).clip(max=5)[:, 0, 0, 0].numpy().astype(float)
    there = mask[:, 0, 0].numpy() > 0
    found = followed(error, there, 0.3)
    np.testing.assert_allclose(found[there], around[:-1, 0, 0].numpy()[there], rtol=1e-4)


def test_what_was_long_ago_is_forgotten() -> None:
    error = np.concatenate([np.full(20 * BLOCK, 2.0), np.full(20 * BLOCK, 0.4)])
    found = followed(error, np.ones(len(error), bool), 0.4)
    assert found[20 * BLOCK - 1] > 3
    assert abs(found[-1] - 1) < 0.01
    assert PATIENCE < BLOCK, "a stream of one block speaks for itself"


def test_the_first_value_after_missing_ones_surprises_nobody() -> None:
    for scaling in ("fixed", "stream"):
        config, step = model(scaling=scaling)
        x = np.array([0, 0, 5000, 5001, 0, 9000], np.float32).reshape(-1, 1, 1)
        _, surprise, _ = step(x, (x > 0).astype(np.float32), parity.cold(config, 1))
        found = surprise[:, 0, 0]
        assert not found[[0, 1, 2, 4]].any()
        assert found[5] > 3


def test_an_event_without_a_value_counts_nothing() -> None:
    network = Network(Config(hidden=4, reach=True)).eval()
    network.load(network.weights() | {"usual": np.array([0.4], np.float32)})
    x, mask = torch.randn(9, 1, 1), torch.ones(9, 1, 1)
    mask[4:7] = 0
    with torch.no_grad():
        _, _, state = network(x, mask, network.cold(1))
    assert state["reach"][0, 0, 2] == 9 - 3 - 1, "the first has none before it"
