"""Where outputs go, through kafka-python, with the guards without which its commit can lie.

The library commits a transaction although records of it failed, leaks the offsets of an aborted transaction into the
next one, and hides a fenced producer behind a plain error. So: the future of every record is looked at before a commit,
and a producer that has seen any error is never used again.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import kafka.errors as kafka_errors
from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.serializer import Serializer

from stream.broker import kafka_python_guards as guards
from stream.broker.admin import Admin
from stream.broker.deadline import Overdue, abandon, bounded
from stream.broker.kafka_python_common import REFUSED, Clock, GroupOf, connected, fault, settings
from stream.broker.port import Headers, Identity
from stream.errors import BrokerFault, Refused, SinkFailed, SinkFenced, StatecastError, Unavailable

MAX_RECORD_BYTES = 32 << 20  # the topic's own limit decides, not the client's
METADATA_SECONDS = 3.0
BLAME_SECONDS = 1.0  # in which a record that failed says so, once its producer has

_FENCED = (kafka_errors.ProducerFencedError, kafka_errors.InvalidProducerEpochError)
_EARLIER = ("error state", "at least one previous", "MessageSizeTooLarge")  # in what a call says of a record before it
_NULL = b"null"  # told by identity: the library refuses a record with neither key nor value before it serialises them


class _NullValue(Serializer):  # type: ignore[misc]
    def serialize(self, topic: str, headers: Any, data: Any) -> Any:  # noqa: ARG002
        return None if data is _NULL else data


class KafkaPythonSink:
    """An idempotent producer of kafka-python, transactional where asked for."""

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
        clock = Clock(timeout)
        self._identity = identity
        self._transactional = transactional
        self._patience = transaction_timeout
        self._open = False  # a transaction is
        self._over: Exception | None = None  # the first error; nothing is done with this producer after it
        self._futures: list[Any] = []  # of the records sent since the last flush
        self._unsent = 0  # their bytes
        self._queue_bytes = queue_bytes  # the library's own queue has no bound
        self._partitions: dict[str, int] = {}  # of the topics that were seen to be there
        milliseconds = max(2000, int(transaction_timeout * 1000))
        conf: dict[str, Any] = {
            "linger_ms": 20 if transactional else 5,
            "batch_size": batch_bytes,
            "max_request_size": MAX_RECORD_BYTES,
            "retry_backoff_ms": 10,  # slept in each commit: 100, the default, makes a transaction last 112 ms
            "metrics_enabled": False,
            **settings(identity, "producer"),
            "allow_auto_create_topics": False,
            "value_serializer": _NullValue(),
            "enable_idempotence": True,
            "max_block_ms": int(min(timeout, METADATA_SECONDS) * 1000),
            "delivery_timeout_ms": milliseconds,
            "request_timeout_ms": milliseconds - 1000,
        }
        if transactional:
            conf["transactional_id"] = identity.slot
            conf["transaction_timeout_ms"] = int(transaction_timeout * 1000)
        self._producer: Any = connected(KafkaProducer, conf, identity.bootstrap_servers, timeout)
        if transactional:
            guards.never_bump(self._producer)
            try:
                self._initialise(clock)
            except BaseException:
                self.close()
                raise

    def _initialise(self, clock: Clock) -> None:
        doing = f"initialise the transactional.id {self._identity.slot}"
        while True:
            try:
                bounded(self._producer.init_transactions, clock.seconds, "init_transactions")
                return
            except kafka_errors.KafkaTimeoutError as error:  # after max_block_ms; calling again goes on waiting
                if clock.over:
                    raise fault(error, doing) from None
            except kafka_errors.KafkaError as error:
                raise fault(error, doing) from None
            except Overdue as overdue:
                raise Unavailable(f"cannot {doing}: {overdue}") from None

    def begin(self) -> None:
        self._alive()
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
        self._alive()
        if partition >= self._partitions.get(topic, 0):
            self._see(topic, partition)
        send, append = self._producer.send, self._futures.append
        heads: Iterable[Headers | None] = repeat(None, len(keys)) if headers is None else headers
        try:
            for key, value, timestamp, head in zip(keys, values, timestamps, heads, strict=True):
                if value is None and key is None:
                    value = _NULL
                append(send(topic, value, key, head, partition, timestamp or 1))  # as confluent-kafka, which has no 0
        except kafka_errors.KafkaError as error:
            raise self._ended(error, f"send to topic {topic}") from None
        self._unsent += sum(map(len, filter(None, (*keys, *values)))) + 100 * len(keys)
        if self._unsent > self._queue_bytes:
            self.flush(self._patience)

    def _see(self, topic: str, partition: int) -> None:
        try:
            self._partitions[topic] = count = len(self._producer.partitions_for(topic))
        except kafka_errors.KafkaTimeoutError:
            # Either the topic is not there, or nobody answers: the library says the same of both.
            self._over = self._missing(topic)
            raise self._over from None
        except kafka_errors.KafkaError as error:
            raise self._ended(error, f"send to topic {topic}") from None
        if partition >= count:
            self._over = Refused(f"topic {topic} has {count} partitions, so none with number {partition}")
            raise self._over

    def _missing(self, topic: str) -> Exception:
        try:
            admin = Admin(self._identity, timeout=METADATA_SECONDS)
        except StatecastError as error:
            return SinkFailed(str(error))
        try:
            if admin.describe(topic) is None:
                return Refused(f"topic {topic} is not there; create it, or mend its name")
            return SinkFailed(f"topic {topic} has no leader")
        except StatecastError as error:
            return SinkFailed(str(error))
        finally:
            admin.close()

    def flush(self, timeout: float) -> None:
        self._alive()
        try:
            self._producer.flush(timeout)
        except kafka_errors.KafkaError as error:
            # Where a record was refused, flush says only that some future is not done.
            if any(future.exception is not None for future in self._futures):
                raise self._undelivered(self._futures) from None
            raise self._ended(error, "flush") from None
        futures, self._futures, self._unsent = self._futures, [], 0
        for future in futures:
            if future.exception is not None or not future.is_done:
                raise self._undelivered(futures)

    def _undelivered(self, futures: list[Any]) -> Exception:
        failed = [future for future in futures if future.exception is not None]
        if not failed:
            self._over = SinkFailed("records were not acknowledged")
            return self._over
        # Of many errors the telling one: a record that was fenced or refused fails those behind it in other ways.
        telling = (*_FENCED, *REFUSED, kafka_errors.MessageSizeTooLargeError)
        first = next((future for future in failed if isinstance(future.exception, telling)), failed[0])
        self._over = _ended(first.exception, f"send to topic {first._produce_future.topic_partition.topic}")
        return self._over

    def send_offsets(self, positions: Mapping[int, int], group: object, timeout: float) -> None:
        if not isinstance(group, GroupOf):
            raise TypeError("group must come from this client's Source.group()")
        self._alive()
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
        self._alive()
        if self._open:
            self._open = False
            self._futures, self._unsent = [], 0
            self._call("abort", self._producer.abort_transaction, timeout)

    def close(self) -> None:
        if self._over is None:
            self._over = SinkFailed("this sink is closed")
        self._futures = []
        producer, self._producer = self._producer, None
        abandon(lambda: _let_go(producer), "producer")

    def _alive(self) -> None:
        if self._over is not None:
            raise self._over

    def _call(self, doing: str, call: Callable[[], Any], timeout: float) -> None:
        # These calls of the library wait without bound while a broker is away.
        try:
            bounded(call, timeout, doing)
        except (kafka_errors.KafkaError, Overdue) as error:
            raise self._ended(error, doing) from None

    def _ended(self, error: BaseException, doing: str) -> Exception:
        # A record that failed makes the next call fail, whichever that is: the library fails its producer first, and
        # the record that is to blame a moment later.
        earlier = any(words in f"{type(error).__name__}: {error}" for words in _EARLIER)
        deadline = time.monotonic() + (BLAME_SECONDS if earlier else 0)
        while not (failed := any(future.exception is not None for future in self._futures)):
            if time.monotonic() >= deadline:
                break
            time.sleep(0.005)
        if failed:
            return self._undelivered(self._futures)
        self._over = _ended(error, doing)
        return self._over


def _ended(error: BaseException, doing: str) -> BrokerFault | SinkFailed:
    text = f"{type(error).__name__}: {error}"
    if any(fenced.__name__ in text for fenced in _FENCED):  # also inside "...is in an error state: ..."
        return SinkFenced(f"cannot {doing}: {text}")
    if isinstance(error, REFUSED):
        return fault(error, doing)
    if isinstance(error, kafka_errors.MessageSizeTooLargeError):
        return Refused(f"cannot {doing}: a record is larger than its max.message.bytes; raise that ({text})")
    return SinkFailed(f"cannot {doing}: {text}")


def _let_go(producer: Any) -> None:
    with contextlib.suppress(Exception):
        producer._sender.force_close()  # close() would flush first, and wait
    producer.close(timeout=0)
