"""What a run found: the figures, what is wrong with them, the table and the JSON file. Pure but for the file."""

from dataclasses import dataclass, field
from pathlib import Path

import orjson

from loadtest.findings import VerifyResult
from tests.chaos.faults import KINDS, Kind
from tests.chaos.instances import Ended

FOUND = ("missing", "duplicated", "reordered", "different", "unexpected")


def _found_no_broker(end: Ended) -> bool:
    """Whether it was started while the broker was down, and gave up after 10 s, as it should: it is started again."""
    away = ("cannot reach Kafka at", "KafkaConnectionError", "NodeNotReadyError", "gave no answer in time")
    return (
        end.code == 1
        and not end.wanted
        and end.line.startswith("statecast: cannot")
        and any(what in end.line for what in away)
    )


@dataclass(slots=True)
class Report:
    """One run."""

    seed: int
    client: str
    delivery: str
    instances: int
    state_ttl: float | None  # seconds; None: for ever
    ceiling: int | None  # streams that an instance has memory for; None: all
    folder: str  # with the logs
    seconds: float = 0.0  # under load
    sent: int = 0  # records
    faults: dict[Kind, int] = field(default_factory=dict)
    worst: float = 0.0  # seconds without any output
    worst_of_one: float = 0.0  # seconds without an output of some partition
    caught_up: float | None = None  # seconds after the load; None: it did not
    verified: VerifyResult | None = None
    ends: list[Ended] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)  # what else went wrong

    def wrong(self) -> list[str]:
        """Everything that must not be, a line each."""
        lines = [*self.troubles]
        lines += [
            f"{end.instance} ended with {end.code} {'after SIGTERM' if end.wanted else 'by itself'}: {end.line[:500]}"
            for end in self.ends
            if not _found_no_broker(end)
        ]
        if self.caught_up is None:
            lines.append("the output did not catch up with the input")
        if self.verified is None:
            lines.append("nothing was verified")
        elif not self.verified.passed:
            lines += ["the output is not what it must be", *map(str, self.verified.examples)]
        elif not self.verified.outputs.seen:
            lines.append("there was no output at all")
        return lines

    def as_dict(self) -> dict[str, object]:
        """For chaos.json."""
        found = self.verified
        letters = found.letters if found is not None else None
        return {
            "passed": not self.wrong(),
            "seed": self.seed,
            "client": self.client,
            "delivery": self.delivery,
            "instances": self.instances,
            "state_ttl": self.state_ttl,
            "ceiling": self.ceiling,
            "seconds": round(self.seconds, 1),
            "events": found.events if found is not None else self.sent,
            "faults": {kind: self.faults.get(kind, 0) for kind in KINDS},
            "outputs": found.outputs.seen if found is not None else None,
            **{kind: getattr(found.outputs, kind) if found is not None else None for kind in FOUND},
            "dead_letters": {
                "expected": found.dead if found is not None else None,
                "seen": letters.seen if letters is not None else None,
                **{kind: getattr(letters, kind) if letters is not None else None for kind in FOUND},
            },
            "worst_seconds_without_output": round(self.worst, 2),
            "worst_seconds_without_output_of_a_partition": round(self.worst_of_one, 2),
            "seconds_to_catch_up": None if self.caught_up is None else round(self.caught_up, 1),
            "ended": [
                {"instance": end.instance, "code": end.code, "told_to": end.wanted, "line": end.line}
                for end in self.ends
            ],
            "wrong": self.wrong(),
        }

    def table(self) -> str:
        """For people."""
        figures = self.as_dict()
        rows = [(name.replace("_", " "), figures[name]) for name in ("seed", "client", "delivery", "instances")]
        rows += [("state ttl", "for ever" if self.state_ttl is None else f"{self.state_ttl:g} s")]
        rows += [("memory for", "all streams" if self.ceiling is None else f"{self.ceiling:,} streams an instance")]
        rows += [("under load", f"{self.seconds:.0f} s, {self.sent:,} records")]
        rows += [(KINDS[kind], count) for kind, count in self.faults.items()]
        if self.verified is not None:
            for name, counts in (("outputs", self.verified.outputs), ("dead letters", self.verified.letters)):
                if counts is not None:
                    found = ", ".join(f"{getattr(counts, kind):,} {kind}" for kind in FOUND)
                    rows.append((name, f"{counts.expected:,} expected, {counts.seen:,} seen: {found}"))
        rows += [("longest silence", f"{self.worst:.1f} s; of one partition {self.worst_of_one:.1f} s")]
        if self.caught_up is not None:
            rows.append(("caught up", f"{self.caught_up:.1f} s after the load"))
        rows += [("verdict", "FAILED" if self.wrong() else "every event has exactly its outcome")]
        width = max(len(name) for name, _ in rows)
        return "\n".join([f"{name:<{width}}  {text}" for name, text in rows] + [f"  {line}" for line in self.wrong()])

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_bytes(orjson.dumps(self.as_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
