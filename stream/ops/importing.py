"""`statecast state import`: an exported state becomes that of another application, on this cluster or another.

Invariants
1. Rows, markers and offsets become visible in one transaction, or not at all: what an import leaves that died is no
   state to any start.
2. What becomes of offsets is as stream/ops/placing.py has it.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from export.signature import fingerprint, load
from stream import failpoint
from stream.broker.admin import Admin, TopicInfo
from stream.broker.clients import choose
from stream.broker.port import BATCH_BYTES, Client, Identity, Sink
from stream.errors import BrokerFault, EnvironmentFault, Refused, SinkFailed, UsageError
from stream.ops.changelogs import CALL, Newest, records, spans
from stream.ops.exporting import committed_of, require_empty
from stream.ops.placing import Placing, place
from stream.ops.portable import Digest, Export
from stream.settings import Settings
from stream.state import changelog
from stream.state.beginning import Found, Names, beginning
from stream.state.changelog import Marker
from stream.topics import changelog_name, changelog_of

LONGEST = 900.0  # seconds of the transaction: the brokers' own default of transaction.max.timeout.ms
ABORT = 5.0  # seconds: who stops the command does not wait for a broker that is away


def import_(
    settings: Settings,
    identity: Identity,
    file: Path,
    *,
    model: Path,
    same_offsets: bool,
    positions: Mapping[int, int],
    replace: bool,
    say: Callable[[str], None],
) -> None:
    """Write the state of a file, and read it back. same_offsets: the input's are those of the source, whatever its id.

    Raises UsageError, Refused and Unavailable before anything is written, EnvironmentFault where writing failed.
    """
    client = choose(settings.kafka.client)
    with Export(file) as export, closing(Admin(identity, timeout=CALL)) as admin:
        header = export.header
        known = _check_model(export, file, model)
        export.check()
        source = _input(admin, identity, settings.kafka.input_topic or header.input_topic, header.partitions)
        require_empty(admin, identity, "import")
        same = same_offsets or source.topic_id == header.input_topic_id is not None
        marks = spans(admin, source)
        placings = place(header.parts, positions, same=same, marks=marks, topic=source.name)
        state, lineage = changelog_name(identity.group, known), uuid.uuid4().hex
        markers = {p.part.partition: p.marker(lineage, identity.slot, source.topic_id) for p in placings}
        for p in placings:  # what a start would refuse is refused now
            number = p.part.partition
            found = Found(number, markers[number], p.position, *marks[number], p.position - 1, source.topic_id)
            beginning(found, Names(identity.group, source.name, state), warmup=False)
        # An import that died may have left its transaction open: this ends it, before anything is read.
        with closing(_sink(client, identity)) as sink:
            _make_room(admin, client, identity, source, state, set(markers), replace=replace)
            changelog_of(admin, settings, source, state)
            with _transaction(sink, state):
                for p in placings:
                    for rows in export.rows(p.part):
                        moved = p.rows(rows)
                        _send(
                            sink, state, p.part.partition, changelog.row_keys(moved.keys), changelog.row_values(moved)
                        )
                for number, marker in markers.items():
                    _send(sink, state, number, [changelog.MARKER], [changelog.marker_value(marker)])
                sink.flush(LONGEST)
                failpoint.reach("imported")
                require_empty(admin, identity, "import")
                with closing(_Member(client, identity, source.name)) as member:
                    sink.send_offsets({p.part.partition: p.position for p in placings}, member.group, LONGEST)
                    sink.commit(LONGEST)
        digest = _read_back(admin, client, identity, source, state, placings, markers)
        if digest != header.digest:
            raise EnvironmentFault(
                f"{state}: was read back, and its digest is {digest}, not {header.digest}: somebody else wrote to it; "
                "stop whoever that is, and import again with --replace"
            )
    say(f"{state}: {header.rows} rows of {len(placings)} partitions, read back with the digest of the file, {digest}")
    for p in placings:
        say(f"partition {p.part.partition} goes on at offset {p.position} of {source.name}")


def _check_model(export: Export, file: Path, model: Path) -> str:
    """The model's fingerprint. Raises UsageError where the state is another model's."""
    loaded, signature = load(model)
    known, header = fingerprint(loaded), export.header
    if known[:12] != header.fingerprint:
        raise UsageError(
            f"--model {model}: is {known[:12]}, and {file} is the state of {header.fingerprint}; rows of one model "
            "mean nothing to another: give the model that wrote them, or start the new one with --warmup"
        )
    if header.rows and signature.row_width != header.width:
        raise UsageError(f"{file}: has rows of {header.width} floats, {model} has {signature.row_width}; it is damaged")
    return known


def _input(admin: Admin, identity: Identity, name: str, partitions: int) -> TopicInfo:
    """The input topic to be. Raises Refused where no service could work on it with this state."""
    topic = admin.describe(name)
    if topic is None:
        raise Refused(
            f"--input-topic {name}: does not exist at {identity.bootstrap_servers}; create it, or mend its name"
        )
    if "compact" in topic.config.get("cleanup.policy", ""):
        raise Refused(f"--input-topic {name}: is compacted; use a topic with cleanup.policy=delete")
    if topic.partitions != partitions:
        raise Refused(
            f"--input-topic {name}: has {topic.partitions} partitions, the state {partitions}; a key's partition "
            "follows from their number, so give a topic with as many"
        )
    if (others := admin.group_topics(identity.group)) and name not in others:
        raise Refused(
            f"--application-id {identity.group}: its group is at work on {', '.join(sorted(others))}, not on {name}; "
            "import to another one"
        )
    return topic


def _make_room(
    admin: Admin, client: Client, identity: Identity, source: TopicInfo, state: str, numbers: set[int], *, replace: bool
) -> None:
    """See that the application has no state. replace: delete the one that it has. Raises Refused."""
    committed = {n: at for n, at in committed_of(client, identity, source).items() if at is not None}
    there = admin.describe(state)
    held = there is not None and any(records(client, identity, state, spans(admin, there)))
    if (committed or held) and not replace:
        raise Refused(
            f"--application-id {identity.group}: has a state already (offsets of {len(committed)} partitions, "
            f"{'records' if held else 'none'} in {state}); give another id, or --replace to lose that state"
        )
    if strange := set(committed) - numbers:
        raise Refused(
            f"--application-id {identity.group}: its group has an offset of partition {min(strange)}, of which the "
            "file has no state; delete that (kafka-consumer-groups --delete-offsets), or give another id"
        )
    if held:
        admin.delete(state, 30.0)


def _sink(client: Client, identity: Identity) -> Sink:
    return client.sink(identity, transactional=True, timeout=CALL, transaction_timeout=LONGEST, batch_bytes=BATCH_BYTES)


def _send(sink: Sink, topic: str, partition: int, keys: list[bytes], values: list[bytes]) -> None:
    sink.send(topic, partition, keys, values, [int(time.time() * 1000)] * len(keys))


class _Member:
    """Speaks for a group without members: brokers take offsets of one that never joined only while there are none."""

    def __init__(self, client: Client, identity: Identity, topic: str) -> None:
        self._source = client.source(identity, topic, session_timeout=CALL, timeout=CALL, group_protocol="classic")

    @property
    def group(self) -> object:
        return self._source.group()

    def close(self) -> None:
        self._source.close(leave=False)


@contextlib.contextmanager
def _transaction(sink: Sink, state: str) -> Iterator[None]:
    """Aborted at once where something fails: what was written, and not committed, would hold up every reader."""
    try:
        sink.begin()
        yield
    except SinkFailed as failed:
        raise EnvironmentFault(
            f"{state}: the import's transaction failed ({failed}); what is there is no state, or the whole: import "
            "again with --replace"
        ) from None
    except BaseException:
        with contextlib.suppress(SinkFailed, BrokerFault):
            sink.abort(ABORT)
        raise


def _read_back(
    admin: Admin,
    client: Client,
    identity: Identity,
    source: TopicInfo,
    state: str,
    placings: list[Placing],
    markers: Mapping[int, Marker],
) -> str:
    """The digest of what the changelog now holds; what is no number in it is compared here. Raises EnvironmentFault."""
    topic = admin.describe(state)
    written = {} if topic is None else spans(admin, topic)
    digest = Digest()
    for p in placings:
        number = p.part.partition
        newest = Newest(state)
        for batch in records(client, identity, state, {number: written[number]} if number in written else {}):
            digest.add(number, newest.take(batch))
        if newest.marker != markers[number] or newest.offset >= p.position:
            raise EnvironmentFault(
                f"{state} [{number}]: was read back, and is not what was written; import again with --replace"
            )
    committed = committed_of(client, identity, source)
    if any(committed[p.part.partition] != p.position for p in placings):
        raise EnvironmentFault(
            f"--application-id {identity.group}: its offsets are {committed}, not those that were imported; somebody "
            "moved them: import again with --replace"
        )
    return digest.hex
