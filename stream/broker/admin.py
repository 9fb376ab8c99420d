"""Topics: describe and create them. Through kafka-python for both clients, because it is always installed."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import kafka.errors as kafka_errors
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, MemberToRemove

from stream.broker.deadline import Overdue, abandon, bounded
from stream.broker.kafka_python_common import REFUSED, Clock, connected, fault, settings
from stream.broker.logs import log
from stream.broker.port import Identity
from stream.errors import Refused, StatecastError, Unavailable

_EARLIEST, _LATEST = -2, -1  # ListOffsets' own timestamps


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic as the cluster has it."""

    name: str
    partitions: int
    replication_factor: int
    topic_id: str | None  # changes when a topic is deleted and made anew
    config: Mapping[str, str]  # every setting in force, defaults too


class Admin:
    """Calls about topics and groups. Each has a deadline; raises Unavailable, or Refused where rights are missing."""

    def __init__(self, identity: Identity, *, timeout: float = 10.0) -> None:
        self._servers = identity.bootstrap_servers
        self._timeout = timeout
        conf = settings(identity, "admin", timeout, strict=False)
        conf["request_timeout_ms"] = int(timeout * 1000)
        self._admin: Any = connected(KafkaAdminClient, conf, self._servers, timeout)

    def describe(self, topic: str, timeout: float | None = None) -> TopicInfo | None:
        """The topic, or None where it is not there."""
        doing = f"describe topic {topic}"
        clock = Clock(timeout or self._timeout)
        (found,) = self._ask(doing, lambda: self._admin.describe_topics([topic]), clock)
        error = kafka_errors.for_code(found["error_code"])
        if error is kafka_errors.UnknownTopicOrPartitionError:
            return None
        if error is not kafka_errors.NoError:
            raise fault(error(), doing)
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        configs = self._ask(doing, lambda: self._admin.describe_configs([resource], config_filter="all"), clock)
        entries = configs["topic"][topic]
        return TopicInfo(
            name=topic,
            partitions=len(found["partitions"]),
            replication_factor=min(len(p["replica_nodes"]) for p in found["partitions"]),
            topic_id=str(found["topic_id"]) if found.get("topic_id") else None,
            config={name: entry["value"] for name, entry in entries.items() if entry["value"] is not None},
        )

    def create(
        self,
        topic: str,
        partitions: int,
        config: Mapping[str, str],
        replication_factor: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """Create the topic and wait until it can be used; one that is there already is left as it is."""
        doing = f"create topic {topic}"
        clock = Clock(timeout or self._timeout)
        wanted = {
            topic: {
                "num_partitions": partitions,
                "replication_factor": -1 if replication_factor is None else replication_factor,
                "configs": dict(config),
            }
        }
        answer = self._ask(
            doing,
            lambda: self._admin.create_topics(wanted, timeout_ms=clock.milliseconds, raise_errors=False),
            clock,
        )
        (made,) = answer["topics"]
        error = kafka_errors.for_code(made["error_code"])
        if error not in (kafka_errors.NoError, kafka_errors.TopicAlreadyExistsError):
            if issubclass(error, (*REFUSED, kafka_errors.RetriableError)):
                raise fault(error(), doing)
            raise Refused(f"cannot {doing}: {made['error_message'] or error.__name__}")
        self._ask(doing, lambda: self._admin.wait_for_topics([topic], timeout_ms=clock.milliseconds), clock)

    def watermarks(self, topic: str, partitions: Sequence[int], timeout: float) -> dict[int, tuple[int, int]]:
        """Partition -> (first offset still there, high watermark), whatever transactions are open."""
        clock = Clock(timeout)
        low = self._offsets(topic, dict.fromkeys(partitions, _EARLIEST), clock)
        high = self._offsets(topic, dict.fromkeys(partitions, _LATEST), clock)
        return {p: (low[p], high[p]) for p in partitions}

    def ends(self, topic: str, partitions: Sequence[int], timeout: float) -> dict[int, int]:
        """Partition -> last stable offset."""
        return self._offsets(topic, dict.fromkeys(partitions, _LATEST), Clock(timeout), "read_committed")

    def at_time(self, topic: str, partition: int, time: int, timeout: float) -> int | None:
        """The first offset whose record, committed or not, is of that time (milliseconds) or later."""
        found = self._offsets(topic, {partition: time}, Clock(timeout))[partition]
        return found if found >= 0 else None

    def _offsets(
        self,
        topic: str,
        wanted: Mapping[int, int],
        clock: Clock,
        isolation: str = "read_uncommitted",
    ) -> dict[int, int]:
        asked = {TopicPartition(topic, partition): time for partition, time in wanted.items()}
        doing = f"read the offsets of topic {topic}"
        found = self._ask(doing, lambda: self._admin.list_partition_offsets(asked, isolation), clock)
        return {tp.partition: int(at.offset) for tp, at in found.items()}

    def consumer_session_timeout(self, group: str, timeout: float | None = None) -> float | None:
        """Seconds after which a silent member of the group is dropped under KIP-848, where the brokers decide that and
        no client can; None where they have no KIP-848 (the feature group.version)."""
        clock = Clock(timeout or self._timeout)
        doing = f"read the settings of group {group}"
        features = self._ask(doing, self._admin.describe_features, clock)
        if features.get("group.version", {}).get("finalized", (0, 0))[1] < 1:
            return None
        resource = ConfigResource(ConfigResourceType.GROUP, group)
        configs = self._ask(doing, lambda: self._admin.describe_configs([resource], config_filter="all"), clock)
        entry = configs["group"][group].get("consumer.session.timeout.ms")
        return int(entry["value"]) / 1000 if entry else None

    def remove_member(self, group: str, instance: str, timeout: float | None = None) -> None:
        """Let a static member's partitions go to the others at once."""
        clock = Clock(timeout or self._timeout)
        members = [MemberToRemove(group_instance_id=instance)]
        self._ask("leave the group", lambda: self._admin.remove_group_members(group, members), clock)

    def close(self) -> None:
        abandon(self._admin.close, "admin")

    def _ask(self, doing: str, call: Callable[[], Any], clock: Clock) -> Any:
        try:
            return bounded(call, clock.seconds, doing)
        except Overdue:
            raise Unavailable(f"cannot {doing}: Kafka at {self._servers} gave no answer in time") from None
        except kafka_errors.KafkaError as error:
            raise fault(error, doing) from None


def remove_member(identity: Identity, timeout: float = 5.0) -> None:
    """Take the static member of this slot out of its group, which no client does by itself.

    Best effort: where it fails, the member leaves when its session times out.
    """
    try:
        with closing(Admin(identity, timeout=timeout)) as admin:
            admin.remove_member(identity.group, identity.slot)
    except StatecastError as error:
        log.warning("%s does not leave its group at once: %s", identity.slot, error)


def prefers_consumer_protocol(identity: Identity, session_timeout: float, timeout: float) -> bool:
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
