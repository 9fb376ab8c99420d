"""Topics: describe and create them. Through kafka-python for both clients, because it is always installed."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import kafka.errors as kafka_errors
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, MemberToRemove

from stream.broker.deadline import Overdue, abandon, bounded
from stream.broker.kafka_python_common import REFUSED, Clock, connected, fault, settings
from stream.broker.kafka_python_groups import describe as describe_consumer_group
from stream.broker.logs import log
from stream.broker.port import Identity
from stream.broker.refusals import lacking
from stream.errors import Refused, StatecastError, Unavailable

_EARLIEST, _LATEST = -2, -1  # ListOffsets' own timestamps
PAUSE = 0.1  # seconds until a call that failed is repeated


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic as the cluster has it."""

    name: str
    partitions: int
    replication_factor: int
    topic_id: str | None  # changes when a topic is deleted and made anew
    config: Mapping[str, str]  # every setting in force, defaults too
    operations: frozenset[str] | None = None  # what this login may do with it; None: the broker does not tell


class _Client(KafkaAdminClient):  # type: ignore[misc]
    """kafka-python's gives no settings of a topic where they are refused, or a node knows none of it; this raises."""

    @classmethod
    def _describe_configs_process_responses(cls, responses: Sequence[Any], config_filter: str = "modified") -> Any:
        for result in (result for response in responses for result in response.results):
            if result.error_code and result.resource_type == ConfigResourceType.TOPIC:
                raise kafka_errors.for_code(result.error_code)(result.error_message)
        return super()._describe_configs_process_responses(responses, config_filter)


class Admin:
    """Calls about topics and groups. Each has a deadline; raises Unavailable, or Refused where rights are missing."""

    def __init__(self, identity: Identity, *, timeout: float = 10.0) -> None:
        self._servers = identity.bootstrap_servers
        self._timeout = timeout
        conf = settings(identity, "admin", strict=False)
        conf["request_timeout_ms"] = int(timeout * 1000)
        self._admin: Any = connected(_Client, conf, self._servers, timeout)

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
        told = found.get("authorized_operations")
        operations = None if told is None else frozenset(told)
        # Without it the library tells of a topic without settings, and every check of them would pass.
        if (missing := lacking("topic", topic, operations, {"DESCRIBE_CONFIGS": "see its settings"})) is not None:
            raise missing
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        configs = self._ask(doing, lambda: self._admin.describe_configs([resource], config_filter="all"), clock)
        entries = configs["topic"][topic]
        return TopicInfo(
            name=topic,
            partitions=len(found["partitions"]),
            replication_factor=min(len(p["replica_nodes"]) for p in found["partitions"]),
            topic_id=str(found["topic_id"]) if found.get("topic_id") else None,
            config={name: entry["value"] for name, entry in entries.items() if entry["value"] is not None},
            operations=operations,
        )

    def create(
        self,
        topic: str,
        partitions: int,
        config: Mapping[str, str],
        replication_factor: int | None = None,
        timeout: float | None = None,
    ) -> TopicInfo:
        """Create the topic, wait until it can be used, and describe it; one that is there already is left as it is."""
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
        while (there := self.describe(topic, clock.seconds)) is None:  # another node, which has not heard of it yet
            if clock.over:
                raise Unavailable(f"cannot {doing}: Kafka made it, and it is not there yet; start again")
            time.sleep(PAUSE)
        return there

    def topics(self, timeout: float | None = None) -> list[str]:
        """The names of all topics that may be seen, but for Kafka's own."""
        found = self._ask("list topics", self._admin.describe_topics, Clock(timeout or self._timeout))
        return sorted(topic["name"] for topic in found if not topic["is_internal"])

    def delete(self, topic: str, timeout: float | None = None) -> None:
        """Delete the topic and wait until it is gone; one that is not there is no error."""
        doing = f"delete topic {topic}"
        clock = Clock(timeout or self._timeout)
        answer = self._ask(
            doing,
            lambda: self._admin.delete_topics([topic], timeout_ms=clock.milliseconds, raise_errors=False),
            clock,
        )
        (gone,) = answer["topics"]
        error = kafka_errors.for_code(gone["error_code"])
        if error is kafka_errors.UnknownTopicOrPartitionError:
            return
        if error is not kafka_errors.NoError:
            if issubclass(error, (*REFUSED, kafka_errors.RetriableError)):
                raise fault(error(), doing)
            raise Refused(f"cannot {doing}: {gone['error_message'] or error.__name__}")
        while self.describe(topic, clock.seconds) is not None:
            if clock.over:
                raise Unavailable(f"cannot {doing}: Kafka took the order, but the topic is still there")
            time.sleep(0.05)

    def cluster_size(self, timeout: float | None = None) -> int:
        """Brokers in the cluster that are up."""
        found = self._ask("describe the cluster", self._admin.describe_cluster, Clock(timeout or self._timeout))
        return sum(not broker.get("is_fenced") for broker in found["brokers"])

    def watermarks(self, topic: str, partitions: Sequence[int], timeout: float) -> dict[int, tuple[int, int]]:
        """Partition -> (first offset still there, high watermark), whatever transactions are open."""
        clock = Clock(timeout)
        low = self._offsets(topic, dict.fromkeys(partitions, _EARLIEST), clock)
        high = self._offsets(topic, dict.fromkeys(partitions, _LATEST), clock)
        return {p: (low[p], high[p]) for p in partitions}

    def ends(self, topic: str, partitions: Sequence[int], timeout: float) -> dict[int, int]:
        """Partition -> last stable offset."""
        return self._offsets(topic, dict.fromkeys(partitions, _LATEST), Clock(timeout), "read_committed")

    def at_time(self, topic: str, partition: int, at: int, timeout: float) -> int | None:
        """The first offset whose record, committed or not, is of the time at (milliseconds) or later."""
        found = self._offsets(topic, {partition: at}, Clock(timeout))[partition]
        return found if found >= 0 else None

    def _offsets(
        self,
        topic: str,
        wanted: Mapping[int, int],
        clock: Clock,
        isolation: str = "read_uncommitted",
    ) -> dict[int, int]:
        asked = {TopicPartition(topic, partition): at for partition, at in wanted.items()}
        doing = f"read the offsets of topic {topic}"
        found = self._ask(doing, lambda: self._admin.list_partition_offsets(asked, isolation), clock)
        return {tp.partition: int(told.offset) for tp, told in found.items()}

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

    def group_topics(self, group: str, timeout: float | None = None) -> set[str]:
        """The topics for which the group has committed offsets; none where there is no such group."""
        doing = f"read the committed offsets of group {group}"
        clock = Clock(timeout or self._timeout)
        found = self._ask(doing, lambda: self._admin.list_group_offsets(group), clock)[group]
        return {tp.topic for tp, committed in found.items() if committed.offset >= 0}

    def group_members(self, group: str, timeout: float | None = None) -> int:
        """Members of the group now, by either group protocol; 0 where there is no such group. One that was killed, or
        has closed without leaving under the classic protocol, counts until its session times out."""
        doing = f"describe group {group}"
        clock = Clock(timeout or self._timeout)

        def ask() -> int:
            found = self._consumer_group(group)
            if found is None:
                return self._classic_members(group)
            # A static member that closes says so with the epoch -2, and may come back.
            return sum(member["member_epoch"] >= 0 for member in found)

        return int(self._ask(doing, ask, clock))

    def unowned(self, group: str, topic: str, partitions: int, timeout: float | None = None) -> set[int]:
        """Partitions that no member of a classic group has, though no rebalance is under way. Under KIP-848 the brokers
        themselves give every partition to somebody."""
        doing = f"describe group {group}"

        def ask() -> set[int]:
            if self._consumer_group(group) is not None:
                return set()
            found = self._admin.describe_groups([group])[group]
            if found["error"] or found["group_state"] != "Stable":
                return set()
            owned = [
                of_one for member in found["members"] for of_one in member["member_assignment"]["assigned_partitions"]
            ]
            return set(range(partitions)) - {p for of in owned if of["topic"] == topic for p in of["partitions"]}

        return set(self._ask(doing, ask, Clock(timeout or self._timeout)))

    def holds(self, group: str, instance: str, timeout: float | None = None) -> bool:
        """Whether a static member of a KIP-848 group holds its place: it runs, or was killed and its session lasts. One
        that has closed left its place to be taken."""
        doing = f"describe group {group}"

        def ask() -> bool:
            found = self._consumer_group(group) or []
            return any(member["instance_id"] == instance and member["member_epoch"] >= 0 for member in found)

        return bool(self._ask(doing, ask, Clock(timeout or self._timeout)))

    def _consumer_group(self, group: str) -> list[dict[str, Any]] | None:
        """The members of a KIP-848 group; None where it is a classic one, or there is none."""
        try:
            found = self._admin._manager.run(describe_consumer_group, self._admin, group)
        except kafka_errors.IncompatibleBrokerVersion:  # brokers before KIP-848
            return None
        if found["error_code"] == kafka_errors.GroupIdNotFoundError.errno:
            return None
        if found["error_code"]:
            raise kafka_errors.for_code(found["error_code"])(found["error_message"])
        return list(found["members"])

    def _classic_members(self, group: str) -> int:
        found = self._admin.describe_groups([group])[group]
        if found["error"] and "GroupIdNotFound" not in found["error"]:
            raise kafka_errors.CoordinatorNotAvailableError(found["error"])
        return len(found["members"])

    def remove_member(self, group: str, instance: str, timeout: float | None = None) -> None:
        """Let a static member's partitions go to the others at once."""
        clock = Clock(timeout or self._timeout)
        members = [MemberToRemove(group_instance_id=instance)]
        self._ask("leave the group", lambda: self._admin.remove_group_members(group, members), clock)

    def close(self) -> None:
        abandon(self._admin.close, "admin")

    def _ask(self, doing: str, call: Callable[[], Any], clock: Clock) -> Any:
        """Repeats what may pass: a connection that is lost, a group's first coordinator, which takes a moment."""
        while True:
            try:
                return bounded(call, clock.seconds, doing)
            except Overdue:
                raise Unavailable(f"cannot {doing}: Kafka at {self._servers} gave no answer in time") from None
            except kafka_errors.KafkaError as error:
                if clock.over or not isinstance(error, kafka_errors.RetriableError):
                    raise fault(error, doing) from None
            time.sleep(PAUSE)


def release_slot(identity: Identity, timeout: float = 5.0) -> None:
    """Where this slot's place in a KIP-848 group is still held, let it go. Best effort, as `remove_member`.

    KIP-848 refuses a static member while its predecessor's session lasts, even if that was killed; the classic protocol
    lets the successor fence it, and so does this. One that has closed is left alone: its partitions wait for it.
    """
    try:
        with closing(Admin(identity, timeout=timeout)) as admin:
            if admin.holds(identity.group, identity.slot):
                admin.remove_member(identity.group, identity.slot)
    except StatecastError as error:
        log.warning("whether %s holds its place in the group is not known: %s", identity.slot, error)


def remove_member(identity: Identity, timeout: float = 5.0) -> None:
    """Take the static member of this slot out of its group, which no client does by itself.

    Best effort: where it fails, the member leaves when its session times out.
    """
    try:
        with closing(Admin(identity, timeout=timeout)) as admin:
            admin.remove_member(identity.group, identity.slot)
    except StatecastError as error:
        log.warning("%s does not leave its group at once: %s", identity.slot, error)
