"""Topics that change under a running service: deleted, made anew, given more partitions. Asked on another thread."""

from collections.abc import Callable, Mapping

from stream.broker.admin import TopicInfo
from stream.errors import BrokerFault, EnvironmentFault, Unavailable
from stream.state.questions import Answer, Questions

EVERY = 10.0  # seconds


class Watch:
    """The topics as they were at the start."""

    def __init__(
        self,
        topics: Mapping[str, TopicInfo],
        describe: Callable[[str], TopicInfo | None],
        questions: Questions,
        clock: Callable[[], float],
    ) -> None:
        """topics: option -> what stands there; describe: asks the brokers, and waits."""
        self._topics = topics
        self._describe = describe
        self._questions = questions
        self._clock = clock
        self._next = clock() + EVERY
        self._asked: Answer[dict[str, TopicInfo | None]] | None = None

    def turn(self) -> None:
        """Look from time to time. Raises EnvironmentFault where a topic is not what it was."""
        if self._asked is not None and self._asked.there:
            asked, self._asked = self._asked, None
            self._next = self._clock() + EVERY
            try:
                found = asked.get()
            except (Unavailable, BrokerFault):
                return  # whoever needs the broker says so
            for option, topic in found.items():
                check(option, self._topics[option], topic)
        elif self._asked is None and self._clock() >= self._next:
            self._asked = self._questions.ask(
                lambda: {option: self._describe(topic.name) for option, topic in self._topics.items()}
            )


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
