"""The input topic read through librdkafka. The hot path is `poll`: whole columns, no Python per record.

Rebalance callbacks run inside `poll` and `close`, on the caller's thread.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.broker.admin import release_slot, remove_member
from stream.broker.deadline import Overdue, abandon, bounded
from stream.broker.gone import gone
from stream.broker.librdkafka import (
    FENCED_INSTANCE,
    GROUP_REFUSED,
    NO_TOPIC,
    OUT_OF_RANGE,
    REFUSED,
    GroupOf,
    Watch,
    columns,
    fault,
    made,
    partitions_of,
    reach,
    settings,
)
from stream.broker.port import Identity, Listener, Records
from stream.errors import Refused, SlotTaken, Unavailable

CLOSE = 10.0  # seconds
FETCH_LEAST = 1_000_000  # librdkafka takes no less, message.max.bytes


class ConfluentSource:
    """One member of the group on librdkafka."""

    def __init__(
        self,
        identity: Identity,
        topic: str,
        *,
        session_timeout: float,
        timeout: float,
        consumer_protocol: bool,
        ahead_bytes: int,
    ) -> None:
        self._identity = identity
        self._topic = topic
        self._watch = Watch(identity.bootstrap_servers)
        conf: dict[str, Any] = {
            "queued.min.messages": 100_000,
            "queued.max.messages.kbytes": max(1, ahead_bytes >> 10),  # over all partitions
            "fetch.message.max.bytes": min(1 << 20, ahead_bytes),
            "fetch.max.bytes": max(FETCH_LEAST, min(32 << 20, ahead_bytes)),
            "fetch.wait.max.ms": 100,
            "fetch.queue.backoff.ms": 5,
            **settings(identity, self._watch),
            "group.id": identity.group,
            "group.instance.id": identity.slot,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
        }
        self._consumer_protocol = consumer_protocol
        if consumer_protocol:
            conf["group.protocol"] = "consumer"  # the brokers set its session timeout and heartbeats
        else:
            conf["partition.assignment.strategy"] = "cooperative-sticky"
            conf["session.timeout.ms"] = int(session_timeout * 1000)
            conf["heartbeat.interval.ms"] = max(100, min(500, int(session_timeout * 1000 / 3)))
        self._consumer: Any = made(Consumer, conf)
        self._paused: set[int] = set()
        self._sought: dict[int, int] = {}  # where partitions were sent of which nothing was delivered since
        self._listener: Listener | None = None
        self._raised: BaseException | None = None
        try:
            reach(self._consumer, self._watch, identity.bootstrap_servers, timeout)
            partitions_of(self._consumer, topic, timeout)
        except BaseException:
            abandon(self._consumer.close, "consumer")
            raise

    def subscribe(self, listener: Listener) -> None:
        self._listener = listener
        if self._consumer_protocol:
            release_slot(self._identity)
        self._subscribe()

    def _subscribe(self) -> None:
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        if partitions:
            consumer.pause(partitions)  # here, after the assignment: else this same poll delivers records
            numbers = [p.partition for p in partitions]
            self._paused.update(numbers)
            self._tell("assigned", numbers)

    def _on_revoke(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        if partitions:
            self._tell("revoked", [p.partition for p in partitions])
            self._drop(consumer, partitions)

    def _on_lost(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        if partitions:
            self._tell("lost", [p.partition for p in partitions])
            self._drop(consumer, partitions)

    def _drop(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        for number in (p.partition for p in partitions):
            self._paused.discard(number)
            self._sought.pop(number, None)
        consumer.incremental_unassign(partitions)

    def _tell(self, what: str, partitions: list[int]) -> None:
        # An exception must not pass through librdkafka's C frames: it is raised when poll is back.
        try:
            getattr(self._listener, what)(partitions)
        except BaseException as raised:
            self._raised = self._raised or raised

    def poll(self, max_records: int, timeout: float) -> list[Records]:
        # consume(n, timeout) would wait for all n or the whole timeout: take what is there, and wait for one at most.
        self._raise_what_waits()
        messages: list[Message] = self._consumer.consume(max_records, 0)
        if not messages and timeout > 0 and self._raised is None:
            messages = self._consumer.consume(1, timeout)
            if messages and max_records > 1:
                messages += self._consumer.consume(max_records - 1, 0)
        self._raise_what_waits()
        if self._watch.refusal is not None:
            self._watch.check()
        if messages and any(map(Message.error, messages)):
            messages = self._without_events(messages)
        if not messages:
            self._raise_what_waits()
            return []
        batches = columns(messages)
        if self._sought:
            for batch in batches:
                self._sought.pop(batch.partition, None)
        return batches

    def _raise_what_waits(self) -> None:
        if self._raised is not None:
            raised = self._raised
            if not isinstance(raised, SlotTaken):
                self._raised = None
            raise raised

    def _without_events(self, messages: list[Message]) -> list[Message]:
        for message in messages:
            error = message.error()
            if error is None:
                continue
            code = error.code()
            if code in FENCED_INSTANCE or (code == KafkaError._FATAL and "nstance" in error.str()):
                self._raised = SlotTaken(
                    f"another process runs as {self._identity.slot}; stop it, or give this one another --instance-id"
                )
                raise self._raised  # and from every later poll: librdkafka says it once
            if code in OUT_OF_RANGE:
                self._stands_outside(message.partition(), message.offset())
                continue
            if code in REFUSED:
                raise fault(error, f"read topic {self._topic}")
            if code in GROUP_REFUSED or error.fatal():
                raise Refused(f"cannot join the group {self._identity.group}: {error.str()}")
            if code in NO_TOPIC:
                with contextlib.suppress(Unavailable):  # records came with it: they must not be lost
                    partitions_of(self._consumer, self._topic, 5.0)  # a restarting broker may have said so by mistake
            # _MAX_POLL_EXCEEDED comes with a call of `lost`, and the client joins again by itself; the rest is news.
            self._watch(error)
        # `is None`: a Message has a length, so that one without a value is false.
        return [message for message in messages if message.error() is None]

    def _stands_outside(self, partition: Any, offset: int | None) -> None:
        """A position is not among the offsets that the partition holds or, if None, there was no committed one."""
        sought = self._sought.get(partition)
        if offset is None:
            if sought is None:
                self._send(partition, OFFSET_BEGINNING)
        elif sought in (None, offset):
            self._raised = gone(self._topic, partition, offset)  # when what came with it is delivered
        else:  # it was sent elsewhere before this was heard, but has stopped nevertheless
            self._send(partition, sought)

    def _tps(self, partitions: Sequence[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in partitions]

    def pause(self, partitions: Sequence[int]) -> None:
        self._consumer.pause(self._tps(partitions))
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[int]) -> None:
        self._consumer.resume(self._tps(partitions))
        for partition in self._paused.intersection(partitions):
            self._wake(partition)
        self._paused.difference_update(partitions)

    def _wake(self, partition: int) -> None:
        # Resuming does not wake the thread that fetches, which sleeps up to a second while all is paused. A seek to
        # where it stands does; but one to 0 never does.
        here = self._sought.get(partition, self.position(partition))
        if here is None:
            return  # it has not begun yet, and will wake the thread when it does
        with contextlib.suppress(KafkaException):
            if here == 0:
                self._assign(TopicPartition(self._topic, partition, here))
            else:
                self._consumer.seek(TopicPartition(self._topic, partition, here))

    def seek(self, partition: int, offset: int) -> None:
        self._sought[partition] = offset
        self._send(partition, offset)

    def _send(self, partition: int, offset: int) -> None:
        target = TopicPartition(self._topic, partition, offset)
        try:
            self._consumer.seek(target)
        except KafkaException as raised:
            if raised.args[0].code() != KafkaError._STATE:
                raise
            # A partition that waits for its committed offset, or has none, cannot be sought: assign it anew, with the
            # offset.
            self._assign(target)
            if partition in self._paused:
                self._consumer.pause([target])

    def _assign(self, target: TopicPartition) -> None:
        """Let it begin at the target's offset, whatever it was at."""
        self._consumer.incremental_unassign([target])
        self._consumer.incremental_assign([target])

    def position(self, partition: int) -> int | None:
        (found,) = self._consumer.position([TopicPartition(self._topic, partition)])
        return found.offset if found.offset >= 0 else None

    def join_again(self) -> None:
        if not self._consumer_protocol:
            self._consumer.unsubscribe()  # librdkafka has no gentler way
            self._subscribe()

    def group(self) -> object:
        return GroupOf(self._topic, self._consumer.consumer_group_metadata())

    def close(self, leave: bool) -> None:
        with contextlib.suppress(Overdue):  # its session ends by itself
            bounded(self._consumer.close, CLOSE, "consumer")
        if leave:
            remove_member(self._identity)
