"""One input partition's way through this process. Pure; the loop moves it.

LOADING -> (ORIGIN ->) RESTORING -> SETTLING -> LIVE, or HALTED

Invariants: `mark` is the position at the bank's last `keep`; what lies between `mark` and `position` can still be put
back. Events below `until` were predicted before this process had the partition: they are stepped silently, by the
rules that were in force then. No event at or above `until` is stepped before a commit of this process has claimed the
partition: its marker then names whose transaction a successor may find open.
"""

from dataclasses import dataclass
from enum import Enum

from stream.state.changelog import Rules


class Phase(Enum):
    LOADING = "loading"  # paused; rows come from a snapshot and the changelog
    ORIGIN = "origin"  # paused; a new state is about to commit where it begins
    RESTORING = "restoring"  # the events that the changelog's rows lack are stepped
    SETTLING = "settling"  # all rows are those of the committed offset; about to be claimed by a commit
    LIVE = "live"
    HALTED = "halted"  # paused; its changelog cannot be used


COMMITTING = frozenset({Phase.ORIGIN, Phase.SETTLING, Phase.LIVE})  # a commit says where these stand


@dataclass(slots=True)
class Partition:
    number: int
    rules: Rules
    began: float  # when it was assigned, seconds of the loop's clock
    phase: Phase = Phase.LOADING
    origin: int = 0  # the offset where its state began
    lineage: str = ""
    replay: int = 0  # the offset from which a restore steps
    until: int = 0  # the committed offset that a restore has to reach
    position: int = 0  # the offset after the last event that was processed
    mark: int = 0  # position at the last keep
    halted: str = ""  # why
    told_at: float = 0.0  # when its progress was last told, seconds of the loop's clock

    @property
    def moved(self) -> bool:
        """Whether there is something to commit, or to put back."""
        return self.position != self.mark

    @property
    def place(self) -> int:
        """The input offset that a commit states: while restoring, the one that is committed already."""
        return max(self.position, self.until)

    @property
    def uncommitted(self) -> bool:
        """Whether a commit would move the committed offset: what was only restored lies below it already."""
        return self.position > max(self.mark, self.until)

    def restore(self, replay: int, until: int) -> None:
        """The rows are loaded: step what they lack."""
        self.phase = Phase.RESTORING if replay < until else Phase.SETTLING
        self.position = self.mark = self.replay = replay
        self.until = until

    def rewind(self) -> None:
        """Back to the mark; what lay between did not happen. A restore's last steps are then to be taken again."""
        self.position = self.mark
        if self.phase is Phase.SETTLING and self.position < self.until:
            self.phase = Phase.RESTORING

    def settle(self) -> None:
        """What was done stands."""
        self.mark = self.position
