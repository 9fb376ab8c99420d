"""The topics a service stands on: checked before the first poll, created where that is its business."""

import contextlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from stream.broker.admin import Admin, TopicInfo
from stream.broker.port import BATCH_BYTES, Identity
from stream.broker.refusals import lacking
from stream.deadletters import ROOM
from stream.errors import BrokerFault, Refused, UsageError
from stream.settings import Settings

T = TypeVar("T")

log = structlog.get_logger()

KAFKA_MAX_NAME = 249  # characters of a topic's name
KAFKA_MAX_MESSAGE = 1_048_588  # bytes; the broker's default of max.message.bytes
TIMESTAMP_LIMITS = ("message.timestamp.before.max.ms", "message.timestamp.after.max.ms")  # since Kafka 3.6


LEAST_BATCH = 16_384  # bytes; a topic that takes less is refused by what fails, a larger record goes alone
SEGMENT_BYTES = 32 << 20  # of the changelog: what a restore may read beyond the newest rows

# A segment is compacted once it is closed; it must not stay open for long, or a quiet changelog would not shrink.
# Tombstones stay for a day: that long a snapshot may be old, and a restore may take.
CHANGELOG = {
    "cleanup.policy": "compact",
    "segment.bytes": str(SEGMENT_BYTES),
    "segment.ms": str(3600 * 1000),
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": str(24 * 3600 * 1000),
}


@dataclass(frozen=True)
class Layout:
    """What the topics look like."""

    input: TopicInfo
    changelog: TopicInfo
    dead_letter_limit: int  # bytes
    batch_limit: int = BATCH_BYTES  # bytes of one batch of records

    @property
    def partitions(self) -> int:
        return self.input.partitions

    @property
    def tombstones(self) -> float:
        """Seconds for which the changelog keeps tombstones."""
        return int(self.changelog.config.get("delete.retention.ms", 0)) / 1000


def changelog_name(application_id: str, fingerprint: str) -> str:
    """The changelog of one application and one model."""
    return f"{application_id}.{fingerprint[:12]}.state"


def changelogs_of(application_id: str, topics: Iterable[str]) -> list[str]:
    """Those of the topics that are changelogs of the application, by their names."""
    own = re.compile(re.escape(application_id) + r"\.[0-9a-f]{12}\.state")
    return [topic for topic in topics if own.fullmatch(topic)]


def prepare(settings: Settings, identity: Identity, fingerprint: str) -> Layout:
    """Check the input topic, create the missing ones. fingerprint: the model's.

    Raises UsageError where two topics are one or a name is too long, Refused where one is missing or laid out wrongly,
    Unavailable where no broker answers.
    """
    kafka = settings.kafka
    names = [kafka.input_topic, kafka.output_topic, settings.dead_letter_topic]
    if len(set(names)) < len(names):
        raise UsageError(f"--input-topic, --output-topic and --dead-letter-topic: {names} must be three topics")
    state = changelog_name(settings.application_id, fingerprint)
    _check_length("the changelog's name", state, "--application-id")
    _check_length("the name for dead letters", settings.dead_letter_topic, "--dead-letter-topic")
    with contextlib.closing(Admin(identity)) as admin:
        source = admin.describe(kafka.input_topic)
        if source is None:
            raise Refused(
                f"--input-topic {kafka.input_topic}: does not exist at {identity.bootstrap_servers}; "
                "create it, with as many partitions as you will need"
            )
        if "compact" in source.config.get("cleanup.policy", ""):
            raise Refused(
                f"--input-topic {kafka.input_topic}: is compacted, and a replay could not see what compaction took; "
                "use a topic with cleanup.policy=delete"
            )
        check_group(admin, settings)
        # What is there is looked at before anything is made; the changelog first, because it knows the most.
        if (there := admin.describe(state)) is not None:
            check_changelog(there, source)
        for option, name in (
            ("--output-topic", kafka.output_topic),
            ("--dead-letter-topic", settings.dead_letter_topic),
        ):
            if (there := admin.describe(name)) is not None:
                check_partitions(option, there, source)
        changelog = changelog_of(admin, settings, source, state)
        if changelog.replication_factor == 1 and (brokers := admin.cluster_size()) > 1:
            log.warning("changelog_has_one_replica", topic=state, brokers=brokers, mend="raise its replication factor")
        # Outputs carry the timestamps of their events, so they must be welcome wherever those were.
        times = {name: source.config[name] for name in TIMESTAMP_LIMITS if name in source.config}
        output = _co_partitioned(admin, "--output-topic", kafka.output_topic, source, settings, times)
        # Kafka holds a batch of records against the limit, too: it must have room for what a client puts into one.
        largest = max(KAFKA_MAX_MESSAGE, _limit(source))
        wanted = {**times, "max.message.bytes": str(largest + ROOM)}
        letters = _co_partitioned(admin, "--dead-letter-topic", settings.dead_letter_topic, source, settings, wanted)
        _check_rights(source, output, letters, changelog)
        return Layout(
            source,
            changelog,
            _limit(letters),
            max(LEAST_BATCH, min(BATCH_BYTES, *map(_limit, (output, letters, changelog)))),
        )


def _check_rights(source: TopicInfo, output: TopicInfo, letters: TopicInfo, changelog: TopicInfo) -> None:
    """Raise Forbidden where a right is missing that would be missed only later: with the first dead letter, perhaps."""
    needs = {
        "--input-topic": (source, {"READ": "read it"}),
        "--output-topic": (output, {"WRITE": "write it"}),
        "--dead-letter-topic": (letters, {"WRITE": "write it"}),
        "changelog": (changelog, {"READ": "read it", "WRITE": "write it"}),
    }
    for option, (topic, needed) in needs.items():
        if (missing := lacking(option, topic.name, topic.operations, needed)) is not None:
            raise missing


def _limit(topic: TopicInfo) -> int:
    """The bytes that one batch of the topic's records may have."""
    return int(topic.config.get("max.message.bytes", KAFKA_MAX_MESSAGE))


def _check_length(what: str, name: str, option: str) -> None:
    """Of a name that was made from others."""
    if len(name) > KAFKA_MAX_NAME:
        raise UsageError(
            f"{name}, {what}, would have {len(name)} characters, and Kafka takes {KAFKA_MAX_NAME}; "
            f"give a shorter {option}"
        )


def _co_partitioned(
    admin: Admin, option: str, name: str, source: TopicInfo, settings: Settings, config: dict[str, str]
) -> TopicInfo:
    topic = admin.describe(name)
    if topic is None:
        topic = admin.create(name, source.partitions, config, settings.kafka.replication_factor)
    check_partitions(option, topic, source)
    return topic


def check_partitions(option: str, topic: TopicInfo, source: TopicInfo) -> None:
    if topic.partitions != source.partitions:
        raise Refused(
            f"{option} {topic.name}: has {topic.partitions} partitions, the input topic has {source.partitions}; an "
            "event's outcome goes to its own partition number, so give both the same number, or name another topic"
        )


def check_group(admin: Admin, settings: Settings) -> None:
    """An application id belongs to one input topic: group, transactional ids and changelogs are named after it."""
    topics = admin.group_topics(settings.application_id)
    if topics and settings.kafka.input_topic not in topics:
        raise Refused(
            f"--application-id {settings.application_id}: its group is at work on {', '.join(sorted(topics))}, not on "
            f"{settings.kafka.input_topic}; use another --application-id"
        )


def changelog_of(admin: Admin, settings: Settings, source: TopicInfo, name: str) -> TopicInfo:
    """The changelog, created where it is missing. Nothing of one that is there is changed. Raises as `prepare`."""
    topic = admin.describe(name)
    if topic is None:
        topic = admin.create(name, source.partitions, CHANGELOG, settings.kafka.replication_factor)
    check_changelog(topic, source)
    return topic


def check_changelog(topic: TopicInfo, source: TopicInfo) -> None:
    name = f"changelog {topic.name}"
    if topic.partitions != source.partitions:
        raise Refused(
            f"{name}: has {topic.partitions} partitions, --input-topic {source.name} {source.partitions}; "
            "if partitions were added to the input, its keys now go to other partitions, away from their streams' "
            "state: start anew under another --application-id, with a new --output-topic"
        )
    policy = topic.config.get("cleanup.policy", "")
    if policy != "compact":
        raise Refused(
            f"{name}: has cleanup.policy={policy}, which loses rows or never lets go of old ones; set it to "
            "compact (kafka-configs --alter --add-config cleanup.policy=compact)"
        )
    if int(topic.config.get("delete.retention.ms", 0)) < 3600 * 1000:
        raise Refused(
            f"{name}: has delete.retention.ms={topic.config.get('delete.retention.ms')}; a restore that "
            "takes longer would miss tombstones: set it to 86400000"
        )


class AdminLooks:
    """Looks at topics and at the group, again and again. Waits for the broker: for another thread than the loop's."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._admin: Admin | None = None

    def topic(self, name: str) -> TopicInfo | None:
        """The topic as it is now; None where it is not there. Raises BrokerFault."""
        return self._ask(lambda admin: admin.describe(name))

    def unowned(self, topic: str, partitions: int) -> set[int]:
        """Partitions that no member of the group has, though it is at rest. Raises BrokerFault."""
        return self._ask(lambda admin: admin.unowned(self._identity.group, topic, partitions))

    def _ask(self, call: Callable[[Admin], T]) -> T:
        try:
            if self._admin is None:
                self._admin = Admin(self._identity)
            return call(self._admin)
        except BrokerFault:
            if self._admin is not None:
                self._admin.close()
                self._admin = None
            raise
