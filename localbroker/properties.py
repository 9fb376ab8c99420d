"""The settings of the embedded Kafka, as text. Pure: no files, no processes."""

from collections.abc import Mapping

HOST = "127.0.0.1"

# One node, so one replica of everything; few internal partitions and no rebalance delay, so that it starts fast; and
# the time-outs that a failure test waits for are short.
_FIXED = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # After a kill the node may register again only when its former session has run out.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # The same for KIP-848, where the times are the broker's: 45 s and 5 s by default.
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "10000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    "log.cleaner.backoff.ms": "500",
    "log.cleaner.dedupe.buffer.size": str(16 * 2**20),  # 128 MiB by default, of a heap of 512
}


def broker_properties(
    data: str, broker_port: int, controller_port: int, overrides: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The properties of a node that keeps its logs in the folder `data`, seen from where it runs; `overrides` win.

    Seen from there because log.dirs is a list with commas, which a path may have too.
    """
    listeners = f"PLAINTEXT://{HOST}:{broker_port},CONTROLLER://{HOST}:{controller_port}"
    places = {
        "listeners": listeners,
        "advertised.listeners": listeners,
        "controller.quorum.bootstrap.servers": f"{HOST}:{controller_port}",
        "log.dirs": data,
    }
    return {**_FIXED, **places, **(overrides or {})}


def as_text(properties: Mapping[str, str]) -> str:
    """The Java properties file, whose escapes begin with a backslash."""
    return "".join(f"{name}={value}\n".replace("\\", "\\\\") for name, value in properties.items())
