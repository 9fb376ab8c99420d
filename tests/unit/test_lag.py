"""How many events wait: the end and a partition's place at one moment, for partitions whose place is known."""
# ruff: noqa: ARG002  # the port's parameters

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from stream import metrics
from stream.errors import Unavailable
from stream.group import Group
from stream.lag import EVERY, Lags
from stream.partitions import Partition, Phase
from stream.state.changelog import Rules
from stream.state.questions import Answer


class World:
    """Some partitions, what the brokers say of their ends, and questions that are answered when the test says so."""

    def __init__(self) -> None:
        self.group, self.high, self.away, self.now = Group(), {0: 100, 1: 100}, False, 0.0
        self.waiting: list[Callable[[], None]] = []
        self.before: Callable[[], None] = lambda: None  # called as the brokers answer
        self.lags = Lags(self.group, lambda: self, self)  # type: ignore[arg-type, return-value]

    def ask(self, call: Callable[[], Any]) -> Answer[Any]:
        answer: Answer[Any] = Answer()

        def run() -> None:
            try:
                answer.value = call()
            except Exception as error:
                answer.error = error
            answer.there = True

        self.waiting.append(run)
        return answer

    def ends(self, partitions: Sequence[int], timeout: float) -> dict[int, int]:
        if self.away:
            raise Unavailable("the broker is away")
        self.before()
        return {number: self.high[number] for number in partitions}

    def assign(self, number: int, phase: Phase, position: int = 0, until: int = 0) -> Partition:
        rules = Rules(None, 99, 999, "json")
        partition = Partition(number, rules, 0.0, phase, position=position, until=until)
        self.group.partitions[number] = partition
        return partition

    def turn(self, passed: int = 0) -> None:
        self.lags.turn(self.now, lambda partition: max(partition.position, passed))

    def measure(self, passed: int = 0) -> None:
        """One question, from the turn in which it is due to the one that hears the answer."""
        self.now += EVERY
        self.turn()
        for run in self.waiting:
            run()
        self.waiting.clear()
        self.turn(passed)

    def shown(self) -> dict[str, float]:
        """Partition -> the gauge."""
        return {sample.labels["partition"]: sample.value for sample in metrics.LAG.collect()[0].samples}


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    for number in (0, 1):
        world.lags.drop(number)


def test_lag_is_what_lies_between_a_partitions_place_and_its_end(world: World) -> None:
    world.assign(0, Phase.LIVE, position=60)
    world.assign(1, Phase.LIVE, position=100)
    assert world.lags.of(0) is None
    world.measure()
    assert (world.lags.of(0), world.lags.of(1)) == (40, 0)
    assert world.shown() == {"0": 40.0, "1": 0.0}


def test_under_load_the_place_is_that_of_the_moment_of_the_answer(world: World) -> None:
    partition = world.assign(0, Phase.LIVE, position=0)

    def answered() -> None:  # the loop goes on meanwhile
        partition.position, world.high[0] = 5000, 5010

    world.before = answered
    world.measure()
    assert world.lags.of(0) == 10


def test_a_partition_that_is_loaded_or_halted_has_none_and_one_that_is_restored_counts_from_the_committed_offset(
    world: World,
) -> None:
    world.assign(0, Phase.LOADING)
    world.assign(1, Phase.RESTORING, position=20, until=70)
    world.measure()
    assert (world.lags.of(0), world.lags.of(1)) == (None, 30)
    world.assign(0, Phase.HALTED)
    world.measure()
    assert world.lags.of(0) is None


def test_control_records_and_gaps_that_were_passed_are_no_lag(world: World) -> None:
    world.assign(0, Phase.LIVE, position=98)
    world.measure(passed=100)
    assert world.lags.of(0) == 0


def test_brokers_are_asked_once_at_a_time_and_not_at_every_turn(world: World) -> None:
    world.assign(0, Phase.LIVE, position=0)
    world.turn()
    for _ in range(5):
        world.turn()
    assert len(world.waiting) == 1
    world.waiting.pop()()
    world.turn()
    world.now += EVERY / 2
    world.turn()
    assert not world.waiting


def test_while_the_broker_is_away_the_last_lag_stands_and_it_is_asked_again(world: World) -> None:
    world.assign(0, Phase.LIVE, position=60)
    world.measure()
    world.away = True
    world.measure()
    assert world.lags.of(0) == 40
    world.away, world.high[0] = False, 101
    world.measure()
    assert world.lags.of(0) == 41


def test_a_partition_that_goes_takes_its_lag_with_it_also_one_that_is_being_asked_for(world: World) -> None:
    world.assign(0, Phase.LIVE, position=60)
    world.measure()
    world.now += EVERY
    world.turn()
    del world.group.partitions[0]
    world.lags.drop(0)
    world.assign(0, Phase.LOADING)  # it comes back as another
    world.waiting.pop()()
    world.turn()
    assert world.lags.of(0) is None
    assert world.shown() == {}
