"""What the brokers know of a topic's offsets, asked beside the consumer, on handles of their own.

The consumer that is subscribed must not be asked: after a broker was away, its `committed` was seen to time out until
the application polled again, which who asks must not do. Nor must librdkafka's admin client: where a coordinator did
not answer, it ended the process with a failed assertion. So these are consumers that never subscribe; one whose
question failed is replaced, for what it knows of leaders and coordinators may be from before a restart.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream.broker.deadline import abandon
from stream.broker.librdkafka import REFUSED, Watch, fault, made
from stream.broker.port import Identity
from stream.errors import Unavailable

T = TypeVar("T")

ATTEMPT_SECONDS = 5.0  # after which a handle that does not answer is replaced


class Offsets:
    """Committed offsets, first and last offsets of one topic."""

    def __init__(self, identity: Identity, topic: str, conf: dict[str, Any], watch: Watch) -> None:
        self._identity = identity
        self._topic = topic
        self._conf = {**conf, "group.id": identity.group, "enable.auto.commit": False}
        self._watch = watch
        self._askers: dict[str, Any] = {}  # by isolation level

    def committed(self, partitions: Sequence[int], timeout: float) -> dict[int, int | None]:
        """As `Source.committed`."""

        def ask(asker: Any, seconds: float) -> dict[int, int | None]:
            found: dict[int, int | None] = {}
            for tp in asker.committed([TopicPartition(self._topic, p) for p in partitions], timeout=seconds):
                if tp.error is not None:
                    raise KafkaException(tp.error)
                found[tp.partition] = tp.offset if tp.offset >= 0 else None
            return found

        doing = f"read the committed offsets of group {self._identity.group}"
        return self._ask(doing, "read_committed", ask, timeout) if partitions else {}

    def watermarks(self, partition: int, timeout: float) -> tuple[int, int]:
        """As `Source.watermarks`."""
        return self._marks(partition, "read_uncommitted", timeout)

    def ends(self, partitions: Sequence[int], timeout: float) -> dict[int, int]:
        """As `Source.end_offsets`."""
        deadline = time.monotonic() + timeout
        return {p: self._marks(p, "read_committed", deadline - time.monotonic())[1] for p in partitions}

    def close(self) -> None:
        """Let go, without waiting."""
        for isolation in list(self._askers):
            self._drop(isolation)

    def _marks(self, partition: int, isolation: str, timeout: float) -> tuple[int, int]:
        tp = TopicPartition(self._topic, partition)

        def ask(asker: Any, seconds: float) -> tuple[int, int]:
            marks = asker.get_watermark_offsets(tp, timeout=seconds)
            if marks is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            return int(marks[0]), int(marks[1])

        return self._ask(f"read the offsets of topic {self._topic}", isolation, ask, timeout)

    def _ask(self, doing: str, isolation: str, ask: Callable[[Any, float], T], timeout: float) -> T:
        deadline = time.monotonic() + timeout
        why = "no answer in time"
        while (left := deadline - time.monotonic()) > 0:
            asker = self._askers.get(isolation)
            if asker is None:
                asker = self._askers[isolation] = made(Consumer, {**self._conf, "isolation.level": isolation})
            try:
                return ask(asker, min(left, ATTEMPT_SECONDS))
            except KafkaException as raised:
                asker.poll(0)  # serves the error callback; there is nothing else to come
                self._watch.check()
                error = raised.args[0]
                if error.code() in REFUSED:
                    raise fault(error, doing) from None
                why = error.str()
                self._drop(isolation)
        raise Unavailable(f"cannot {doing}: {why}")

    def _drop(self, isolation: str) -> None:
        abandon(self._askers.pop(isolation).close, "asker")
