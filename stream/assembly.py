"""Puts a worker together: who knows whom. Nothing works here."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from engine.model import Network
from engine.step import Engine
from stream import formats, metrics
from stream.admission import Admission, Beginnings
from stream.broker.port import Client, Identity
from stream.ceiling import Ceiling
from stream.clerk import Clerk
from stream.codec import Codec
from stream.desk import Desk
from stream.errands import Errands
from stream.errors import EnvironmentFault, UsageError
from stream.group import Group
from stream.lag import Lags
from stream.link import CALL_TIMEOUT, Access, Link
from stream.lookback import Lookback
from stream.mending import Mending
from stream.origins import Origins
from stream.overview import Glance
from stream.pending import Pending
from stream.pipeline import Pipeline, Topics
from stream.recent import Recent
from stream.settings import Settings
from stream.state.beginning import Names
from stream.state.changelog import Rules
from stream.state.checkpoint import Checkpoint
from stream.state.fencing import Fencing
from stream.state.files import StateDir
from stream.state.keeper import Author, Keeper, machine
from stream.state.places import Brokers
from stream.state.questions import Questions
from stream.state.restore import Restorer
from stream.state.snapshots import Origin, Snapshots
from stream.topics import AdminLooks, Layout
from stream.watch import Looks, Watch
from stream.worker import Plan, Rooms, Worker

if TYPE_CHECKING:
    from stream.state.spill import Spill

HAND_OVER = 1 / 3  # of the session timeout: a member that takes longer to let go of partitions may be thrown out
SHARE_OF_ROOM = 4  # a batch may bring new streams for a quarter of the rows, so that the others can make room

Make = Callable[[Plan, Rooms, Callable[[], bool], Callable[[], float]], Worker]  # as Worker itself


@dataclass(frozen=True, slots=True)
class Storage:
    """What --state-dir gives."""

    place: StateDir
    spill: "Spill"


@contextlib.contextmanager
def worker_of(
    settings: Settings,
    client: Client,
    identity: Identity,
    model: Network,
    layout: Layout,
    stopping: Callable[[], bool],
    make: Make = Worker,
) -> Iterator[Worker]:
    """A worker that can run, once. What it holds on the disk is let go at the end."""
    with contextlib.ExitStack() as stack:
        storage: Storage | None = None
        if settings.state.state_dir is not None:
            place = stack.enter_context(
                StateDir(settings.state.state_dir, settings.application_id, model.fingerprint, settings.slot)
            )
            from stream.state.spill import Spill  # a native library, loaded only where it is used

            spill = stack.enter_context(contextlib.closing(Spill(place.spill_path, model.row_width)))
            storage = Storage(place, spill)
            metrics.DISK_ROWS.set_function(spill.__len__)
        try:
            capacity = Engine.capacity_for(model, settings.limits.memory_limit)
            engine = Engine(model, capacity, None if storage is None else storage.spill)
        except MemoryError:
            raise UsageError(
                f"--memory-limit {settings.limits.memory_limit}: more bytes than this machine can reserve; lower it"
            ) from None
        access = Access(
            client,
            identity,
            settings.kafka.input_topic,
            layout.changelog.name,
            layout.batch_limit,
            layout.dead_letter_limit,
            settings.limits.in_flight_limit,
            exactly_once=settings.delivery.delivery == "exactly_once",
            session_timeout=settings.kafka.session_timeout,
            broker_timeout=settings.delivery.broker_timeout,
        )
        yield assemble(settings, access, layout, engine, storage, AdminLooks(identity), stopping, make=make)


def assemble(
    settings: Settings,
    access: Access,
    layout: Layout,
    engine: Engine,
    storage: Storage | None,
    looks: Looks,
    stopping: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
    questions: Questions | None = None,
    make: Make = Worker,
) -> Worker:
    """A worker on an engine and a client. questions: who asks what a broker may take long to answer."""
    kafka, delivery, state = settings.kafka, settings.delivery, settings.state
    model = engine.model
    rules = Rules(
        None if state.state_ttl is None else round(state.state_ttl * 1000),
        settings.limits.max_key_bytes,
        settings.limits.max_value_bytes,
        kafka.codec,
        state.poison_policy,
        tuple(sorted(kafka.field.items())),
    )
    link, group = Link(access, clock, stopping), Group()

    def apart() -> Questions:
        """Those who ask there hold up nobody else, however long it takes."""
        return questions or Questions()

    watching, asking, measuring, restoring = apart(), apart(), apart(), apart()
    checkpoint = Checkpoint(engine, state.checkpoint_interval, delivery.commit_interval)
    author = Author(access.identity.slot, layout.input.topic_id, rules, machine=machine(model.provider))
    keeper = Keeper(engine, checkpoint, author)
    source, changelog = link.offsets(kafka.input_topic), link.offsets(layout.changelog.name)
    snapshots = None
    if storage is not None:
        origin = Origin(
            layout.changelog.topic_id or "",
            layout.tombstones,
            lambda numbers: {n: high for n, (_, high) in changelog.watermarks(numbers, CALL_TIMEOUT).items()},
        )
        snapshots = Snapshots(
            engine, keeper, storage.place, storage.spill, origin, restoring, state.snapshot_interval, clock
        )
    places = Brokers(source, changelog, link.offsets(kafka.output_topic))
    restorer = Restorer(
        engine,
        layout.changelog.name,
        link,
        places,
        Fencing(link.fence, places, access.identity.slot, restoring, clock),
        restoring,
        clock,
        snapshots.find if snapshots else lambda _: None,
    )
    origins = Origins(link, source, kafka.input_topic, latest=state.start == "latest")
    beginnings = Beginnings(
        Names(settings.application_id, kafka.input_topic, layout.changelog.name),
        layout.input.topic_id,
        state.warmup,
        origins.stretch,
        origins.first,
    )
    admission = Admission(beginnings, group, keeper, restorer, restoring, clock)
    ceiling = Ceiling(
        engine,
        checkpoint,
        None if storage is None else storage.spill,
        snapshots.moved if snapshots else lambda _, __: None,
        clock,
    )
    recent = Recent(prod(model.signature.output_shape))
    pending = Pending(
        link, group, engine, keeper, admission, ceiling, snapshots, recent, delivery.commit_interval, clock
    )
    lags = Lags(group, lambda: link.offsets(kafka.input_topic), measuring)
    spill = None if storage is None else storage.spill
    glance = Glance(group, engine, recent, lags, restorer.progress, spill or ())

    def codec(rules: Rules) -> Codec:
        return Codec(
            _format(rules.codec, kafka.codec, layout.changelog.name),
            model.signature,
            model.fingerprint,
            max_key_bytes=rules.max_key_bytes,
            max_value_bytes=rules.max_value_bytes,
            poison=rules.poison != "skip",
            fields=dict(rules.field),
        )

    desk = Desk()
    clerk = Clerk(
        desk,
        Errands(engine, group, recent, spill),
        Lookback(link, kafka.input_topic, asking),
        model,
        lambda: codec(rules),
        formats.find(kafka.codec).decoder(dict),
        layout.partitions,
        glance.since,
    )
    own_offsets = link.offsets(kafka.input_topic)  # the others are asked on another thread
    rooms = Rooms(
        link=link,
        group=group,
        engine=engine,
        pipeline=Pipeline(
            Topics(kafka.input_topic, kafka.output_topic, settings.dead_letter_topic, layout.dead_letter_limit),
            engine,
            codec,
            recent,
        ),
        keeper=keeper,
        pending=pending,
        mending=Mending(link, group, own_offsets, pending, access.broker_timeout, clock, stopping),
        admission=admission,
        ceiling=ceiling,
        watch=Watch(layout.input, layout.changelog, looks, watching, link.heard, clock),
        snapshots=snapshots,
        recent=recent,
        lags=lags,
        desk=desk,
        clerk=clerk,
    )
    plan = Plan(
        partitions=layout.partitions,
        batch=max(1, min(delivery.batch, engine.model.most_events, engine.slots.capacity // SHARE_OF_ROOM)),
        hand_over=kafka.session_timeout * HAND_OVER,
        leave=delivery.on_stop == "leave",
        until_end=delivery.until_end,
        rules=rules,
    )

    return make(plan, rooms, stopping, clock)


def _format(name: str, now: str, changelog: str) -> formats.Format:
    """Of events as they are written now, or as they were when a marker was written. Raises EnvironmentFault."""
    try:
        return formats.find(name)
    except UsageError as error:
        if name == now:
            raise
        raise EnvironmentFault(
            f"changelog {changelog}: its last events were read by another codec, and have to be read again ({error}); "
            "keep that codec in reach until this start has gone live"
        ) from None
