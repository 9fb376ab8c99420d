"""The parts of training by themselves: lanes, experts, baselines, scaling constants, calibration."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export.config import Config
from training import experts
from training.calibrate import _stretch, _tail
from training.data import Events
from training.lanes import MIN_STEPS, cut, windows
from training.measure import constants
from training.naive import forward_filled, mean_changes
from training.network import Network
from training.number import Number
from training.prepare import prepare
from training.splits import split_at


def made(streams: list[np.ndarray]) -> Events:
    """Events of streams that all begin at time 0; an event's time is its number."""
    time = np.concatenate([np.arange(len(values)) for values in streams])
    order = np.argsort(time, kind="stable")
    return Events(
        keys=[f"s{i}".encode() for i in range(len(streams))],
        stream=np.concatenate([np.full(len(values), i) for i, values in enumerate(streams)])[order],
        time=time[order],
        values=np.concatenate(streams)[order, None].astype(float),
        features=("value",),
        timed=True,
    )


@settings(max_examples=200, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 200), min_size=1, max_size=30),
    lanes=st.integers(1, 8),
    window=st.integers(MIN_STEPS, 40),
    data=st.data(),
)
def test_lanes_run_every_evaluation_once_in_order_with_little_padding(
    lengths: list[int], lanes: int, window: int, data: st.DataObject
) -> None:
    shift = data.draw(st.integers(0, window - 1))
    seen: dict[int, list[int]] = {i: [] for i in range(len(lengths))}
    padding = 0
    pieces = cut(lengths, lanes, window, shift)
    for group in windows(pieces, lanes, window, np.random.default_rng(0)):
        assert len(group[0].pieces) <= lanes
        for part in group:
            assert part.steps <= window
            for piece in part.pieces:
                first = piece.first + part.start
                last = min(first + part.steps, piece.last)
                seen[piece.stream] += range(first, last)
                padding += part.steps - (last - first)
    assert {i: sorted(found) for i, found in seen.items()} == {i: list(range(n)) for i, n in enumerate(lengths)}
    assert padding <= (MIN_STEPS - 1) * len(pieces)


def test_streams_of_one_length_are_not_padded_at_all() -> None:
    pieces = cut([500] * 6, 8, 48, 0)
    for group in windows(pieces, 8, 48, np.random.default_rng(0)):
        for part in group:
            assert all(len(piece) >= part.start + part.steps for piece in part.pieces)


def test_experts_find_the_groups_that_made_the_streams() -> None:
    random = np.random.default_rng(0)
    streams = []
    for coefficient in (0.9, -0.7) * 4:
        values = np.zeros(400)
        for t in range(1, 400):
            values[t] = coefficient * values[t - 1] + random.normal()
        streams.append(values)
    events = made(streams)
    parts = split_at(events, 300, 350)
    network = Network(Config(hidden=4, lags=(1, 2), experts=4))
    prepared = prepare(events, parts, network)
    found, drifts = experts.fit(prepared, network.config, 0, seed=0)

    def error(stream: int, expert: int) -> float:
        rows = slice(prepared.first[stream], prepared.first[stream + 1])
        said = prepared.linear(rows).numpy() @ found[expert] + drifts[expert]
        return float(np.abs(prepared.change[rows, 0].numpy() - said).mean())

    best = [int(np.argmin([error(i, expert) for expert in range(4)])) for i in range(8)]
    assert best[0] != best[1]
    assert best == best[:2] * 4
    assert not found[-1].any()  # the one that says "no change"
    assert drifts[-1] == 0


def test_experts_know_a_drift_and_look_at_their_own_feature_alone() -> None:
    random = np.random.default_rng(0)
    rising = np.arange(400) * 0.5 + random.normal(0, 0.1, 400)
    events = made([rising])
    events = replace(events, values=np.column_stack([rising, random.normal(size=400)]), features=("a", "b"))
    network = Network(Config(features=("a", "b"), targets=("a", "b"), hidden=4, lags=(1, 2), experts=1))
    prepared = prepare(events, split_at(events, 300, 350), network)
    found, drifts = experts.fit(prepared, network.config, 0, seed=0)
    level = 0.5 / np.abs(np.diff(rising)).mean()
    assert drifts[0] == pytest.approx(level, abs=0.6), "much of it may be told by the distance to the mean"
    rows = slice(200, 299)
    said = prepared.linear(rows).numpy() @ found[0] + drifts[0]
    assert np.abs(said - prepared.change[rows, 0].numpy()).mean() < 0.5 * level
    assert not found[0][1::2].any()


@pytest.mark.parametrize("scaling", ["fixed", "stream"])
def test_the_first_value_after_missing_ones_is_no_change_to_learn(scaling: str) -> None:
    values = 1000 + np.random.default_rng(5).normal(size=60).cumsum()
    values[:20] = values[30] = np.nan
    config = Config(scaling=scaling, hidden=4)  # type: ignore[arg-type]
    events = made([values])
    split = split_at(events, 40, 50)
    network = Network(config)
    network.load(network.weights() | constants(events, split, config))
    found = prepare(events, split, network)
    learned = found.weight[:, 0].numpy() > 0
    np.testing.assert_array_equal(np.flatnonzero(~learned), [*range(20), 29])
    assert float(found.change[learned].abs().max()) < 20


def test_doubts_are_of_a_streams_own_past_wherever_its_events_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(6)
    events = made([random.normal(size=length).cumsum() for length in (50, 1, 90, 20)])
    config = Config(hidden=4, lags=(1, 2, 5), experts=3)
    network = Network(config)
    split = split_at(events, 30, 40)
    network.load(network.weights() | constants(events, split, config))
    whole, parts = (Number(network, prepare(events, split, network)) for _ in range(2))
    whole.record()
    monkeypatch.setattr("training.number.PART", 7)
    parts.record()
    assert torch.equal(whole.prepared.doubt, parts.prepared.doubt)
    begins = whole.prepared.first[[0, 2, 3]]
    assert not whole.prepared.doubt[begins].any()
    assert whole.prepared.doubt[begins + 9].any()


def test_forward_fill_and_the_naive_error_skip_missing_values() -> None:
    values = np.array([[np.nan], [1.0], [np.nan], [4.0], [4.0]])
    np.testing.assert_array_equal(forward_filled(values)[:, 0], [np.nan, 1, 1, 4, 4])
    assert mean_changes(values)[0] == pytest.approx(1.5)
    assert np.isnan(mean_changes(values[:2])[0])


@pytest.mark.parametrize("scaling", ["fixed", "stream"])
def test_constants_come_from_the_training_part_alone(scaling: str) -> None:
    random = np.random.default_rng(2)
    streams = [random.normal(size=100).cumsum() * 10.0**i for i in range(3)]
    config = Config(scaling=scaling, hidden=4)  # type: ignore[arg-type]
    before = constants(made(streams), split_at(made(streams), 70, 80), config)
    for values in streams:
        values[70:] = 1e9
    after = constants(made(streams), split_at(made(streams), 70, 80), config)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    config.check(Network(config).weights() | before)


@pytest.mark.parametrize("scaling", ["fixed", "stream"])
@pytest.mark.parametrize("value", [0.0, 5.0, np.nan])
def test_constants_of_streams_that_never_change_are_usable(scaling: str, value: float) -> None:
    config = Config(scaling=scaling, hidden=4)  # type: ignore[arg-type]
    events = made([np.full(20, value)])
    config.check(Network(config).weights() | constants(events, split_at(events, 14, 16), config))


def test_calibration_makes_each_level_cover_what_it_says() -> None:
    random = np.random.default_rng(3)
    distance, widths = random.standard_t(4, 20_000), np.tile([0.3, 0.9, 0.1, 2.0], (20_000, 1))
    up, down, further_up, further_down = _stretch(distance, widths) * widths[0]
    for level, edge in ((0.75, up), (0.95, up + further_up), (0.25, -down), (0.05, -down - further_down)):
        assert (distance <= edge).mean() == pytest.approx(level, abs=2e-3)


def test_tail_slopes_are_those_of_exponential_tails() -> None:
    random = np.random.default_rng(4)
    distance, widths = random.laplace(size=200_000), np.ones((200_000, 4))
    # Beyond any point, a Laplace tail of scale 1 loses a factor of e per unit.
    np.testing.assert_allclose(_tail(distance, widths), 1 / np.log(10), rtol=0.03)


def test_the_module_computes_one_stream_in_one_go_as_in_single_steps() -> None:
    network = Network(Config(hidden=4, lags=(1, 2, 5), experts=3, scaling="stream"))
    x = torch.randn(30, 1, 1).cumsum(0)
    mask = (torch.rand(30, 1, 1) > 0.2).float()
    with torch.no_grad():
        whole, _, _ = network(x, mask, network.cold(1))
        state, parts = network.cold(1), []
        for t in range(30):
            quantiles, _, state = network(x[t : t + 1], mask[t : t + 1], state)
            parts.append(quantiles)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-5, atol=1e-5)
