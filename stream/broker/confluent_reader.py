"""Partitions read in bulk through librdkafka, for restores and replays: assigned by hand, in no group."""

from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from stream.broker.deadline import abandon
from stream.broker.gone import gone
from stream.broker.librdkafka import (
    NO_TOPIC,
    OUT_OF_RANGE,
    REFUSED,
    Watch,
    columns,
    fault,
    made,
    partitions_of,
    reach,
    settings,
)
from stream.broker.port import Identity, Records
from stream.errors import BrokerFault, Refused, Unavailable


class ConfluentReader:
    """Sequential reads of one topic on librdkafka."""

    def __init__(self, identity: Identity, topic: str, *, timeout: float) -> None:
        self._topic = topic
        self._watch = Watch(identity.bootstrap_servers)
        self._next: dict[int, int] = {}  # partition -> after the last record delivered, or the end that was told
        self._raised: BrokerFault | None = None  # once what came with it is delivered
        conf = {
            "queued.min.messages": 1_000_000,
            "queued.max.messages.kbytes": 262_144,  # of records fetched ahead, over all partitions
            "fetch.message.max.bytes": 8_388_608,
            "fetch.max.bytes": 67_108_864,
            "fetch.wait.max.ms": 20,  # a partition that is added waits for the fetch under way to end
            "fetch.queue.backoff.ms": 5,
            **settings(identity, self._watch),
            "group.id": identity.group,  # librdkafka wants one; it is never joined
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "enable.partition.eof": True,  # position() does not pass what was compacted away at the end
        }
        self._consumer: Any = made(Consumer, conf)
        try:
            reach(self._consumer, self._watch, identity.bootstrap_servers, timeout)
            partitions_of(self._consumer, topic, timeout)
        except BaseException:
            self.close()
            raise

    def add(self, partition: int, offset: int) -> None:
        self.remove(partition)
        self._next[partition] = offset
        self._consumer.incremental_assign([TopicPartition(self._topic, partition, offset)])

    def remove(self, partition: int) -> None:
        if self._next.pop(partition, None) is not None:
            self._consumer.incremental_unassign([TopicPartition(self._topic, partition)])

    def poll(self, max_records: int, timeout: float) -> list[Records]:
        # consume(n, timeout) would wait for all n or the whole timeout: take what is there, and wait for one at most.
        if self._raised is not None:
            raise self._raised
        messages: list[Message] = self._consumer.consume(max_records, 0)
        if not messages and timeout > 0:
            messages = self._consumer.consume(1, timeout)
            if messages and max_records > 1:
                messages += self._consumer.consume(max_records - 1, 0)
        self._watch.check()
        if not messages:
            return []
        events = [message for message in messages if message.error() is not None]
        if events:
            # `is None`: a Message has a length, so that one without a value is false.
            messages = [message for message in messages if message.error() is None]
        batches = [batch for batch in columns(messages) if batch.partition in self._next]
        for batch in batches:
            self._next[batch.partition] = batch.offsets[-1] + 1
        for event in events:
            try:
                self._heed(event)
            except BrokerFault as raised:
                self._raised = self._raised or raised
        if self._raised is not None and not batches:
            raise self._raised
        return batches

    def _heed(self, event: Any) -> None:
        error, partition = event.error(), event.partition()
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            if partition in self._next:
                self._next[partition] = max(self._next[partition], event.offset())
        elif code in OUT_OF_RANGE:
            if partition in self._next:  # it is told even after the partition was removed
                raise gone(self._topic, partition, event.offset())
        elif code in REFUSED:
            raise fault(error, f"read topic {self._topic}")
        elif code in NO_TOPIC:
            try:
                count = partitions_of(self._consumer, self._topic, 5.0)  # a restarting broker may have been mistaken
            except Unavailable:
                return
            if partition in self._next and partition >= count:
                raise Refused(f"topic {self._topic} has {count} partitions, so none with number {partition}")
        elif error.fatal():
            raise Refused(f"cannot read topic {self._topic}: {error.str()}")
        else:
            self._watch(error)

    def position(self, partition: int) -> int | None:
        known = self._next.get(partition)
        if known is None:
            return None
        (found,) = self._consumer.position([TopicPartition(self._topic, partition)])  # passes control records
        return max(known, int(found.offset))

    def close(self) -> None:
        abandon(self._consumer.close, "reader")
