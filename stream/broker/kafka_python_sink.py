"""Where outputs go, through kafka-python, with the guards without which its commit can lie.

The library commits a transaction although records of it failed, leaks offsets of an aborted transaction into the next
one, and hides a fenced producer behind a plain error. So: every record's future is checked before a commit, and a
producer that has seen any error is never used again.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any

import kafka.errors as kafka_errors
from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.serializer import Serializer

from stream.broker.deadline import Overdue, abandon, bounded
from stream.broker.kafka_python_common import REFUSED, Clock, GroupOf, connected, fault, settings
from stream.broker.port import Headers, Identity
from stream.errors import BrokerFault, Refused, SinkFailed, SinkFenced, Unavailable

MAX_RECORD_BYTES = 32 << 20  # the topic's own limit decides, not the client's
MAX_UNSENT_BYTES = 64 << 20  # the library's own queue has no bound

_FENCED = (kafka_errors.ProducerFencedError, kafka_errors.InvalidProducerEpochError)
_NULL = b"\0null"  # by identity: kafka-python refuses a record with neither key nor value before it serialises them


class _NullValue(Serializer):  # type: ignore[misc]
    def serialize(self, topic: str, headers: Any, data: Any) -> Any:  # noqa: ARG002
        return None if data is _NULL else data


class KafkaPythonSink:
    """An idempotent producer of kafka-python, transactional where asked for."""

    def __init__(self, identity: Identity, *, transactional: bool, timeout: float, transaction_timeout: float) -> None:
        clock = Clock(timeout)
        self._transactional = transactional
        self._open = False
        self._futures: list[Any] = []
        self._unsent = 0
        self._patience = transaction_timeout
        milliseconds = int(transaction_timeout * 1000)
        conf: dict[str, Any] = {
            "linger_ms": 5,
            "batch_size": 262_144,
            "max_request_size": MAX_RECORD_BYTES,
            "retry_backoff_ms": 10,  # slept after each commit: 100, the default, makes a transaction last 112 ms
            "metrics_enabled": False,
            **settings(identity, "producer", timeout),
            "allow_auto_create_topics": False,
            "value_serializer": _NullValue(),
            "enable_idempotence": True,
            "max_block_ms": int(timeout * 1000),
            "delivery_timeout_ms": milliseconds,
            "request_timeout_ms": milliseconds - 1000 if milliseconds > 2000 else milliseconds,
        }
        if transactional:
            conf["transactional_id"] = identity.slot
            conf["transaction_timeout_ms"] = milliseconds
        self._producer: Any = connected(KafkaProducer, conf, identity.bootstrap_servers, timeout)
        if transactional:
            doing = f"initialise the transactional.id {identity.slot}"
            try:
                bounded(self._producer.init_transactions, clock.seconds, "init_transactions")
            except kafka_errors.KafkaError as error:
                self.close()
                raise fault(error, doing) from None
            except Overdue as overdue:
                self.close()
                raise Unavailable(f"cannot {doing}: {overdue}") from None

    def begin(self) -> None:
        if self._transactional:
            self._call("begin a transaction", self._producer.begin_transaction, self._patience)
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
        send, futures = self._producer.send, self._futures
        heads = repeat(None, len(keys)) if headers is None else headers
        try:
            for key, value, timestamp, head in zip(keys, values, timestamps, heads, strict=True):
                if value is None and key is None:
                    value = _NULL
                futures.append(send(topic, value, key, head, partition, timestamp or 1))
        except (kafka_errors.KafkaError, ValueError) as error:
            raise self._broken(error, f"send to topic {topic}") from None
        self._unsent += sum(map(len, filter(None, values))) + 64 * len(keys)
        if self._unsent > MAX_UNSENT_BYTES:
            self.flush(self._patience)

    def flush(self, timeout: float) -> None:
        try:
            self._producer.flush(timeout)
        except kafka_errors.KafkaError as error:
            raise self._broken(error, "flush") from None
        futures, self._futures, self._unsent = self._futures, [], 0
        for future in futures:
            if not future.is_done or future.exception is not None:
                raise self._undelivered(futures)

    def _undelivered(self, futures: list[Any]) -> BrokerFault | SinkFailed:
        errors = [f.exception for f in futures if f.is_done and f.exception is not None]
        for error in errors:
            if isinstance(error, _FENCED):
                return self._broken(error, "send")
        if errors:
            topic = next(f for f in futures if f.exception is errors[0])._produce_future.topic_partition.topic
            return self._broken(errors[0], f"send to topic {topic}")
        return SinkFailed("records were not acknowledged")

    def send_offsets(self, positions: Mapping[int, int], group: object, timeout: float) -> None:
        if not isinstance(group, GroupOf):
            raise TypeError("group must come from this client's Source.group()")
        offsets = {TopicPartition(group.topic, p): OffsetAndMetadata(o, "", -1) for p, o in positions.items()}
        self._call(
            "add offsets to the transaction",
            lambda: self._producer.send_offsets_to_transaction(offsets, group.metadata),
            timeout,
        )

    def commit(self, timeout: float) -> None:
        clock = Clock(timeout)
        self.flush(clock.seconds)
        if self._transactional:
            self._call("commit", self._producer.commit_transaction, clock.seconds)
            self._open = False

    def abort(self, timeout: float) -> None:
        if self._open:
            self._open = False
            self._futures, self._unsent = [], 0
            self._call("abort", self._producer.abort_transaction, timeout)

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            abandon(lambda: _let_go(producer), "producer")

    def _call(self, doing: str, call: Callable[[], Any], timeout: float) -> None:
        # These calls of the library wait without bound while a broker is away.
        try:
            bounded(call, timeout, doing)
        except (kafka_errors.KafkaError, Overdue) as error:
            raise self._broken(error, doing) from None

    def _broken(self, error: BaseException, doing: str) -> BrokerFault | SinkFailed:
        if isinstance(error, _FENCED):
            return SinkFenced(f"cannot {doing}: {type(error).__name__}: {error}")
        if isinstance(error, REFUSED):
            return fault(error, doing)
        if isinstance(error, kafka_errors.MessageSizeTooLargeError):
            return Refused(f"cannot {doing}: a record is larger than the topic's max.message.bytes ({error})")
        return SinkFailed(f"cannot {doing}: {type(error).__name__}: {error}")


def _let_go(producer: Any) -> None:
    with contextlib.suppress(Exception):
        producer._sender.force_close()  # close() would flush first, and wait
    producer.close(timeout=0)
