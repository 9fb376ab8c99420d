"""confluent-kafka (librdkafka) behind the port: the client of `--client confluent`."""

from stream.broker.admin import prefers_consumer_protocol
from stream.broker.confluent_offsets import ConfluentOffsets
from stream.broker.confluent_reader import ConfluentReader
from stream.broker.confluent_sink import ConfluentSink
from stream.broker.confluent_source import ConfluentSource
from stream.broker.port import GroupProtocol, Identity


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
    ) -> ConfluentSource:
        consumer_protocol = group_protocol == "consumer" or (
            group_protocol == "auto" and prefers_consumer_protocol(identity, session_timeout, timeout)
        )
        return ConfluentSource(
            identity, topic, session_timeout=session_timeout, timeout=timeout, consumer_protocol=consumer_protocol
        )

    def offsets(self, identity: Identity, topic: str) -> ConfluentOffsets:
        return ConfluentOffsets(identity, topic)

    def reader(self, identity: Identity, topic: str, *, timeout: float = 10.0) -> ConfluentReader:
        return ConfluentReader(identity, topic, timeout=timeout)

    def sink(
        self, identity: Identity, *, transactional: bool, timeout: float, transaction_timeout: float = 15.0
    ) -> ConfluentSink:
        return ConfluentSink(
            identity, transactional=transactional, timeout=timeout, transaction_timeout=transaction_timeout
        )
