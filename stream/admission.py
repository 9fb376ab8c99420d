"""From assigned to live: a partition's rows are loaded, where it begins is decided, what its rows lack is stepped, and
a commit claims it. A slice in each turn of the loop, beside the live partitions. Never waits for the broker.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from stream import metrics
from stream.broker.port import Source
from stream.errors import EnvironmentFault, Unavailable
from stream.group import Group
from stream.partitions import Partition, Phase
from stream.state.beginning import Found, Fresh, Names, Resume, WarmUp, beginning
from stream.state.keeper import Keeper
from stream.state.load import Load, Room
from stream.state.questions import Answer, Questions
from stream.state.restore import Halted, Restorer

log = structlog.get_logger()

TELL = 5.0  # seconds between two lines about progress
SLICE = 0.02  # seconds of loading in one turn of the loop


@dataclass(frozen=True, slots=True)
class Beginnings:
    """Where new state begins. The calls ask the brokers, on another thread."""

    names: Names
    input_topic_id: str | None
    warmup: float | None  # seconds of input that a new model builds its state from
    stretch: Callable[[int, int, float], int]  # (partition, until, seconds) -> the offset where that stretch begins
    first: Callable[[int], int]  # partition -> where a new application begins


class Admission:
    """The partitions that are on their way to being live."""

    stays = False  # whether a process that can serve none of its partitions waits for others

    def __init__(
        self,
        beginnings: Beginnings,
        group: Group,
        keeper: Keeper,
        restorer: Restorer,
        questions: Questions,
        clock: Callable[[], float],
    ) -> None:
        self._beginnings = beginnings
        self._group = group
        self._keeper = keeper
        self._restorer = restorer
        self._questions = questions
        self._clock = clock
        self._origins: dict[int, tuple[int | None, Callable[[], int], Answer[int]]] = {}
        self._to_flow: set[int] = set()

    def connect(self) -> None:
        """Waits for the broker. Before the first `start`."""
        self._restorer.connect()

    def close(self) -> None:
        """Let go."""
        self._restorer.close()

    @property
    def busy(self) -> bool:
        """Whether the next turn has something to do."""
        return self._restorer.busy or bool(self._origins)

    def start(self, number: int) -> None:
        """A partition was assigned."""
        self._restorer.start(number)

    def stop(self, number: int) -> None:
        """A partition goes."""
        self._restorer.stop(number)
        self._origins.pop(number, None)
        self._to_flow.discard(number)

    def turn(self, source: Source, room: Room) -> None:
        """Load a slice, and decide about what is loaded. Raises EnvironmentFault where a partition must not begin."""
        for done in self._restorer.turn(SLICE, room):
            partition = self._group[done.number]
            if isinstance(done, Halted):
                self._halt(partition, done.reason)
            else:
                self._decide(partition, done, room)
        self._hear_of_origins()
        self.flow(source)

    def _decide(self, partition: Partition, load: Load, room: Room) -> None:
        assert load.place is not None
        place, names = load.place, self._beginnings.names
        found = Found(
            load.number, load.marker, place.committed, place.begin, place.end, load.newest,
            self._beginnings.input_topic_id,
        )  # fmt: skip
        begin = beginning(found, names, warmup=self._beginnings.warmup is not None)
        if isinstance(begin, Resume):
            marker = begin.marker
            lacking = self._restorer.lacking(load, marker, room)
            if lacking is None:
                return
            self._keeper.compare(load.number, marker)
            self._keeper.begin(load.number, marker.clock)
            self._keeper.lacks(load.number, lacking, marker, self._clock())
            partition.origin, partition.lineage, partition.rules = marker.origin, marker.lineage, marker.rules
            partition.restore(begin.replay, begin.until)
            self._to_flow.add(load.number)
            log.info(
                "loaded",
                partition=load.number,
                rows=load.rows,
                seconds=round(self._clock() - partition.began, 3),
                replay=begin.until - partition.position,
            )
        else:
            self._ask_for_origin(partition.number, begin)

    def _ask_for_origin(self, number: int, begin: Fresh | WarmUp) -> None:
        there = self._beginnings
        if isinstance(begin, WarmUp):
            until, seconds = begin.until, there.warmup or 0.0
            call = lambda: there.stretch(number, until, seconds)  # noqa: E731
            self._origins[number] = until, call, self._questions.ask(call)
        else:
            call = lambda: there.first(number)  # noqa: E731
            self._origins[number] = None, call, self._questions.ask(call)

    def _hear_of_origins(self) -> None:
        for number, (until, call, answer) in list(self._origins.items()):
            if not answer.there:
                continue
            try:
                origin = answer.get()
            except Unavailable as error:
                log.warning("the_beginning_is_not_known_yet", partition=number, reason=str(error))
                self._origins[number] = until, call, self._questions.ask(call)
                continue
            del self._origins[number]
            partition = self._group[number]
            partition.origin, partition.lineage = origin, uuid.uuid4().hex
            self._keeper.begin(number, 0)
            if until is None:
                partition.restore(origin, origin)
                log.info("new_state", partition=number, origin=origin)
            else:
                # The origin is committed first, so that a crash in the warm-up leads to the same beginning.
                partition.phase = Phase.ORIGIN
                partition.position = partition.mark = partition.until = until
                log.info("warming_up", partition=number, origin=origin, until=until)

    def _halt(self, partition: Partition, reason: str) -> None:
        log.error("partition_halted", partition=partition.number, reason=reason)
        partition.phase, partition.halted = Phase.HALTED, reason
        self._keeper.drop(partition.number)
        if not self.stays and all(p.phase is Phase.HALTED for p in self._group.partitions.values()):
            raise EnvironmentFault(reason)

    # The last steps.

    def promote(self, source: Source) -> None:
        """Partitions that have stepped all they lacked are to be claimed."""
        for partition in self._group.in_phase(Phase.RESTORING):
            if max(partition.position, source.position(partition.number) or 0) >= partition.until:
                partition.phase = Phase.SETTLING
                partition.position = partition.until
                source.pause([partition.number])
            elif self._clock() - max(partition.told_at, partition.began) >= TELL:
                partition.told_at = self._clock()
                log.info("restoring", partition=partition.number, position=partition.position, until=partition.until)

    def committed(self) -> None:
        """A commit said where these partitions stand: their claim, or their origin, holds."""
        for partition in self._group.in_phase(Phase.ORIGIN):
            partition.restore(partition.origin, partition.until)
            self._to_flow.add(partition.number)
        for partition in self._group.in_phase(Phase.SETTLING):
            if partition.mark == partition.until and self._keeper.settled(partition):
                partition.phase = Phase.LIVE
                self._to_flow.add(partition.number)
                seconds = self._clock() - partition.began
                metrics.RESTORE.observe(seconds)
                log.info("live", partition=partition.number, seconds=round(seconds, 3))

    def again(self) -> None:
        """Let events come again, from where each partition stands."""
        self._to_flow.update(p.number for p in self._group.partitions.values())

    def flow(self, source: Source) -> None:
        """Let events of these partitions come."""
        for number in self._to_flow:
            partition = self._group[number]
            if partition.phase in (Phase.RESTORING, Phase.LIVE):
                source.seek(number, partition.position)
                source.resume([number])
        self._to_flow.clear()
