"""One input partition's way through this process: assigned -> restoring -> live -> gone. Pure; the loop moves it.

Invariants: `mark` is the position that the broker's committed offset and the bank's last `keep` agree on; what lies
between `mark` and `position` can still be put back. Events below `until` were predicted before this process had the
partition: they are stepped silently.
"""

from dataclasses import dataclass
from enum import Enum


class Phase(Enum):
    ASSIGNED = "assigned"  # paused; the committed offset is not known yet
    RESTORING = "restoring"  # its streams' rows are being rebuilt
    LIVE = "live"


@dataclass(slots=True)
class Partition:
    number: int
    phase: Phase = Phase.ASSIGNED
    until: int = 0  # the committed offset that a restore has to reach
    position: int = 0  # the offset after the last event that was processed
    mark: int = 0  # position at the last keep
    began: float = 0.0  # when the restore began, seconds of the loop's clock

    @property
    def moved(self) -> bool:
        """Whether there is something to commit, or to put back."""
        return self.position != self.mark

    @property
    def uncommitted(self) -> bool:
        """Whether a commit would move the committed offset: what was only restored lies below it already."""
        return self.position > max(self.mark, self.until)

    def restore(self, begin: int, until: int, now: float) -> None:
        """The committed offset is known: rebuild from `begin`."""
        self.phase = Phase.RESTORING if begin < until else Phase.LIVE
        self.position = self.mark = begin
        self.until = until
        self.began = now

    def rewind(self) -> None:
        """Back to the mark; what lay between did not happen. A restore's last steps are then to be taken again."""
        self.position = self.mark
        if self.position < self.until:
            self.phase = Phase.RESTORING

    def settle(self) -> None:
        """What was done stands."""
        self.mark = self.position
