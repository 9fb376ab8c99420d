"""Every cell, head, scaling and lag: the exported file against the PyTorch module, and the same bits in any batch."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export import parity
from export.config import Config
from export.graph import build
from export.sample import random_weights
from training.reference import reference

BATCHES = (2, 5, 17, 33)
CALENDARS = [(), ("hour",), ("year", "weekday", "hour")]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads have nothing to share in networks this small, and wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("head", ["quantile", "normal"])
@pytest.mark.parametrize("cell", ["lstm", "graves-lstm", "gru", "rnn"])
@settings(max_examples=16, deadline=None)
@given(data=st.data())
def test_file_and_module_agree_over_200_steps_and_batches_change_no_bit(
    cell: str, head: str, data: st.DataObject
) -> None:
    features = data.draw(st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")]))
    targets = data.draw(st.lists(st.sampled_from(features), min_size=1, unique=True))
    lags = data.draw(st.sampled_from([(), (1,), (2,), (1, 2, 3, 24)]))
    config = Config(
        features,
        tuple(targets),
        hidden=data.draw(st.sampled_from([5, 16])),
        layers=data.draw(st.integers(1, 2)),
        scaling=data.draw(st.sampled_from(["fixed", "stream"])),
        lags=lags,
        experts=data.draw(st.sampled_from([1, 3, 8])) if max(lags, default=0) > 1 else 1,
        cell=cell,  # type: ignore[arg-type]
        head=head,  # type: ignore[arg-type]
        calendar=data.draw(st.sampled_from(CALENDARS)),
        since_last=data.draw(st.booleans()),
        reach=data.draw(st.booleans()),
    )
    weights = random_weights(config, data.draw(st.integers(0, 1000)))
    model = build(config, weights)
    parity.operators(model)
    step = parity.session(model, config)
    assert parity.difference(step, reference(config, weights), config, weights) <= parity.TOLERANCE
    parity.bits(step, config, weights, batches=BATCHES, time=4)
