"""The partitions that this process has: as the client's listener hears of them, and as the loop takes them up.

The listener runs inside a poll. It notes what happened, and commits what a revocation would take away; the loop acts on
the notes when the poll has returned.
"""

from collections.abc import Callable, Mapping, Sequence

from stream.errors import SinkFailed
from stream.partitions import COMMITTING, Partition, Phase


class Group:
    """The table of partitions, and the notes about what is to change in it."""

    commit: Callable[[], None]  # makes everything done so far durable; called where partitions are about to go

    def __init__(self) -> None:
        self.partitions: dict[int, Partition] = {}
        self._notes: list[tuple[str, list[int]]] = []
        self._failure: Exception | None = None
        self.may_commit = False  # whether a delivery is open, so that a revocation can commit

    # The listener.

    def assigned(self, partitions: Sequence[int]) -> None:
        self._notes.append(("assigned", list(partitions)))

    def revoked(self, partitions: Sequence[int]) -> None:
        if self.may_commit and self._failure is None:
            try:
                if any(what == "lost" for what, _ in self._notes):  # in this very poll: their events are not to stand
                    raise SinkFailed("partitions were lost before their events were committed")
                self.commit()
            except Exception as error:  # the client library must not see it; the loop does, at once
                self._failure = error
        self._notes.append(("revoked", list(partitions)))

    def lost(self, partitions: Sequence[int]) -> None:
        self._notes.append(("lost", list(partitions)))

    # The loop.

    def take_failure(self) -> Exception | None:
        """What the commit of a revocation raised, once."""
        failure, self._failure = self._failure, None
        return failure

    def take_notes(self) -> list[tuple[str, list[int]]]:
        """("assigned", "revoked" or "lost", partitions) in the order in which they happened, once."""
        notes, self._notes = self._notes, []
        return notes

    def gone(self) -> list[Partition]:
        """Partitions that the listener has seen go, and the loop has not taken out yet."""
        numbers = {number for what, numbers in self._notes if what != "assigned" for number in numbers}
        return [p for n, p in self.partitions.items() if n in numbers]

    def present(self) -> list[Partition]:
        """Partitions that the listener has not seen go."""
        gone = {p.number for p in self.gone()}
        return [p for n, p in self.partitions.items() if n not in gone]

    def committing(self) -> list[Partition]:
        """Partitions whose place a commit can tell. Not one that has gone: who has it now commits it, and the brokers
        would take this process's word, too."""
        return [p for p in self.present() if p.phase in COMMITTING]

    def __getitem__(self, number: int) -> Partition:
        return self.partitions[number]

    def in_phase(self, phase: Phase) -> list[Partition]:
        """Partitions at this point of their way. Safe to ask from another thread."""
        return [p for p in list(self.partitions.values()) if p.phase is phase]

    @property
    def ready(self) -> bool:
        """Whether there are partitions here, and each is live. Safe to ask from another thread."""
        partitions = list(self.partitions.values())
        return bool(partitions) and all(p.phase is Phase.LIVE for p in partitions)

    @property
    def on_the_way(self) -> bool:
        """Whether some partition is still on its way to being live."""
        return any(p.phase not in (Phase.LIVE, Phase.HALTED) for p in self.partitions.values())

    @property
    def moved(self) -> bool:
        """Whether there is something to commit, or to put back."""
        return any(p.moved for p in self.partitions.values())

    def until(self) -> Mapping[int, int]:
        """Partition -> the offset below which events are stepped silently."""
        return {n: p.until for n, p in self.partitions.items()}

    def settle(self) -> None:
        """What was done stands."""
        for partition in self.partitions.values():
            partition.settle()

    def rewind(self) -> None:
        """What was done since the last settling did not happen."""
        for partition in self.partitions.values():
            partition.rewind()

    def forget(self) -> None:
        """No partition is here any more, whatever was noted."""
        self.partitions.clear()
        self._notes.clear()
        self._failure = None
