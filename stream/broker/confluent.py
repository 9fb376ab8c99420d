"""confluent-kafka (librdkafka) behind the port: the client of `--client confluent`."""

from contextlib import closing

from stream.broker.admin import Admin
from stream.broker.confluent_offsets import ConfluentOffsets
from stream.broker.confluent_reader import ConfluentReader
from stream.broker.confluent_sink import ConfluentSink
from stream.broker.confluent_source import ConfluentSource
from stream.broker.logs import log
from stream.broker.port import AHEAD_BYTES, BATCH_BYTES, QUEUE_BYTES, GroupProtocol, Identity
from stream.errors import StatecastError


class ConfluentClient:
    """Makes sources, readers and sinks on librdkafka."""

    name = "confluent"

    def source(
        self,
        identity: Identity,
        topic: str,
        *,
        session_timeout: float,
        timeout: float = 10.0,
        group_protocol: GroupProtocol = "auto",
        ahead_bytes: int = AHEAD_BYTES,
    ) -> ConfluentSource:
        consumer_protocol = group_protocol == "consumer" or (
            group_protocol == "auto" and _prefers_consumer_protocol(identity, session_timeout, timeout)
        )
        return ConfluentSource(
            identity,
            topic,
            session_timeout=session_timeout,
            timeout=timeout,
            consumer_protocol=consumer_protocol,
            ahead_bytes=ahead_bytes,
        )

    def offsets(self, identity: Identity, topic: str) -> ConfluentOffsets:
        return ConfluentOffsets(identity, topic)

    def reader(self, identity: Identity, topic: str, *, timeout: float = 10.0) -> ConfluentReader:
        return ConfluentReader(identity, topic, timeout=timeout)

    def sink(
        self,
        identity: Identity,
        *,
        transactional: bool,
        timeout: float,
        transaction_timeout: float = 15.0,
        batch_bytes: int = BATCH_BYTES,
        queue_bytes: int = QUEUE_BYTES,
    ) -> ConfluentSink:
        return ConfluentSink(
            identity,
            transactional=transactional,
            timeout=timeout,
            transaction_timeout=transaction_timeout,
            batch_bytes=batch_bytes,
            queue_bytes=queue_bytes,
        )


def _prefers_consumer_protocol(identity: Identity, session_timeout: float, timeout: float) -> bool:
    """Whether KIP-848 serves this member better than the classic group protocol.

    Partitions that stay are not interrupted by its rebalances. But the brokers alone set its session timeout, 45 s by
    default, and a dead member's partitions wait for that: it must be no longer than the one asked for.
    """
    with closing(Admin(identity, timeout=timeout)) as admin:
        try:
            offered = admin.consumer_session_timeout(identity.group)
        except StatecastError as error:  # an older broker, or no right to know
            log.info("the classic group protocol it is: %s", error)
            return False
    return offered is not None and offered <= session_timeout
