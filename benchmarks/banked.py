"""What a step costs where onnxruntime gathers rows from a bank and scatters them to it: python -m benchmarks.banked

Prints microseconds of a call, median of many, in one process: rows in this process's memory (cpu) and the banked graph
(cpu-banked, or cuda where `--provider` says so), in turns, over banks of growing size. A step that copied the bank
would cost more the larger it is. Then what rows cost on their way out, as for a checkpoint, and how far the rows of the
two came apart.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.common import benchmark, show
from engine.bank import Bank
from engine.banked import BankedModel
from engine.columns import Ints
from engine.device import CPU, cuda
from engine.model import Model, Network
from export.sample import random_model

Act = Callable[[Bank, Ints], object]
UNTIMED = 3  # calls before those that count


def filled(network: Network, streams: int) -> Bank:
    """A bank all of whose rows were written to, so that no page is touched for the first time while it is measured."""
    bank = network.bank(streams)
    for start in range(0, streams, 65536):
        bank.clear(np.arange(start, min(start + 65536, streams)))
    return bank


def in_turns(banks: list[Bank], act: Act, streams: int, batch: int, calls: int) -> list[float]:
    """Each bank's median; all of them get the same slots."""
    random = np.random.default_rng(0)
    spent: list[list[float]] = [[] for _ in banks]
    for call in range(calls + UNTIMED):
        slots = np.unique(random.integers(0, streams, batch))
        for bank, times in zip(banks, spent, strict=True):
            began = perf_counter()
            act(bank, slots)
            if call >= UNTIMED:
                times.append((perf_counter() - began) * 1e6)
            bank.keep()
    return [float(np.median(times)) for times in spent]


def step(bank: Bank, slots: Ints) -> object:
    """One event of each of these streams."""
    x = np.sin(slots, dtype=np.float32)[None, :, None]
    return bank.run(slots, False, x, np.ones_like(x))


def apart(banks: list[Bank], streams: int) -> float:
    """The largest difference between their rows, over some of them."""
    some = np.unique(np.random.default_rng(0).integers(0, streams, 100_000))
    one, other = (bank.copy(some).rows for bank in banks)
    return float(np.abs(one - other).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider", choices=["cpu-banked", "cuda"], default="cpu-banked")
    parser.add_argument("--streams", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 4096])
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--calls", type=int, default=100)
    options = parser.parse_args()
    rows: list[list[object]] = []
    with (
        benchmark(f"an LSTM of {options.hidden}, {options.calls} calls each"),
        tempfile.TemporaryDirectory(prefix="statecast-banked-") as name,
    ):
        path = Path(name) / "model.onnx"
        width = random_model(path, hidden=options.hidden).row_width
        networks = [Model(path), BankedModel(path, cuda() if options.provider == "cuda" else CPU)]
        for streams in options.streams:
            banks = [filled(network, streams) for network in networks]
            for batch in options.batches:
                plain, banked = in_turns(banks, step, streams, batch, options.calls)
                plain_out, out = in_turns(banks, Bank.copy, streams, batch, options.calls)
                figures = [plain, banked, banked / plain, plain_out, out, f"{apart(banks, streams):.1e}"]
                rows.append([streams, round(streams * width * 4 / 1e6), batch, *figures])
        there = options.provider
        show(["streams", "MB", "batch", "cpu", there, "ratio", "out: cpu", f"out: {there}", "rows apart"], rows)


if __name__ == "__main__":
    main()
