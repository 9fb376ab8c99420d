"""Where partitions stand, by the brokers: the questions of a restore, as calls that wait. For another thread."""

from collections.abc import Sequence
from dataclasses import dataclass

from stream.broker.port import Offsets
from stream.errors import Unavailable

STABLE = 1.0  # seconds that open transactions may take; who takes longer is taken for dead


@dataclass(frozen=True, slots=True)
class Place:
    """Where a partition stands, by the brokers. Offsets."""

    committed: int | None
    begin: int  # of the input
    end: int  # of the input, its high watermark
    state_end: int  # of the changelog, its high watermark after `committed` was known
    held: int | None = None  # the output's last stable offset, where an open transaction lies behind it


class Brokers:
    """The questions of a restore, as calls that wait."""

    def __init__(self, source: Offsets, state: Offsets, output: Offsets) -> None:
        """source: of the input topic; state: of the changelog; output: of the output topic."""
        self._source = source
        self._state = state
        self._output = output

    def locate(self, numbers: Sequence[int]) -> dict[int, Place]:
        """Where these partitions stand. Those that cannot be told now are left out; where none can, Unavailable."""
        found: dict[int, Place] = {}
        failure: Unavailable | None = None
        committed: dict[int, int | None] = {}
        try:
            committed = self._source.committed(numbers, STABLE)
        except Unavailable as error:
            failure = error
            if len(numbers) > 1:  # one that is held back must not hold back the others
                for number in numbers:
                    try:
                        committed |= self._source.committed([number], STABLE / 4)
                    except Unavailable:
                        continue
        if not committed and failure is not None:
            raise failure
        known = list(committed)
        inputs = self._source.watermarks(known, 5.0)
        states = self._state.watermarks(known, 5.0)
        held = self.held(known)
        for number in known:
            found[number] = Place(committed[number], *inputs[number], states[number][1], held.get(number))
        return found

    def held(self, numbers: Sequence[int]) -> dict[int, int]:
        """Those of the partitions whose output ends in an open transaction -> the offset where it begins."""
        stable, ends = self._output.ends(numbers, 5.0), self._output.watermarks(numbers, 5.0)
        return {n: stable[n] for n in numbers if stable[n] < ends[n][1]}
