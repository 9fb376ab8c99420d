"""The books that are kept while predictions arrive: what the live table shows. No Kafka, no clock, no screen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demo.topics import Output
from demo.weather import Events


@dataclass
class Line:
    """One stream as of its last prediction, in its unit."""

    time: int = 0  # of its last event, milliseconds since the epoch
    actual: float = float("nan")  # of its last event
    said: float | None = None  # what was predicted for that event
    prediction: float | None = None  # for its next event
    lower: float | None = None
    upper: float | None = None
    surprise: float | None = None  # of its last event
    scored: int = 0
    error: float = 0.0  # the model's absolute error, summed over the scored events
    naive: float = 0.0  # persistence's
    seen: float = float("nan")  # the last value that was there

    @property
    def mae(self) -> tuple[float, float] | None:
        """(model, persistence), None as long as nothing has been scored."""
        return (self.error / self.scored, self.naive / self.scored) if self.scored else None


class Tally:
    """Takes outputs in their order; scores from the time `since` on (milliseconds since the epoch)."""

    def __init__(self, events: Events, since: int) -> None:
        places = events.streams()
        self._values: dict[str, NDArray[np.float64]] = {key: events.value[where] for key, where in places.items()}
        self._since = since
        self.lines = {key: Line() for key in places}
        self.count = 0

    def take(self, key: str, output: Output) -> None:
        """The output that has arrived next. One that is not the stream's next is left to the final comparison."""
        self.count += 1
        line = self.lines.get(key)
        if line is None or not 0 < output.step <= len(self._values[key]):
            return
        actual = float(self._values[key][output.step - 1])
        line.said = line.prediction
        if output.ts >= self._since and not np.isnan(actual - line.seen) and line.said is not None:
            line.scored += 1
            line.error += abs(actual - line.said)
            line.naive += abs(actual - line.seen)
        line.time, line.actual = output.ts, actual
        line.prediction, line.lower, line.upper = output.prediction, output.lower, output.upper
        line.surprise = output.surprise
        if not np.isnan(actual):
            line.seen = actual

    @property
    def gain(self) -> float | None:
        """The model's error against persistence's so far: the mean over streams of their ratio; None before that."""
        ratios = [line.error / line.naive for line in self.lines.values() if line.naive > 0]
        return float(np.mean(ratios)) if ratios else None
