"""What a source and a sink on librdkafka share: settings, the first contact, and its errors in the project's words."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message

from stream.broker.logs import log
from stream.broker.port import Identity, Records
from stream.broker.properties import for_confluent
from stream.broker.refusals import forbidden, is_final, refused
from stream.errors import BrokerFault, GenerationOver, Refused, SinkFailed, SinkFenced, Unavailable, UsageError

FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "Topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "Group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "Cluster",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "TransactionalId",
}
REFUSED = frozenset(
    {
        *FORBIDDEN,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError._AUTHENTICATION,
    }
)
FENCED = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})
GENERATION_OVER = frozenset(
    {KafkaError.ILLEGAL_GENERATION, KafkaError.STALE_MEMBER_EPOCH, KafkaError.REBALANCE_IN_PROGRESS}
)
FENCED_INSTANCE = frozenset({KafkaError.FENCED_INSTANCE_ID, KafkaError.UNRELEASED_INSTANCE_ID})
GROUP_REFUSED = frozenset(
    {
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.GROUP_MAX_SIZE_REACHED,
        KafkaError.INVALID_GROUP_ID,
    }
)
# The position lies outside of what the partition holds, or no offset was committed: auto.offset.reset is "error".
OUT_OF_RANGE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION})
NO_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})


@dataclass(frozen=True, slots=True)
class GroupOf:
    """What `Source.group` hands to `Sink.send_offsets`: the group metadata, and the topic whose offsets these are."""

    topic: str
    metadata: Any


class Watch:
    """Hears librdkafka's error callback, which is the only place where a wrong login shows."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._connected = False
        self.refusal: str | None = None

    def __call__(self, error: KafkaError) -> None:
        code = error.code()
        # A TLS handshake that is cut when a broker goes down looks like a refused one; a certificate problem does not.
        ssl = code == KafkaError._SSL and (not self._connected or is_final(error.str()))
        # That a client certificate is missing, or is not trusted, comes after the handshake.
        alert = code == KafkaError._TRANSPORT and "alert" in error.str() and is_final(error.str())
        if code in REFUSED or ssl or alert:
            self.refusal = error.str()
        else:
            # The rest (_TRANSPORT, _ALL_BROKERS_DOWN) is news: librdkafka goes on trying by itself.
            log.info("%s: %s", error.name(), error.str())

    def connected(self) -> None:
        self._connected = True
        self.refusal = None

    def check(self) -> None:
        """Raise Refused where the brokers have turned this client away since the first contact."""
        if self.refusal is not None:
            raise refused(self._servers, self.refusal)


def settings(identity: Identity, watch: Watch) -> dict[str, Any]:
    """What every client of librdkafka gets; the user's properties win over tuning, never over the protocol."""
    return {
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,  # the default of 10 s would add that much to every broker restart
        "socket.keepalive.enable": True,
        "log.connection.close": False,
        "topic.metadata.refresh.interval.ms": 30_000,  # until a deleted topic or a new partition is noticed
        **for_confluent(identity.client_properties),
        "bootstrap.servers": identity.bootstrap_servers,
        "client.id": identity.slot,
        "error_cb": watch,
        "logger": log,
    }


def made(make: Callable[[dict[str, Any]], Any], conf: dict[str, Any]) -> Any:
    """Build a client; a property that librdkafka does not know is the user's error."""
    try:
        return make(conf)
    except KafkaException as raised:
        error = raised.args[0]
        if error.code() in (KafkaError._INVALID_ARG, KafkaError._CONFLICT, KafkaError._FAIL):
            raise UsageError(f"client property refused by librdkafka: {error.str()}") from None
        raise fault(error, "make a Kafka client") from None


def fault(error: KafkaError, doing: str) -> BrokerFault:
    """The exception for an error outside any transaction."""
    if error.code() in FORBIDDEN:
        return forbidden(FORBIDDEN[error.code()], doing, error.name())
    if error.code() in REFUSED:
        return Refused(f"cannot {doing}: Kafka refused it ({error.str()}); grant the right, or mend the login")
    return Unavailable(f"cannot {doing}: {error.str()}")


def ended(error: KafkaError, doing: str) -> BrokerFault | SinkFailed:
    """The exception for an error of a producer, which is not used again after it."""
    code = error.code()
    if code in FENCED:
        return SinkFenced(f"cannot {doing}: {error.str()}")
    if code in GENERATION_OVER and error.txn_requires_abort():
        return GenerationOver(f"cannot {doing}: {error.str()}")
    if code in REFUSED:
        return fault(error, doing)
    if code in NO_TOPIC:
        return Refused(f"cannot {doing}: {error.str()}; a topic that it writes to was deleted: create it again")
    if code == KafkaError.MSG_SIZE_TOO_LARGE:
        return Refused(
            f"cannot {doing}: a record, or a batch, is larger than its max.message.bytes; raise that ({error.str()})"
        )
    return SinkFailed(f"cannot {doing}: {error.name()}: {error.str()}")


def error_of(producer: Any, raised: BaseException) -> KafkaError:
    """What a call of a producer that is given up now ended with."""
    # A fatal error is set as the exception of a call before that call's callbacks run. Python then finds that a
    # callback returned a result nevertheless, or the exception gone, and raises SystemError.
    known = raised if isinstance(raised, KafkaException) else raised.__cause__
    error = known.args[0] if isinstance(known, KafkaException) else KafkaError(KafkaError._FAIL, str(raised))
    if error.code() in (KafkaError._FATAL, KafkaError._FAIL):  # "there was a fatal error", not which
        try:
            producer.begin_transaction()  # the producer is given up anyway; this tells
        except (KafkaException, SystemError) as asked:
            if isinstance(asked, KafkaException) and asked.args[0].fatal():
                return asked.args[0]  # type: ignore[no-any-return]
    return error


def reach(handle: Any, watch: Watch, servers: str, timeout: float) -> None:
    """Wait for a first answer of the brokers. Raises Unavailable where none comes, Refused on a wrong login."""
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        try:
            # In slices, so that a refusal is told at once. Any name does: the answer is what counts.
            handle.list_topics(topic="__consumer_offsets", timeout=min(left, 0.5))
            watch.connected()
            return
        except KafkaException as raised:
            handle.poll(0)  # serves the error callback
            watch.check()
            if raised.args[0].code() in REFUSED:
                raise fault(raised.args[0], "list topics") from None
    raise Unavailable(
        f"cannot reach Kafka at {servers} within {timeout:g} s; is it running, and is --bootstrap-servers right?"
    )


def partitions_of(handle: Any, topic: str, timeout: float) -> int:
    """How many partitions the topic has. Raises Refused where it is not there or may not be seen, Unavailable."""
    try:
        found = handle.list_topics(topic=topic, timeout=timeout).topics[topic]
    except KafkaException as raised:
        raise fault(raised.args[0], f"describe topic {topic}") from None
    if found.error is None:
        return len(found.partitions)
    if found.error.code() in NO_TOPIC:
        raise Refused(f"topic {topic} is not there; create it, or mend its name")
    raise fault(found.error, f"describe topic {topic}")


def columns(messages: list[Message]) -> list[Records]:
    """Messages to columns; those of a partition are in offset order, in runs as they were fetched."""
    by_partition: dict[Any, list[Message]] = {}
    for partition, run in groupby(messages, key=Message.partition):
        if partition in by_partition:
            by_partition[partition].extend(run)
        else:
            by_partition[partition] = list(run)
    return [
        Records(
            partition,
            list(map(Message.offset, of_one)),  # type: ignore[arg-type]  # a record without an error has them all
            [milliseconds for _, milliseconds in map(Message.timestamp, of_one)],
            list(map(Message.key, of_one)),
            list(map(Message.value, of_one)),
        )
        for partition, of_one in by_partition.items()
    ]
