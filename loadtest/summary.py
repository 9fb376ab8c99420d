"""The figures of one load test, as they go into the JSON report. No Kafka, no terminal."""

from dataclasses import asdict, dataclass, field
from typing import Literal

from loadtest.findings import VerifyResult
from loadtest.follower import Followed
from loadtest.latency import PERCENTILES, figures_ms
from loadtest.offer import Offered
from loadtest.ramp import Ramp
from loadtest.timeline import Timeline

Mode = Literal["offer", "ramp", "preload", "drain", "verify"]


@dataclass(slots=True)
class Summary:
    """What was done and seen; what was not done is None."""

    mode: Mode
    client: str
    rate: float = 0.0  # asked for; 0: as fast as possible
    offered: Offered | None = None
    followed: Followed | None = None
    verified: VerifyResult | None = None
    ramp: Ramp | None = None  # then the other figures are those of the highest rate that was borne
    timeline: Timeline | None = None
    kills: int | None = None  # of the service; None: it was not to be killed
    facts: dict[str, object] = field(default_factory=dict)  # what was run, on what, with what

    @property
    def cpu_us_per_event(self) -> float | None:
        """CPU of the watched service, its start included, over the outputs that arrived; microseconds.

        None of a ramp: its CPU is that of all rates, its outputs are those of one.
        """
        if self.ramp is not None or self.timeline is None or self.timeline.cpu_seconds is None or self.followed is None:
            return None
        return self.timeline.cpu_seconds / self.followed.events * 1e6 if self.followed.events else None

    @property
    def killed(self) -> str:
        """The kills in words; "" where there were none."""
        return f"{self.kills} {'kill' if self.kills == 1 else 'kills'}" if self.kills else ""

    @property
    def events_per_second(self) -> float | None:
        """Outputs a second; of a preload, events offered a second.

        Over the time from the first event's intended time to the last output read; in a drain from the first read to
        the last, without what the first one brought.
        """
        if self.followed is None:
            return self.offered_per_second
        if self.offered is None:
            return self.followed.drained_per_second
        took = self.followed.last_us / 1e6 - self.offered.started / 1e3
        return self.followed.events / took if took > 0 else None

    @property
    def offered_per_second(self) -> float | None:
        """Events acknowledged by the broker a second."""
        if self.offered is None or not self.offered.seconds:
            return None
        return self.offered.events / self.offered.seconds

    @property
    def latency_ms(self) -> dict[str, float]:
        """Percentiles; empty where none was measured: a drain's events waited for the test, not for the service."""
        return {} if self.followed is None or self.mode == "drain" else figures_ms(self.followed.latencies())

    @property
    def percentiles_ms(self) -> list[tuple[float, float]]:
        """The whole curve: (percentile, milliseconds), denser towards 100; empty where none was measured."""
        if not self.latency_ms or self.followed is None:
            return []
        values = self.followed.latencies().get_percentile_iterator(5)
        return [(round(v.percentile_level_iterated_to, 6), v.value_iterated_to / 1000) for v in values]

    @property
    def passed(self) -> bool:
        """Verification decides where there was one, else whether all outputs arrived; and a ramp has to find a rate."""
        if self.ramp is not None and self.ramp.best is None:
            return False
        if self.verified is not None:
            return self.verified.passed
        return self.followed is None or self.followed.complete

    def as_dict(self) -> dict[str, object]:
        """For the JSON report. Figures that were not measured are null."""
        latency = self.latency_ms
        offered, followed = self.offered, self.followed
        return {
            "mode": self.mode,
            "client": self.client,
            "rate": self.rate,
            "events": offered.events if offered else followed.events if followed else 0,
            "predictions": followed.events if followed else None,
            "complete": followed.complete if followed else None,
            "events_per_second": _rounded(self.events_per_second),
            "offered_per_second": _rounded(self.offered_per_second),
            "offered_late_ms": _rounded(offered.late) if offered else None,
            "latency_ms": {name: latency.get(name) for name in (*PERCENTILES, "max")},
            "cpu_us_per_event": _rounded(self.cpu_us_per_event),
            "ramp": self.ramp.as_dict() if self.ramp else None,
            "kills": self.kills,
            "verify": self.verified.as_dict() | {"examples": list(map(str, self.verified.examples))}
            if self.verified
            else None,
            "passed": self.passed,
            **self.facts,
            "percentiles_ms": self.percentiles_ms,
            "timeline": asdict(self.timeline) if self.timeline else None,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
