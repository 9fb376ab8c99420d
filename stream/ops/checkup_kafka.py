"""A look at what `serve` stands on in Kafka: cluster, topics, rights, the group's place, the last events. It changes
nothing, joins no group and takes nobody's slot."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property

from engine.model import Network
from stream.broker.admin import TopicInfo
from stream.broker.clients import choose
from stream.broker.port import Identity, Records
from stream.broker.rights import Cluster, Rights
from stream.codec import Codec
from stream.formats import find
from stream.ops.findings import Finding, Level
from stream.settings import Settings
from stream.topics import check_changelog, check_group, check_partitions

SAMPLE = 200  # events of each partition that are looked at
PATIENCE = 10.0  # seconds that reading them may take
FUTURE = 60.0  # seconds that an event may be ahead of this machine's clock


@dataclass(frozen=True)
class Place:
    """What is looked at."""

    settings: Settings
    identity: Identity
    rights: Rights
    changelog: str | None  # None: which it is depends on a model that cannot be read
    _topics: dict[str, TopicInfo | None] = field(default_factory=dict, init=False)

    @cached_property
    def cluster(self) -> Cluster:
        """Asked for once."""
        return self.rights.cluster()

    def topic(self, name: str) -> TopicInfo | None:
        """As it was when it was first asked for; None where it was not there. One that raised is asked for again."""
        if name not in self._topics:
            self._topics[name] = self.rights.describe(name)
        return self._topics[name]


def of_cluster(place: Place) -> Iterator[Finding]:
    began = time.monotonic()
    cluster = place.cluster
    seconds = time.monotonic() - began
    plural = "s" if cluster.brokers != 1 else ""
    said = f"{cluster.brokers} broker{plural} at {place.identity.bootstrap_servers}, answers in {seconds * 1000:.0f} ms"
    yield Finding("broker", "ok", said)
    if not cluster.group_protocol:
        mend = "upgrade to Apache Kafka 4 for rebalances that stop nothing (KIP-848)"
        yield Finding("broker", "note", "has no KIP-848 group protocol", mend)


def of_topics(place: Place) -> Iterator[Finding]:
    kafka = place.settings.kafka
    source = place.topic(kafka.input_topic)
    if source is None:
        mend = "create it, with as many partitions as you will ever need"
        yield Finding("input topic", "fault", f"{kafka.input_topic} is not there", mend)
        return
    yield from _input(source)
    if (workers := place.settings.delivery.workers) > source.partitions:
        said = (
            f"--workers {workers}: {source.name} has {source.partitions} partitions, a worker without one has no work"
        )
        yield Finding("workers", "fault", said, f"give at most {source.partitions}")
    brokers = place.cluster.brokers
    others = [
        ("output topic", "--output-topic", kafka.output_topic),
        ("dead-letter topic", "--dead-letter-topic", place.settings.dead_letter_topic),
    ]
    others += [("changelog", "", place.changelog)] if place.changelog else []
    for what, option, name in others:
        there = place.topic(name)
        if there is None:
            yield Finding(what, "ok", f"{name} is not there yet; `serve` creates it")
            continue
        if option:
            check_partitions(option, there, source)
        else:
            check_changelog(there, source)
        yield from _replicas(what, there, brokers)
    for name in (kafka.input_topic, *(name for _, _, name in others)):
        if place.topic(name) is not None and (short := place.rights.offline(name)):
            mend = "see which broker is down: kafka-topics --describe --under-replicated-partitions"
            yield Finding("replicas", "warning", f"{name}: partitions {short} lack some", mend)


def _input(source: TopicInfo) -> Iterator[Finding]:
    policy = source.config.get("cleanup.policy", "")
    said = f"{source.name} has {source.partitions} partitions"
    if "compact" in policy:
        mend = "use a topic with cleanup.policy=delete: a replay could not see what compaction took"
        yield Finding("input topic", "fault", f"{said} and is compacted", mend)
        return
    yield Finding("input topic", "ok", said)
    kept = int(source.config.get("retention.ms", -1)) / 3_600_000
    if 0 <= kept < 24:
        mend = "an outage that lasts longer loses events for good: raise retention.ms"
        yield Finding("input topic", "warning", f"{source.name} keeps events for {kept:.1f} hours", mend)


def _replicas(what: str, topic: TopicInfo, brokers: int) -> Iterator[Finding]:
    said = f"{topic.name}, {topic.partitions} partitions, {topic.replication_factor} replicas"
    least = int(topic.config.get("min.insync.replicas", 1))
    if topic.replication_factor == 1 and brokers > 1:
        yield Finding(what, "warning", said, "a broker that is lost takes it along: raise its replication factor")
    elif 1 < topic.replication_factor == least:
        mend = "no broker may be down while it is written: lower min.insync.replicas by one"
        yield Finding(what, "warning", f"{said}, min.insync.replicas {least}", mend)
    else:
        yield Finding(what, "ok", said)


def of_rights(place: Place) -> Iterator[Finding]:
    kafka = place.settings.kafka
    needs = {
        kafka.input_topic: {"READ", "DESCRIBE", "DESCRIBE_CONFIGS"},
        kafka.output_topic: {"WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"},
        place.settings.dead_letter_topic: {"WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"},
    }
    if place.changelog is not None:
        needs[place.changelog] = {"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"}
    missing, absent = [], []
    for name, wanted in needs.items():
        topic = place.topic(name)
        if topic is None:
            absent.append(name)
        elif lacks := sorted(wanted - (topic.operations or frozenset())):
            missing.append(f"{', '.join(lacks)} on topic {name}")
    if absent and "CREATE" not in place.cluster.rights:
        mend = "create them beforehand, or grant it (on these topics is enough; that alone is not seen here)"
        yield Finding("rights", "warning", f"no CREATE on the cluster, and {', '.join(absent)} are not there", mend)
    if missing:
        yield Finding("rights", "fault", f"no {'; no '.join(missing)}", "grant it: docs/security.md lists all rights")
    else:
        yield Finding("rights", "ok", "on the topics that are there: all that are needed")


def of_group(place: Place) -> Iterator[Finding]:
    """Where the application stands."""
    settings = place.settings
    check_group(place.rights, settings)
    members = place.rights.group_members(settings.application_id)
    source = place.topic(settings.kafka.input_topic)
    if source is None:
        return
    numbers = range(source.partitions)
    with closing(choose(settings.kafka.client).offsets(place.identity, source.name)) as offsets:
        committed = offsets.committed(numbers, PATIENCE)
        marks = offsets.watermarks(numbers, PATIENCE)
    known = {p: at for p, at in committed.items() if at is not None}
    if not known:
        yield Finding("group", "ok", f"{settings.application_id} is new, and begins at --start {settings.state.start}")
        return
    lag = sum(max(0, marks[p][1] - at) for p, at in known.items())
    said = f"{settings.application_id} has {members} members and {lag:,} events before it"
    lost = sorted(p for p, at in known.items() if at < marks[p][0])
    if lost:
        mend = "its events were deleted before they were read: docs/runbook.md, `retention has deleted`"
        yield Finding("group", "fault", f"{said}; partitions {lost} begin above the committed offset", mend)
    elif place.changelog is not None and place.topic(place.changelog) is None:
        mend = "the model is another one than before: give --warmup, or the model that was served"
        yield Finding("group", "warning" if settings.state.warmup else "fault", f"{said}, but no state", mend)
    else:
        yield Finding("group", "ok", said)


def of_events(place: Place, model: Network) -> Iterator[Finding]:
    """The last events, read as `serve` would."""
    settings = place.settings
    codec = Codec(
        find(settings.kafka.codec),
        model.signature,
        model.fingerprint,
        max_key_bytes=settings.limits.max_key_bytes,
        max_value_bytes=settings.limits.max_value_bytes,
        fields=settings.kafka.field,
    )
    batches = _last(place)
    if not batches:
        yield Finding("events", "note", f"{settings.kafka.input_topic} holds none", "send some, and look again")
        return
    rejected = codec.decode(batches).rejected
    count = sum(value is not None for batch in batches for value in batch.values)  # a null is no event, but a reset
    codes = Counter(one.code for one in rejected).most_common(1)
    if codes:
        example = next(one for one in rejected if one.code == codes[0][0])
        said = f"{len(rejected)} of the last {count} cannot be read, e.g. {example.partition}:{example.offset}"
        level: Level = "fault" if len(rejected) >= count else "warning"
        yield Finding(
            "events", level, f"{said}: {example.message}", "mend the producer, --codec, --field, or the model"
        )
    else:
        yield Finding("events", "ok", f"the last {count} can be read")
    ahead = max(batch.timestamps[-1] for batch in batches) / 1000 - time.time()
    if ahead > FUTURE:
        mend = "mend the producer's clock, or this machine's: --state-ttl goes by these times"
        yield Finding("clock", "warning", f"the newest event is {ahead:.0f} s ahead of this machine", mend)


def _last(place: Place) -> list[Records]:
    topic, client = place.settings.kafka.input_topic, choose(place.settings.kafka.client)
    source = place.topic(topic)
    with closing(client.offsets(place.identity, topic)) as offsets:
        marks = offsets.watermarks(range(source.partitions if source else 0), PATIENCE)
    filled = {p: (max(low, high - SAMPLE), high) for p, (low, high) in marks.items() if high > low}
    found: list[Records] = []
    with closing(client.reader(place.identity, topic)) as reader:
        for partition, (begin, _) in filled.items():
            reader.add(partition, begin)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and any((reader.position(p) or 0) < high for p, (_, high) in filled.items()):
            found += reader.poll(SAMPLE, 0.2)
    return [batch for batch in found if len(batch)]
