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
from stream.broker.librdkafka import REFUSED, Watch, fault, made, settings
from stream.broker.port import Identity
from stream.errors import Unavailable

T = TypeVar("T")

ATTEMPT_SECONDS = 5.0  # after which a handle that does not answer is replaced


class ConfluentOffsets:
    """Offsets of one topic, asked of librdkafka."""

    def __init__(self, identity: Identity, topic: str) -> None:
        self._group = identity.group
        self._topic = topic
        self._watch = Watch(identity.bootstrap_servers)
        self._conf = {**settings(identity, self._watch), "group.id": identity.group, "enable.auto.commit": False}
        self._askers: dict[str, Any] = {}  # by isolation level

    def committed(self, partitions: Sequence[int], timeout: float) -> dict[int, int | None]:
        def ask(asker: Any, seconds: float) -> dict[int, int | None]:
            found: dict[int, int | None] = {}
            for tp in asker.committed([TopicPartition(self._topic, p) for p in partitions], timeout=seconds):
                if tp.error is not None:
                    raise KafkaException(tp.error)
                found[tp.partition] = tp.offset if tp.offset >= 0 else None
            return found

        doing = f"read the committed offsets of group {self._group}"
        return self._ask(doing, "read_committed", ask, timeout) if partitions else {}

    def watermarks(self, partitions: Sequence[int], timeout: float) -> dict[int, tuple[int, int]]:
        return self._marks(partitions, "read_uncommitted", timeout)

    def ends(self, partitions: Sequence[int], timeout: float) -> dict[int, int]:
        return {p: end for p, (_, end) in self._marks(partitions, "read_committed", timeout).items()}

    def at_time(self, partition: int, time: int, timeout: float) -> int | None:
        def ask(asker: Any, seconds: float) -> int | None:
            (found,) = asker.offsets_for_times([TopicPartition(self._topic, partition, time)], timeout=seconds)
            if found.error is not None:
                raise KafkaException(found.error)
            return found.offset if found.offset >= 0 else None

        # Uncommitted ones count: where None is the answer, whoever begins at the high watermark misses nothing.
        return self._ask(f"look up a time in topic {self._topic}", "read_uncommitted", ask, timeout)

    def close(self) -> None:
        for isolation in list(self._askers):
            self._drop(isolation)

    def _marks(self, partitions: Sequence[int], isolation: str, timeout: float) -> dict[int, tuple[int, int]]:
        deadline = time.monotonic() + timeout
        doing = f"read the offsets of topic {self._topic}"
        found: dict[int, tuple[int, int]] = {}
        for partition in partitions:
            tp = TopicPartition(self._topic, partition)

            def ask(asker: Any, seconds: float, tp: TopicPartition = tp) -> tuple[int, int]:
                marks = asker.get_watermark_offsets(tp, timeout=seconds)
                if marks is None:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
                return int(marks[0]), int(marks[1])

            found[partition] = self._ask(doing, isolation, ask, deadline - time.monotonic())
        return found

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
                error = raised.args[0]
                why = error.str()
                self._drop(isolation)
                self._watch.check()
                if error.code() in REFUSED:
                    raise fault(error, doing) from None
        raise Unavailable(f"cannot {doing}: {why}")

    def _drop(self, isolation: str) -> None:
        abandon(self._askers.pop(isolation).close, "asker")
