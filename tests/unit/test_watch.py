"""The look at the topics and the group from time to time: what it finds, and whether a broker answered."""

from collections.abc import Callable

import pytest

from stream.broker.admin import TopicInfo
from stream.errors import EnvironmentFault, Refused, Unavailable
from stream.state.questions import Answer
from stream.watch import AGAIN, EVERY, FIRST, Watch

IN, STATE = TopicInfo("in", 2, 1, "id-in", {}), TopicInfo("state", 2, 1, "id-state", {})


class World:
    """A clock, brokers, and what was heard of them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.fault: Exception | None = None
        self.orphans: set[int] = set()
        self.topics = {"in": IN, "state": STATE}
        self.heard: list[bool] = []
        self.watch = Watch(IN, STATE, self, self, self.heard.append, lambda: self.now)  # type: ignore[arg-type]

    def topic(self, name: str) -> TopicInfo | None:
        if self.fault is not None:
            raise self.fault
        return self.topics.get(name)

    def unowned(self, _: str, __: int) -> set[int]:
        return self.orphans

    def ask(self, call: Callable[[], object]) -> Answer[object]:
        answer: Answer[object] = Answer(there=True)
        try:
            answer.value = call()
        except Exception as error:
            answer.error = error
        return answer

    def look(self, after: float = EVERY) -> set[int]:
        """What a look after so many seconds finds."""
        self.now += after
        self.watch.turn()
        return self.watch.turn()


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("fault", "answered"), [(None, True), (Unavailable("no answer"), False), (Refused("no right"), True)]
)
def test_each_look_tells_whether_a_broker_answered(world: World, fault: Exception | None, answered: bool) -> None:
    world.fault = fault
    assert world.look() == set()
    assert world.heard == [answered]


def test_it_goes_on_looking_while_no_broker_answers(world: World) -> None:
    world.fault = Unavailable("no answer")
    world.look()
    world.look()
    world.fault = None
    world.look()
    assert world.heard == [False, False, True]


def test_a_partition_that_two_looks_in_a_row_find_without_an_owner_is_told(world: World) -> None:
    world.orphans = {1}
    assert world.look(FIRST) == set()
    assert world.look(AGAIN) == {1}


def test_a_topic_that_is_no_longer_what_it_was_ends_the_service(world: World) -> None:
    world.topics["in"] = TopicInfo("in", 3, 1, "id-in", {})
    with pytest.raises(EnvironmentFault, match="has 3 partitions, and had 2"):
        world.look()
