"""The highest rate that a service bears: a search over rates, each offered for a while. No Kafka, no clock.

The rate doubles until the limit is passed (or falls, where the first one was too high), then the gap between the best
and the worst halves, on a scale of ratios. One failure may be the machine's, so a rate is too high only where it fails
twice in a row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

FINE = 1.1  # a step that fails and one that passes lie no further apart, at the end
LOWEST = 10.0  # events a second
DOWN = 4  # times lower is the next rate where the first one is too high
TRIES = 2


@dataclass(frozen=True, slots=True)
class Step:
    """A rate that was tried."""

    rate: float  # events a second
    p99_ms: float | None  # None: nothing arrived
    late_ms: float  # that the sender was behind its schedule, at most
    complete: bool  # every output arrived in time


@dataclass(slots=True)
class Ramp:
    """What was found."""

    limit_ms: float
    steps: list[Step]  # in the order in which they were tried

    def passes(self, step: Step) -> bool:
        """Whether the rate is borne."""
        return step.complete and step.p99_ms is not None and step.p99_ms < self.limit_ms

    @property
    def best(self) -> Step | None:
        """The highest rate that was borne."""
        return max((step for step in self.steps if self.passes(step)), key=lambda step: step.rate, default=None)

    @property
    def worst(self) -> Step | None:
        """The lowest rate above it that was not."""
        least = 0.0 if self.best is None else self.best.rate
        above = (step for step in self.steps if step.rate > least and not self.passes(step))
        return min(above, key=lambda step: step.rate, default=None)

    @property
    def verdict(self) -> str:
        """One line."""
        best, worst = self.best, self.worst
        if best is None:
            low = min(step.rate for step in self.steps)
            return f"no rate has a p99 below {self.limit_ms:,.0f} ms, not even {low:,.0f}/s"
        if worst is None:
            return f"{best.rate:,.0f}/s ({self._of(best)}), and the load test offers no more"
        sender = worst.late_ms >= self.limit_ms
        reason = "; there the sender itself fell behind: more --processes, or another machine" if sender else ""
        return f"{best.rate:,.0f}/s ({self._of(best)}); {worst.rate:,.0f}/s is too much ({self._of(worst)}){reason}"

    def _of(self, step: Step) -> str:
        figure = "nothing arrived" if step.p99_ms is None else f"p99 {step.p99_ms:,.1f} ms"
        return figure if step.complete else f"{figure}, not all arrived"

    def as_dict(self) -> dict[str, object]:
        """For the JSON report."""
        return {
            "p99_below_ms": self.limit_ms,
            "rate": None if self.best is None else self.best.rate,
            "steps": [
                {
                    "rate": step.rate,
                    "p99_ms": step.p99_ms,
                    "late_ms": round(step.late_ms, 1),
                    "complete": step.complete,
                    "passed": self.passes(step),
                }
                for step in self.steps
            ],
        }


def search(measure: Callable[[float], Step], first: float, highest: float, limit_ms: float) -> Ramp:
    """Try rates from `first` on, none above `highest`. measure: offers one for a while."""
    ramp = Ramp(limit_ms, [])

    def borne(rate: float) -> bool:
        for _ in range(TRIES):
            ramp.steps.append(measure(rate))
            if ramp.passes(ramp.steps[-1]):
                return True
            if not ramp.steps[-1].complete:
                return False  # what is left over would spoil whatever comes next
        return False

    low, high = 0.0, first
    while borne(high):
        if high >= highest:
            return ramp
        low, high = high, min(2 * high, highest)
    while low == 0.0 and ramp.steps[-1].complete and high > LOWEST:
        lower = max(LOWEST, high / DOWN)
        low, high = (lower, high) if borne(lower) else (low, lower)
    while low and high / low > FINE and ramp.steps[-1].complete:
        middle = sqrt(low * high)
        low, high = (middle, high) if borne(middle) else (low, middle)
    return ramp
