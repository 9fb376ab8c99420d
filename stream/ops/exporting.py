"""`statecast state export`: the rows of a stopped application, and where it stood, into one file.

Invariant: per partition, the rows of the file, and the input from its marker's replay offset on, give the rows of its
committed offset (invariant R of stream/state/checkpoint.py). After a clean stop the two offsets are the same, and the
rows say it all. What a start of the service would refuse is refused here, in the same words.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from stream.broker.admin import Admin, TopicInfo
from stream.broker.clients import choose
from stream.broker.port import Client, Identity
from stream.errors import Refused, UsageError
from stream.ops.changelogs import CALL, Named, Newest, find, records, spans
from stream.ops.portable import Digest, Header, Part, Record, Writer
from stream.settings import Settings
from stream.state.beginning import Found, Names, Resume, beginning

STABLE = 20.0  # seconds that transactions with offsets may take; those of the dead are ended after 15


def export(
    settings: Settings, identity: Identity, out: Path, *, model: Path | None, say: Callable[[str], None]
) -> None:
    """Write the file. Raises UsageError, Refused, Unavailable, EnvironmentFault; no file is left then."""
    client = choose(settings.kafka.client)
    with closing(Admin(identity, timeout=CALL)) as admin, Writer(out) as writer:
        named = find(admin, identity, model)
        require_empty(admin, identity, "export")
        source = input_of_group(admin, identity, settings.kafka.input_topic)
        if source.partitions != named.topic.partitions:
            raise Refused(
                f"{named.name}: has {named.topic.partitions} partitions, {source.name} {source.partitions}; name the "
                "topic that the application reads with --input-topic"
            )
        # The committed offsets first: whatever was written with them lies below the changelog's end that is asked then.
        committed = committed_of(client, identity, source)
        marks, ends = spans(admin, source), spans(admin, named.topic)
        digest, parts, width = Digest(), [], named.width
        for number in range(source.partitions):
            newest = Newest(named.name, width)
            for batch in records(client, identity, named.name, {number: ends[number]}):
                newest.take(batch)
            width = newest.width
            found = Found(number, newest.marker, committed[number], *marks[number], newest.offset, source.topic_id)
            begin = beginning(found, Names(identity.group, source.name, named.name), warmup=False)
            if not isinstance(begin, Resume):
                continue
            part = Part(number, begin.until, 0, replace(begin.marker, replay=begin.replay))
            if part.clean:  # no replay will meet an event that lies before a reset
                newest.rows = {key: row for key, row in newest.rows.items() if row.state != "empty"}
            expected = len(newest.rows)
            written = writer.rows(number, _rows(client, identity, named, newest, {number: ends[number]}, digest))
            if written != expected:
                raise Refused(
                    f"{named.name} [{number}]: changed while it was read; stop whoever writes it, and try again"
                )
            parts.append(replace(part, rows=written))
        if not parts:
            raise Refused(f"{named.name}: has no state yet, so there is nothing to export")
        require_empty(admin, identity, "export")
        if committed_of(client, identity, source) != committed:
            raise Refused(f"--application-id {identity.group}: ran while it was exported; stop it, and export again")
        header = Header(
            fingerprint=named.fingerprint,
            width=width or 0,
            application=identity.group,
            input_topic=source.name,
            input_topic_id=source.topic_id,
            partitions=source.partitions,
            parts=parts,
            rows=digest.rows,
            digest=digest.hex,
            written_at=time.time(),
        )
        writer.finish(header)
    say(f"{out}: {header.rows} rows of {len(parts)} partitions of {named.name}, digest {header.digest}")
    for part in parts:
        if not part.clean:
            say(
                f"partition {part.partition}: the stop was not clean. Whoever imports this steps the input again from "
                f"offset {part.marker.replay} to {part.committed}; start and stop the service for a file without that"
            )


def _rows(
    client: Client, identity: Identity, named: Named, newest: Newest, span: dict[int, tuple[int, int]], digest: Digest
) -> Iterator[Record]:
    """A second reading, of the newest row of each stream alone: floats of all streams need not fit into memory."""
    (number,) = span
    wanted = {row.at for row in newest.rows.values()}
    for batch in records(client, identity, named.name, span):
        index = [i for i, offset in enumerate(batch.offsets) if offset in wanted]
        if index:
            part = batch.picked(index)
            digest.add(number, newest.decode(part)[0])
            for key, value in zip(part.keys, part.values, strict=True):
                if key is not None and value is not None:
                    yield key, value


def require_empty(admin: Admin, identity: Identity, doing: str) -> None:
    """Raise Refused while the group has members."""
    if members := admin.group_members(identity.group):
        raise Refused(
            f"--application-id {identity.group}: its group has {members} members; stop the service, and {doing} when "
            "they are gone (at once with --on-stop leave, else after --session-timeout)"
        )


def committed_of(client: Client, identity: Identity, source: TopicInfo) -> dict[int, int | None]:
    """The group's committed offset of each partition, with no transaction open that could move it."""
    with closing(client.offsets(identity, source.name)) as offsets:
        return offsets.committed(range(source.partitions), STABLE)


def input_of_group(admin: Admin, identity: Identity, name: str) -> TopicInfo:
    """The topic that the application reads: as it is named, or the only one that its group has offsets of.

    Raises Refused where it is not there or not the group's, UsageError where it must be named.
    """
    topics = sorted(admin.group_topics(identity.group))
    if not name and len(topics) != 1:
        many = f"has offsets of {', '.join(topics)}" if topics else "has no committed offsets"
        raise UsageError(
            f"--input-topic: is missing, and the group {identity.group} {many}; name the topic that it reads"
        )
    if topics and name and name not in topics:
        raise Refused(
            f"--application-id {identity.group}: its group is at work on {', '.join(topics)}, not on {name}; mend "
            "--input-topic"
        )
    topic = admin.describe(name or topics[0])
    if topic is None:
        raise Refused(
            f"--input-topic {name or topics[0]}: does not exist at {identity.bootstrap_servers}; mend its name"
        )
    return topic
