"""The figures of one load test, as they go into the JSON report. No Kafka, no terminal."""

from dataclasses import dataclass
from typing import Literal

from loadtest.findings import VerifyResult
from loadtest.follower import Followed
from loadtest.latency import PERCENTILES, figures_ms
from loadtest.offer import Offered

Mode = Literal["offer", "preload", "drain", "verify"]


@dataclass(slots=True)
class Summary:
    """What was done and seen; what was not done is None."""

    mode: Mode
    client: str
    rate: float = 0.0  # asked for; 0: as fast as possible
    offered: Offered | None = None
    followed: Followed | None = None
    verified: VerifyResult | None = None

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
    def passed(self) -> bool:
        """Verification decides where there was one; else whether every output arrived."""
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
            "verify": self.verified.as_dict() if self.verified else None,
            "passed": self.passed,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
