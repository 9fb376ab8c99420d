"""Where outputs go, through librdkafka: a plain produce loop, and a transaction that cannot lie.

librdkafka fails the commit of a transaction in which any record failed, so sending needs no delivery reports to be
right. It makes one only for a record that failed: that tells why, and is what proves a flush without transactions.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from stream.broker.deadline import Overdue, abandon, bounded
from stream.broker.librdkafka import (
    FENCED,
    REFUSED,
    GroupOf,
    Watch,
    ended,
    error_of,
    fault,
    made,
    partitions_of,
    reach,
    settings,
)
from stream.broker.port import Headers, Identity
from stream.errors import BrokerFault, GenerationOver, Refused, SinkFailed, Unavailable

MAX_RECORD_BYTES = 32 << 20  # the topic's own limit decides, not the client's
GRACE = 2.0  # seconds beyond a call's own timeout until it counts as hanging

_PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})


class ConfluentSink:
    """An idempotent producer of librdkafka, transactional where asked for."""

    def __init__(
        self,
        identity: Identity,
        *,
        transactional: bool,
        timeout: float,
        transaction_timeout: float,
        batch_bytes: int,
        queue_bytes: int,
    ) -> None:
        self._watch = Watch(identity.bootstrap_servers)
        self._transactional = transactional
        self._patience = transaction_timeout  # of `send`, while the queue is full
        self._open = False  # a transaction is
        self._over: Exception | None = None  # the first error; nothing is done with this producer after it
        self._failed: tuple[KafkaError, str] | None = None  # the first record that failed
        self._partitions: dict[str, int] = {}  # of the topics that were seen to be there
        conf: dict[str, Any] = {
            # A commit and a flush do not wait for the linger; nobody sees a record of a transaction before its commit.
            "linger.ms": 20 if transactional else 1,
            "batch.num.messages": 20_000,
            "batch.size": batch_bytes,  # one above the topic's max.message.bytes fails whole: it is never split
            "queue.buffering.max.messages": 500_000,
            "queue.buffering.max.kbytes": max(1, queue_bytes >> 10),
            "message.max.bytes": MAX_RECORD_BYTES,
            "partitioner": "murmur2_random",
            **settings(identity, self._watch),
            "enable.idempotence": True,
            "acks": "all",
            "delivery.timeout.ms": max(1000, int(transaction_timeout * 1000)),
            "delivery.report.only.error": True,
            "on_delivery": self._on_failure,
        }
        if transactional:
            conf["transactional.id"] = identity.slot
            conf["transaction.timeout.ms"] = int(transaction_timeout * 1000)
        self._producer: Any = made(Producer, conf)
        deadline = time.monotonic() + timeout
        try:
            reach(self._producer, self._watch, identity.bootstrap_servers, timeout)
            if transactional:
                self._initialise(identity.slot, max(0.1, deadline - time.monotonic()))
        except BaseException:
            self.close()
            raise

    def _initialise(self, slot: str, timeout: float) -> None:
        doing = f"initialise the transactional.id {slot}"
        try:
            self._producer.init_transactions(timeout)
        except KafkaException as raised:
            with contextlib.suppress(KafkaException):
                self._producer.poll(0)
            self._watch.check()
            error = raised.args[0]
            if error.code() in REFUSED:
                raise fault(error, doing) from None
            raise Unavailable(f"cannot {doing} within {timeout:.0f} s: {error.str()}") from None

    def _on_failure(self, error: KafkaError | None, message: Any) -> None:
        # What was purged failed because of another record.
        if error is not None and (self._failed is None or self._failed[0].code() in _PURGED):
            self._failed = error, f"send to topic {message.topic()}"

    def begin(self) -> None:
        self._alive()
        if self._transactional:
            self._call("begin a transaction", self._producer.begin_transaction, GRACE)
            self._open = True

    def send(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        headers: Sequence[Headers] | None = None,
    ) -> None:
        self._alive()
        if partition >= self._partitions.get(topic, 0):
            self._see(topic, partition)
        produce = self._producer.produce
        try:
            # By place, which takes a third less time than by name: callback and on_delivery come before the timestamp.
            # librdkafka takes a timestamp of 0 for "now".
            if headers is None:
                for key, value, timestamp in zip(keys, values, timestamps, strict=True):
                    try:
                        produce(topic, value, key, partition, None, None, timestamp or 1)
                    except BufferError:
                        self._when_there_is_room(topic, value, key, partition, None, None, timestamp or 1)
            else:  # a loop of its own: headers cost a microsecond a record, and only dead letters have them
                for key, value, timestamp, head in zip(keys, values, timestamps, headers, strict=True):
                    try:
                        produce(topic, value, key, partition, None, None, timestamp or 1, head)
                    except BufferError:
                        self._when_there_is_room(topic, value, key, partition, None, None, timestamp or 1, head)
        except KafkaException as raised:
            raise self._ended(error_of(self._producer, raised), f"send to topic {topic}") from None
        self._serve(0)

    def _see(self, topic: str, partition: int) -> None:
        # Records for a topic that is not there would wait 30 s for it, and then fail the transaction without its name.
        try:
            self._partitions[topic] = count = partitions_of(self._producer, topic, self._patience)
            if partition >= count:
                raise Refused(f"topic {topic} has {count} partitions, so none with number {partition}")
        except BrokerFault as error:
            self._over = SinkFailed(str(error)) if isinstance(error, Unavailable) else error
            raise self._over from None

    def _when_there_is_room(self, *record: Any) -> None:
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            self._serve(0.01)
            try:
                self._producer.produce(*record)
                return
            except BufferError:
                continue
        self._over = SinkFailed(f"the send queue stayed full for {self._patience:g} s: Kafka takes no records")
        raise self._over

    def flush(self, timeout: float) -> None:
        self._alive()
        left = 0

        def flush() -> None:
            nonlocal left
            left = self._producer.flush(timeout)

        self._call("flush", flush, timeout)
        self._serve(0)
        if left:
            self._over = SinkFailed(f"{left} records were not acknowledged within {timeout:g} s")
            raise self._over

    def send_offsets(self, positions: Mapping[int, int], group: object, timeout: float) -> None:
        if not isinstance(group, GroupOf):
            raise TypeError("group must come from this client's Source.group()")
        self._alive()
        offsets = [TopicPartition(group.topic, partition, offset) for partition, offset in positions.items()]
        self._call(
            "add offsets to the transaction",
            lambda: self._producer.send_offsets_to_transaction(offsets, group.metadata, timeout),
            timeout,
        )

    def commit(self, timeout: float) -> None:
        self._alive()
        if self._transactional:
            self._call("commit", lambda: self._producer.commit_transaction(timeout), timeout)
            self._open = False
        else:
            self.flush(timeout)

    def abort(self, timeout: float) -> None:
        self._alive()
        if self._open:
            self._open = False
            self._call("abort", lambda: self._producer.abort_transaction(timeout), timeout)
            self._failed = None  # what the abort purged

    def close(self) -> None:
        if self._over is None:
            self._over = SinkFailed("this sink is closed")
        producer = [self._producer]
        self._producer = None
        abandon(lambda: _let_go(producer.pop()), "producer")

    def _alive(self) -> None:
        if self._over is not None:
            raise self._over

    def _call(self, doing: str, call: Callable[[], Any], timeout: float) -> None:
        try:
            # librdkafka does not always keep its own timeout: send_offsets_to_transaction was seen to hang for minutes
            # after a broker's restart. The thread that it costs is 0.1 ms in each commit.
            bounded(call, timeout + GRACE, doing)
        except Overdue as overdue:
            self._over = SinkFailed(str(overdue))
            raise self._over from None
        except (KafkaException, SystemError) as raised:
            raise self._ended(error_of(self._producer, raised), doing) from None

    def _serve(self, timeout: float) -> None:
        """Let the callbacks speak, and raise what they say."""
        try:
            self._producer.poll(timeout)
        except (KafkaException, SystemError) as raised:  # once the producer is fenced
            raise self._ended(error_of(self._producer, raised), "send") from None
        self._watch.check()
        if self._failed is not None:
            raise self._ended(*self._failed)

    def _ended(self, error: KafkaError, doing: str) -> Exception:
        with contextlib.suppress(KafkaException, SystemError):
            self._producer.poll(0)
        # A record that failed tells more than the call that failed with it, unless it only fell with the rest.
        if self._failed is not None and self._failed[0].code() not in _PURGED and error.code() not in FENCED:
            error, doing = self._failed
        # fatal(), txn_requires_abort() and retriable() are all the same here: a producer that has seen an error is
        # replaced, because a retry after a broker's restart was seen to hang, or to end fatally after the abort. But a
        # group that has rebalanced says nothing against the producer.
        raised = ended(error, doing)
        if not isinstance(raised, GenerationOver):
            self._over = raised
        return raised


def _let_go(producer: Any) -> None:
    producer.purge(in_queue=True, in_flight=True, blocking=False)
    producer.poll(0)
