"""What a run has found: everything that the summary, the report and the terminal tell, and nothing else."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo.compare import Verdict
from demo.score import Score, Stream
from demo.weather import VARIABLES

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "max": 100.0}


@dataclass(frozen=True)
class Learned:
    """One line of the learning curve."""

    seconds: float
    loss: float  # on the training part; a quantile loss in the streams' own scales
    validation: float


@dataclass(frozen=True)
class Throughput:
    """The history, sent as fast as it went."""

    events: int
    seconds: float  # from the first event sent to the last prediction read

    @property
    def per_second(self) -> float:
        return self.events / self.seconds


@dataclass(frozen=True)
class Surprising:
    """One event that the prediction before it had thought unlikely."""

    key: str
    time: int  # milliseconds since the epoch
    actual: float
    said: float
    lower: float
    upper: float
    surprise: float
    unseen: int  # events without a value just before it


@dataclass
class Result:
    """Times are milliseconds since the epoch."""

    verdict: Verdict
    streams: Mapping[str, Stream]
    times: Mapping[str, NDArray[np.int64]]  # of each stream's events
    scores: Mapping[str, Score]  # by stream
    variables: Mapping[str, Score]
    overall: Score
    ar24_plausible: float  # AR(24), scaled, had it been fitted without impossible values
    throughput: Throughput
    rate: float  # events a second of the latency phase
    latencies: NDArray[np.float64]  # milliseconds, one per prediction of the latency phase
    curve: list[Learned]
    surprising: list[Surprising]
    boundaries: tuple[int, int]  # the training part ends; the scored part begins
    facts: dict[str, str] = field(default_factory=dict)  # what was run, as the report tells it

    @property
    def latency_ms(self) -> dict[str, float]:
        """Percentiles."""
        if not len(self.latencies):
            return {}
        return {name: float(np.percentile(self.latencies, p)) for name, p in PERCENTILES.items()}

    def summary(self) -> dict[str, Any]:
        """summary.json."""
        return {
            "events": self.verdict.events,
            "predictions": self.verdict.predictions,
            "verified": self.verdict.verified,
            "verify": {k: v for k, v in asdict(self.verdict).items() if k not in ("events", "predictions")},
            "scored": self.overall.targets,
            "scaled_mae": self.overall.scaled,
            "scaled_mae_ar24_without_impossible_values": self.ar24_plausible,
            "coverage_90": self.overall.coverage,
            "events_per_second": self.throughput.per_second,
            "latency_ms": self.latency_ms,
            "latency_rate": self.rate,
            "variables": {name: asdict(self.variables[name]) for name in VARIABLES},
            "streams": {key: asdict(score) for key, score in self.scores.items()},
            "run": self.facts,
        }

    def write(self, path: Path) -> None:
        """summary.json as a file; what could not be scored is null there."""
        path.write_text(json.dumps(_plain(self.summary()), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _plain(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: _plain(value) for key, value in told.items()}
    if isinstance(told, float):
        return None if np.isnan(told) else round(told, 6)
    return told
