"""A worker that has siblings under one parent. With --until-end it stays until all of them have reached the end: a
partition that moves between two of them would otherwise be left to nobody. With nothing but halted partitions it stays,
too, and complains at its end: the siblings' partitions go on.
"""

from collections.abc import Callable

from stream.child import Standing
from stream.partitions import Phase
from stream.worker import Plan, Rooms, Worker


class Member(Worker):
    """`standing`, `reached`, `working` and `partitions` may be read on another thread."""

    def __init__(
        self,
        plan: Plan,
        rooms: Rooms,
        stopping: Callable[[], bool],
        clock: Callable[[], float],
        *,
        released: Callable[[], bool],
    ) -> None:
        """released: whether nothing is left to do for any of them."""
        super().__init__(plan, rooms, stopping, clock)
        rooms.admission.stays = True
        self._joined = False
        self._released = released
        self.partitions = plan.partitions  # of the input
        self.reached: frozenset[int] = frozenset()  # partitions whose end was committed here, or that are halted
        self.working = True  # whether something that is here has not reached its end

    @property
    def standing(self) -> Standing:
        phases = {p.phase for p in list(self._group.partitions.values())}
        if phases == {Phase.HALTED}:
            return Standing.HALTED
        if not self._link.answers:
            return Standing.ON_THE_WAY
        if not phases and self._joined:
            return Standing.EMPTY
        return Standing.READY if phases == {Phase.LIVE} else Standing.ON_THE_WAY

    def _turn(self) -> None:
        self._joined = True
        super()._turn()

    def _ended(self) -> bool:
        at_end = super()._ended()
        if at_end and not self._group.moved:
            done = (*self._group.in_phase(Phase.LIVE), *self._group.in_phase(Phase.HALTED))
            self.reached |= {p.number for p in done}
        self.working = bool(self._group.partitions) and not at_end
        return self._plan.until_end and self._released() and not self.working

    def _miss(self) -> None:
        """The parent knows what none of them has."""
