"""kafka-python behind the port: the client of `--client kafka-python`, always installed."""

from stream.broker.kafka_python_offsets import KafkaPythonOffsets
from stream.broker.kafka_python_reader import KafkaPythonReader
from stream.broker.kafka_python_sink import KafkaPythonSink
from stream.broker.kafka_python_source import KafkaPythonSource
from stream.broker.port import AHEAD_BYTES, BATCH_BYTES, QUEUE_BYTES, GroupProtocol, Identity
from stream.errors import UsageError


class KafkaPythonClient:
    """Makes sources, readers and sinks on kafka-python. It has no KIP-848: "auto" is the classic group protocol."""

    name = "kafka-python"

    def source(
        self,
        identity: Identity,
        topic: str,
        *,
        session_timeout: float,
        timeout: float = 10.0,
        group_protocol: GroupProtocol = "auto",
        ahead_bytes: int = AHEAD_BYTES,
    ) -> KafkaPythonSource:
        if group_protocol == "consumer":
            raise UsageError("group protocol consumer (KIP-848): kafka-python has it not; use --client confluent")
        return KafkaPythonSource(
            identity, topic, session_timeout=session_timeout, timeout=timeout, ahead_bytes=ahead_bytes
        )

    def offsets(self, identity: Identity, topic: str) -> KafkaPythonOffsets:
        return KafkaPythonOffsets(identity, topic)

    def reader(self, identity: Identity, topic: str, *, timeout: float = 10.0) -> KafkaPythonReader:
        return KafkaPythonReader(identity, topic, timeout=timeout)

    def sink(
        self,
        identity: Identity,
        *,
        transactional: bool,
        timeout: float,
        transaction_timeout: float = 15.0,
        batch_bytes: int = BATCH_BYTES,
        queue_bytes: int = QUEUE_BYTES,
    ) -> KafkaPythonSink:
        return KafkaPythonSink(
            identity,
            transactional=transactional,
            timeout=timeout,
            transaction_timeout=transaction_timeout,
            batch_bytes=batch_bytes,
            queue_bytes=queue_bytes,
        )
