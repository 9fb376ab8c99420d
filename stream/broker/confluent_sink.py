"""Where outputs go, through librdkafka: a plain produce loop, and a transaction that cannot lie.

librdkafka fails the commit of a transaction in which any record failed, so transactional sending needs no delivery
reports. Without transactions a report comes only for a record that failed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from stream.broker.deadline import abandon
from stream.broker.librdkafka import REFUSED, GroupOf, Watch, fault, made, reach, settings
from stream.broker.port import Headers, Identity
from stream.errors import BrokerFault, Refused, SinkFailed, SinkFenced, Unavailable

_FENCED = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})
MAX_RECORD_BYTES = 32 << 20  # the topic's own limit decides, not the client's


class ConfluentSink:
    """An idempotent producer of librdkafka, transactional where asked for."""

    def __init__(self, identity: Identity, *, transactional: bool, timeout: float, transaction_timeout: float) -> None:
        self._watch = Watch(identity.bootstrap_servers)
        self._transactional = transactional
        self._open = False
        self._patience = transaction_timeout  # of `send`, while the queue is full
        self._failed: KafkaError | None = None
        self._failed_topic = ""
        conf: dict[str, Any] = {
            "linger.ms": 5,
            "batch.num.messages": 20_000,
            "batch.size": 262_144,  # one above the topic's max.message.bytes fails whole: it is never split
            "queue.buffering.max.messages": 500_000,
            "queue.buffering.max.kbytes": 131_072,
            "message.max.bytes": MAX_RECORD_BYTES,
            "partitioner": "murmur2_random",
            **settings(identity, self._watch),
            "enable.idempotence": True,
            "acks": "all",
            "delivery.report.only.error": True,
            "on_delivery": self._on_failure,
        }
        if transactional:
            conf["transactional.id"] = identity.slot
            conf["transaction.timeout.ms"] = int(transaction_timeout * 1000)
        else:
            conf["delivery.timeout.ms"] = int(max(transaction_timeout, 1.0) * 1000)
        self._producer: Any = made(Producer, conf)
        deadline = time.monotonic() + timeout
        try:
            reach(self._producer, None, self._watch, identity.bootstrap_servers, timeout)
            if transactional:
                left = max(0.1, deadline - time.monotonic())
                self._init(identity, left)
        except BaseException:
            self.close()
            raise

    def _init(self, identity: Identity, timeout: float) -> None:
        try:
            self._producer.init_transactions(timeout)
        except KafkaException as raised:
            self._producer.poll(0)
            self._watch.check()
            error = raised.args[0]
            doing = f"initialise the transactional.id {identity.slot}"
            if error.code() in REFUSED:
                raise fault(error, doing) from None
            raise Unavailable(f"cannot {doing} within {timeout:.0f} s: {error.str()}") from None

    def _on_failure(self, error: KafkaError | None, message: Any) -> None:
        if error is not None and self._failed is None:
            self._failed, self._failed_topic = error, message.topic()

    def begin(self) -> None:
        if self._transactional:
            self._call("begin a transaction", self._producer.begin_transaction)
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
        produce = self._producer.produce
        sent = 0
        deadline: float | None = None
        while True:
            try:
                # Two loops: headers cost a microsecond a record, and only dead letters have them. librdkafka takes the
                # timestamp 0 for "now".
                if headers is None:
                    for key, value, timestamp in zip(keys[sent:], values[sent:], timestamps[sent:], strict=True):
                        produce(topic, value, key, partition, timestamp=timestamp or 1)
                        sent += 1
                else:
                    for key, value, timestamp, head in zip(
                        keys[sent:], values[sent:], timestamps[sent:], headers[sent:], strict=True
                    ):
                        produce(topic, value, key, partition, timestamp=timestamp or 1, headers=head)
                        sent += 1
                break
            except BufferError:
                now = time.monotonic()
                deadline = deadline or now + self._patience
                if now > deadline:
                    raise SinkFailed(
                        f"the send queue stayed full for {self._patience:g} s: Kafka does not take the records"
                    ) from None
                self._producer.poll(0.01)
            except KafkaException as raised:
                raise self._broken(raised.args[0], f"send to topic {topic}") from None
        self._producer.poll(0)
        self._check()

    def flush(self, timeout: float) -> None:
        left = self._producer.flush(timeout)
        self._check()
        if left:
            raise SinkFailed(f"{left} records were not acknowledged within {timeout:g} s")

    def send_offsets(self, positions: Mapping[int, int], group: object, timeout: float) -> None:
        if not isinstance(group, GroupOf):
            raise TypeError("group must come from this client's Source.group()")
        offsets = [TopicPartition(group.topic, partition, offset) for partition, offset in positions.items()]
        self._call(
            "add offsets to the transaction",
            lambda: self._producer.send_offsets_to_transaction(offsets, group.metadata, timeout),
        )

    def commit(self, timeout: float) -> None:
        if self._transactional:
            self._call("commit", lambda: self._producer.commit_transaction(timeout))
            self._open = False
            self._check()
        else:
            self.flush(timeout)

    def abort(self, timeout: float) -> None:
        if self._open:
            self._open = False
            self._call("abort", lambda: self._producer.abort_transaction(timeout))

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            abandon(lambda: _let_go(producer), "producer")

    def _call(self, doing: str, call: Callable[[], Any]) -> None:
        try:
            call()
        except KafkaException as raised:
            self._watch.check()
            raise self._broken(raised.args[0], doing) from None

    def _check(self) -> None:
        self._watch.check()
        if self._failed is not None:
            raise self._broken(self._failed, f"send to topic {self._failed_topic}")

    def _broken(self, error: KafkaError, doing: str) -> BrokerFault | SinkFailed:
        # fatal(), txn_requires_abort() and retriable() are not told apart: a producer that has seen an error is
        # replaced, because librdkafka's own retry after a broker restart was seen to hang or to end fatally.
        code = error.code()
        if code in _FENCED:
            return SinkFenced(f"cannot {doing}: {error.str()}")
        if code in REFUSED:
            return fault(error, doing)
        if code == KafkaError.MSG_SIZE_TOO_LARGE:
            return Refused(
                f"cannot {doing}: a record or a batch is larger than the topic's max.message.bytes ({error.str()})"
            )
        return SinkFailed(f"cannot {doing}: {error.name()}: {error.str()}")


def _let_go(producer: Any) -> None:
    producer.purge(in_queue=True, in_flight=True, blocking=False)
    producer.poll(0)
