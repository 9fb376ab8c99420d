"""The topics a service stands on: checked before the first poll, created where that is its business."""

import contextlib
from dataclasses import dataclass

from stream.broker.admin import Admin, TopicInfo
from stream.broker.port import Identity
from stream.deadletters import ROOM
from stream.errors import Refused, UsageError
from stream.settings import Settings

KAFKA_MAX_MESSAGE = 1_048_588  # bytes; the broker's default of max.message.bytes
TIMESTAMP_LIMITS = ("message.timestamp.before.max.ms", "message.timestamp.after.max.ms")  # since Kafka 3.6


@dataclass(frozen=True)
class Layout:
    """What the topics look like."""

    partitions: int
    dead_letter_limit: int  # bytes


def prepare(settings: Settings, identity: Identity) -> Layout:
    """Check the input topic, create the missing ones.

    Raises UsageError where two topics are one, Refused where one is missing or laid out wrongly, Unavailable where no
    broker answers.
    """
    kafka = settings.kafka
    names = [kafka.input_topic, kafka.output_topic, settings.dead_letter_topic]
    if len(set(names)) < len(names):
        raise UsageError(f"--input-topic, --output-topic and --dead-letter-topic: {names} must be three topics")
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
        # Outputs carry the timestamps of their events, so they must be welcome wherever those were.
        times = {name: source.config[name] for name in TIMESTAMP_LIMITS if name in source.config}
        _co_partitioned(admin, "--output-topic", kafka.output_topic, source, settings, times)
        # Kafka holds a batch of records against the limit, too: it must have room for what a client puts into one.
        largest = max(KAFKA_MAX_MESSAGE, int(source.config.get("max.message.bytes", KAFKA_MAX_MESSAGE)))
        wanted = {**times, "max.message.bytes": str(largest + ROOM)}
        letters = _co_partitioned(admin, "--dead-letter-topic", settings.dead_letter_topic, source, settings, wanted)
        return Layout(source.partitions, int(letters.config.get("max.message.bytes", KAFKA_MAX_MESSAGE)))


def _co_partitioned(
    admin: Admin, option: str, name: str, source: TopicInfo, settings: Settings, config: dict[str, str]
) -> TopicInfo:
    topic = admin.describe(name)
    if topic is None:
        admin.create(name, source.partitions, config, settings.kafka.replication_factor)
        topic = admin.describe(name) or TopicInfo(name, source.partitions, 1, None, config)
    if topic.partitions != source.partitions:
        raise Refused(
            f"{option} {name}: has {topic.partitions} partitions, the input topic has {source.partitions}; an event's "
            "outcome goes to its own partition number, so give both the same number, or name another topic"
        )
    return topic
