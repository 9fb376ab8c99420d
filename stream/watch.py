"""What changes under a running service: topics that are deleted, made anew or given more partitions, and partitions
that nobody owns. Asked on another thread."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from stream.broker.admin import TopicInfo
from stream.errors import BrokerFault, EnvironmentFault, Unavailable
from stream.state.questions import Answer, Questions

FIRST = 2.0  # seconds after the start: a restart is what leaves partitions without an owner
AGAIN = 1.0  # seconds from a look that found partitions without an owner to the one that makes sure
EVERY = 5.0  # seconds; a look costs the brokers four small requests


class Looks(Protocol):
    """Asks the brokers, and waits. Raises BrokerFault."""

    def topic(self, name: str) -> TopicInfo | None:
        """The topic as it is now; None where it is not there."""

    def unowned(self, topic: str, partitions: int) -> set[int]:
        """Partitions that no member of the group has, though it is at rest."""


@dataclass(frozen=True, slots=True)
class _Found:
    topics: Mapping[str, TopicInfo | None]  # by option
    unowned: set[int]


class Watch:
    """The topics as they were at the start, and the group that shares the input."""

    def __init__(
        self,
        source: TopicInfo,
        changelog: TopicInfo,
        looks: Looks,
        questions: Questions,
        heard: Callable[[bool], None],
        clock: Callable[[], float],
    ) -> None:
        """heard: is told, on the thread that asks, whether a broker answered."""
        self._source = source
        self._topics = {"--input-topic": source, "changelog": changelog}  # by what messages call them
        self._looks = looks
        self._questions = questions
        self._heard = heard
        self._clock = clock
        self._next = clock() + FIRST
        self._asked: Answer[_Found] | None = None
        self._unowned: set[int] = set()  # at the last look

    def turn(self) -> set[int]:
        """Look from time to time. Partitions that two looks in a row found without an owner, mostly none: between the
        rounds of a rebalance they have none for a moment. Raises EnvironmentFault where a topic is not what it was."""
        if self._asked is not None and self._asked.there:
            asked, self._asked = self._asked, None
            self._next = self._clock() + EVERY
            try:
                found = asked.get()
            except BrokerFault:
                return set()  # whoever needs the broker says so
            for option, topic in found.topics.items():
                check(option, self._topics[option], topic)
            still = self._unowned & found.unowned
            self._unowned = found.unowned - still
            if self._unowned:
                self._next = self._clock() + AGAIN
            return still
        if self._asked is None and self._clock() >= self._next:
            self._asked = self._questions.ask(self._look)
        return set()

    def _look(self) -> _Found:
        try:
            found = _Found(
                {option: self._looks.topic(topic.name) for option, topic in self._topics.items()},
                self._looks.unowned(self._source.name, self._source.partitions),
            )
        except BrokerFault as error:
            self._heard(not isinstance(error, Unavailable))  # a refusal is an answer
            raise
        self._heard(True)
        return found


def check(option: str, before: TopicInfo, now: TopicInfo | None) -> None:
    """Raise EnvironmentFault where a topic is not what it was."""
    name = f"{option} {before.name}"
    if now is None:
        raise EnvironmentFault(f"{name}: was deleted; create it, and start anew under another --application-id")
    if before.topic_id and now.topic_id and before.topic_id != now.topic_id:
        raise EnvironmentFault(
            f"{name}: was deleted and made anew (id {before.topic_id}, now {now.topic_id}); start anew under another "
            "--application-id"
        )
    if now.partitions != before.partitions:
        raise EnvironmentFault(
            f"{name}: has {now.partitions} partitions, and had {before.partitions}: keys now go to other partitions, "
            "away from their streams' state. Start anew under another --application-id, with new topics"
        )
