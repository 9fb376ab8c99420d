"""What verification found: the counts, some examples of each kind, and whether that is a pass."""

from dataclasses import dataclass, field
from typing import Literal

Delivery = Literal["exactly_once", "at_least_once"]
KINDS = ("missing", "duplicated", "reordered", "different", "unexpected")


@dataclass(slots=True)
class Counts:
    """Of one topic, over all partitions."""

    expected: int = 0  # entries that must be there once
    seen: int = 0  # records that were read
    missing: int = 0
    duplicated: int = 0
    reordered: int = 0
    different: int = 0
    unexpected: int = 0


@dataclass(slots=True)
class Example:
    """One finding."""

    kind: str  # of KINDS, after "dead letter " where it is one
    partition: int
    offset: int  # of the input record
    key: bytes | None
    expected: str
    seen: str

    def __str__(self) -> str:
        return (
            f"{self.kind}: partition {self.partition}, offset {self.offset}, key {self.key!r}: "
            f"expected {self.expected or 'nothing'}, seen {self.seen or 'nothing'}"
        )


@dataclass(slots=True)
class VerifyResult:
    """The output topic held against the offline reference."""

    delivery: Delivery
    outputs: Counts = field(default_factory=Counts)
    letters: Counts | None = None  # None: no dead-letter topic was given
    events: int = 0  # input records read
    dead: int = 0  # input records that must have become dead letters
    seconds: float = 0.0
    examples: list[Example] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Nothing was found that this delivery forbids."""
        return all(self._sound(counts) for counts in (self.outputs, self.letters) if counts is not None)

    def _sound(self, counts: Counts) -> bool:
        # At least once may repeat, in which case the repeated run is out of order only where it repeats; an output
        # that comes first after a later one is an error in both. A copy that differs is counted as different.
        repeats = counts.duplicated if self.delivery == "exactly_once" else 0
        late = counts.reordered if counts is self.outputs else 0  # dead letters keep no order
        return not (counts.missing or counts.different or counts.unexpected or repeats or late)

    def as_dict(self) -> dict[str, object]:
        """For the JSON report."""
        counts = {kind: getattr(self.outputs, kind) for kind in KINDS}
        letters = self.letters
        return {
            "passed": self.passed,
            "checked": self.outputs.expected,
            "seen": self.outputs.seen,
            **counts,
            "events": self.events,
            "dead_letters": {"expected": self.dead}
            | ({} if letters is None else {"seen": letters.seen, **{kind: getattr(letters, kind) for kind in KINDS}}),
            "seconds": round(self.seconds, 3),
        }
