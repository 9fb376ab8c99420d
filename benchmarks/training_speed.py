"""Training against a bare PyTorch loop on the same batches: `python -m benchmarks.training_speed`.

The bare loop runs nn.LSTM, a linear layer and the loss over windows of 64 lanes x 48 steps that lie there ready, and
steps AdamW. Ours is the whole loop of task `number`: windows gathered from streams, dropout, clipping, averages of the
weights, the learning rate's course; scores are not counted. All run in turns, in one process on one thread, and are
timed by its processor time. A figure is the median over the turns of the ratio of two neighbours: how many times slower
than the other. Below the same with what a network with lags does beside: 8 linear paths over 24 lags, mixed.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import benchmark, show
from export.config import Config
from export.head import OFFSETS
from training import trainer
from training.data import Events
from training.measure import constants
from training.network import Network
from training.number import Number, initialise
from training.prepare import prepare
from training.recipe import Recipe
from training.splits import split_at
from training.unroll import quantile_loss

LANES, STEPS, HIDDEN = 64, 48, 64
PLAIN, LAGS = Config(hidden=HIDDEN), Config(hidden=HIDDEN, lags=tuple(range(1, 25)), experts=8)
VALID = STEPS  # events of each stream: hardly any, scores are not what is measured


def streams(length: int) -> Events:
    """LANES random walks of equal length, one event a second."""
    values = np.random.default_rng(0).standard_normal((length, LANES)).cumsum(0)
    return Events(
        keys=[f"s{i}".encode() for i in range(LANES)],
        stream=np.tile(np.arange(LANES), length),
        time=np.repeat(np.arange(length) * 1000, LANES),
        values=values.reshape(-1, 1),
        features=("value",),
        timed=True,
    )


def ours(events: Events, config: Config, windows: int) -> Callable[[], float]:
    """One epoch of the training loop; gives its events a second."""
    trained = 1000 * (windows * STEPS + 1)
    parts = split_at(events, trained, trained + 1000 * VALID)
    network = Network(config)
    network.load(network.weights() | constants(events, parts, config))
    prepared = prepare(events, parts, network)
    initialise(network)
    task = Number(network, prepared)
    task.record()
    recipe = Recipe(epochs=1, patience=1, tbptt=STEPS, lanes=LANES)

    def epoch() -> float:
        speeds: list[float] = []
        trainer.train(task, recipe, lambda row: speeds.append(float(row["events_per_second"])), time.process_time)
        return speeds[0]

    return epoch


def bare(width: int, windows: int) -> Callable[[], float]:
    """As many windows of the same shape; gives events a second."""
    random = torch.Generator().manual_seed(0)
    batches = [
        (torch.randn(STEPS, LANES, width, generator=random), torch.randn(STEPS, LANES, 1, generator=random))
        for _ in range(windows)
    ]
    cells, head, offsets = nn.LSTM(width, HIDDEN), nn.Linear(HIDDEN, 5), torch.from_numpy(OFFSETS)
    optimizer = torch.optim.AdamW([*cells.parameters(), *head.parameters()], lr=3e-3)
    weight = torch.ones(STEPS, LANES, 1)

    def epoch() -> float:
        began = time.process_time()
        state: tuple[Tensor, Tensor] = (torch.zeros(1, LANES, HIDDEN), torch.zeros(1, LANES, HIDDEN))
        for seen, change in batches:
            hidden, (h, c) = cells(seen, state)
            raw = head(hidden).unflatten(-1, (1, 5))
            loss = quantile_loss(raw[..., :1] + raw[..., 1:].exp() @ offsets, change, weight)
            optimizer.zero_grad()
            (loss / weight.sum()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            state = (h.detach(), c.detach())
        return windows * STEPS * LANES / (time.process_time() - began)

    return epoch


def compare(loops: dict[str, Callable[[], float]], turns: int) -> None:
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(turns + 1):
        for name, epoch in loops.items():
            speed = epoch()
            if turn:  # the first one finds cold code
                speeds[name].append(speed)
    rows: list[list[object]] = []
    for name, found in speeds.items():
        ratios = (
            statistics.median(a / b for a, b in zip(speeds[other], found, strict=True)) for other in list(loops)[:2]
        )
        rows.append([name, round(statistics.median(found)), *ratios])
    show(["loop", "events/s", *(f"x slower than {other}" for other in list(loops)[:2])], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=25)
    parser.add_argument("--windows", type=int, default=40, help="of each turn")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with benchmark(f"{options.turns} turns of {options.windows} windows, PyTorch {torch.__version__}"):
        events = streams((options.windows + 3) * STEPS)
        for config in (PLAIN, LAGS):
            loops = {
                "bare nn.LSTM": bare(config.input_width, options.windows),
                "lstm": ours(events, config, options.windows),
                "graves-lstm": ours(events, replace(config, cell="graves-lstm"), options.windows),
            }
            compare(loops, options.turns)


if __name__ == "__main__":
    main()
