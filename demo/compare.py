"""Holds what the output topic has against `statecast replay`: every input event, each exactly once, bit by bit.

Pure: columns in, a verdict out. In this data an event is known by its stream and its time, which no two share.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from demo.topics import Output

FIGURES = ("prediction", "lower", "upper", "surprise")
FAULTS = ("missing", "duplicated", "unexpected", "reordered", "different")
EXAMPLES = 5


@dataclass(frozen=True)
class Track:
    """One stream's outputs as columns, in the order in which they stand."""

    time: NDArray[np.int64]  # [outputs] the event's, milliseconds since the epoch
    step: NDArray[np.int64]  # [outputs]
    figures: NDArray[np.float32]  # [outputs, 4] FIGURES, NaN where null


@dataclass
class Verdict:
    """How many of each there are. `verified` is the demo's last word."""

    events: int = 0
    predictions: int = 0
    missing: int = 0  # events without a prediction
    duplicated: int = 0  # predictions beyond an event's first
    unexpected: int = 0  # predictions of no event
    reordered: int = 0  # predictions that stand after one of a later event of their stream
    different: int = 0  # predictions that are not what replay says, in step or in any bit
    examples: list[str] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """Exactly one prediction for every event, and each as replay has it."""
        return self.events > 0 and not any(getattr(self, fault) for fault in FAULTS)

    @property
    def told(self) -> str:
        """What is wrong, in one line."""
        faults = [f"{getattr(self, fault):,} {fault}" for fault in FAULTS if getattr(self, fault)]
        return f"of {self.events:,} events and {self.predictions:,} predictions {', '.join(faults) or 'none is there'}"


def tracks(outputs: Iterable[tuple[str, Output]]) -> dict[str, Track]:
    """(key, message) in order, as one track per stream."""
    gathered: dict[str, list[Output]] = {}
    for key, output in outputs:
        gathered.setdefault(key, []).append(output)
    return {
        key: Track(
            np.array([o.ts for o in each], np.int64),
            np.array([o.step for o in each], np.int64),
            # Through float64, as the service's own reader does; None becomes NaN.
            np.array([[getattr(o, name) for name in FIGURES] for o in each], np.float64).astype(np.float32),
        )
        for key, each in gathered.items()
    }


def compare(
    events: Mapping[str, NDArray[np.int64]], replayed: Mapping[str, Track], found: Mapping[str, Track]
) -> Verdict:
    """events: each stream's times, ascending, of all that was sent. replayed, found: by stream."""
    verdict = Verdict(events=sum(map(len, events.values())), predictions=sum(len(t.time) for t in found.values()))
    empty = Track(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, len(FIGURES)), np.float32))
    for key in sorted(set(events) | set(found)):
        _stream(key, events.get(key, np.zeros(0, np.int64)), replayed.get(key, empty), found.get(key, empty), verdict)
    return verdict


def _stream(key: str, times: NDArray[np.int64], replayed: Track, found: Track, verdict: Verdict) -> None:
    def note(what: str, when: NDArray[np.int64]) -> int:
        for moment in when[: max(0, EXAMPLES - len(verdict.examples))]:
            verdict.examples.append(f"{what}: {key} at {np.datetime64(int(moment), 'ms')}Z")
        return len(when)

    if not np.array_equal(replayed.time, times):
        verdict.different += note("not replayed", np.setxor1d(replayed.time, times)) or 1
        return
    known = np.isin(found.time, times)
    verdict.unexpected += note("unexpected", found.time[~known])
    place = np.searchsorted(times, found.time[known])
    present, first = np.unique(place, return_index=True)
    verdict.missing += note("missing", np.delete(times, present))
    verdict.duplicated += note("duplicated", times[np.delete(place, first)])
    in_order = place[np.sort(first)]  # the first prediction of each event, as they stand
    late = in_order[1:] < np.maximum.accumulate(in_order)[:-1]
    verdict.reordered += note("reordered", times[in_order[1:][late]])
    mine = np.flatnonzero(known)[first]
    same = (found.step[mine] == replayed.step[present]) & np.all(
        _bits(found.figures[mine]) == _bits(replayed.figures[present]), axis=1
    )
    verdict.different += note("different", times[present[~same]])


def _bits(figures: NDArray[np.float32]) -> NDArray[np.int32]:
    """The bits; all NaN are alike, for JSON knows only null."""
    return np.where(np.isnan(figures), np.float32(np.nan), figures).view(np.int32)
