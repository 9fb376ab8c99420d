"""From settings to a running worker: checks what it stands on, in the order in which a mistake is cheapest to find."""

import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import structlog

from stream import fields, logs, metrics, provider
from stream.announcement import announce
from stream.assembly import Make, worker_of
from stream.broker.clients import choose
from stream.broker.port import Identity
from stream.broker.refusals import principal
from stream.child import Parent
from stream.configuration import load
from stream.errors import Forbidden, UsageError
from stream.member import Member
from stream.security import client_properties
from stream.settings import Settings
from stream.state.files import check_usable
from stream.topics import prepare
from stream.worker import Plan, Rooms, Worker

log = structlog.get_logger()

COLLECT_AFTER = 200_000  # objects more than there were; several times what two batches hold


def serve(settings: Settings) -> None:
    """Run until a signal or the end. Raises StatecastError; model errors are the caller's ModelFileError."""
    logs.configure(settings.log.level, settings.log.format)
    if not settings.http.http:
        _run(settings, Worker)
        return
    from stream.http.access import Access
    from stream.http.server import serving
    from stream.http.view import View

    access = Access.of(settings.http)
    with contextlib.ExitStack() as stack:

        def make(plan: Plan, rooms: Rooms, stopping: Callable[[], bool], clock: Callable[[], float]) -> Worker:
            worker = Worker(plan, rooms, stopping, clock)
            view = View(
                beats=lambda: {"the loop": worker.idle_seconds()},
                ready=lambda: worker.ready,
                registry=metrics.REGISTRY,
                ask=lambda inquiry: [rooms.clerk.answer(inquiry)],
                application_id=settings.application_id,
                input_topic=settings.kafka.input_topic,
                output_topic=settings.kafka.output_topic,
                workers=1,
            )
            stack.enter_context(serving(view, access))
            return worker

        _run(settings, make)


def work(descriptor: int) -> None:
    """Run as one of several workers, as the parent at the other end of the pipe says. Raises as `serve`."""
    parent = Parent(descriptor, metrics.REGISTRY)
    settings = load(parent.task.settings, None)
    logs.configure(settings.log.level, settings.log.format, parent.task.terminal, parent.task.number)

    def make(plan: Plan, rooms: Rooms, stopping: Callable[[], bool], clock: Callable[[], float]) -> Worker:
        member = Member(plan, rooms, stopping, clock, released=parent.released)
        parent.show(member, rooms.clerk.answer)
        return member

    _run(settings, make)


def _run(settings: Settings, make: Make) -> None:
    properties = client_properties(settings.kafka)
    try:
        _serve(settings, properties, make)
    except Forbidden as error:  # Kafka does not say to whom
        raise Forbidden(f"{error} to {principal(properties)}") from None


def _serve(settings: Settings, properties: dict[str, str], make: Make) -> None:
    client = choose(settings.kafka.client)
    model = provider.load(settings.model.path, settings.model.provider)
    identity = Identity(settings.kafka.bootstrap_servers, settings.application_id, settings.slot, properties)
    fields.check(settings.kafka.field, model.signature.features)
    if settings.state.state_dir is not None:
        check_usable(settings.state.state_dir)  # before any topic is made
    layout = prepare(settings, identity, model.fingerprint)
    if settings.delivery.workers > layout.partitions:
        raise UsageError(
            f"--workers {settings.delivery.workers}: --input-topic {settings.kafka.input_topic} has "
            f"{layout.partitions} partitions, and a worker without one has nothing to do; give at most so many"
        )
    announce(settings, client, model, layout)
    with (
        _stop_signal(settings.delivery.stop_timeout) as stopping,
        worker_of(settings, client, identity, model, layout, stopping.is_set, make) as worker,
    ):
        # Records come and go by the ten thousand; to look through them for cycles took a tenth of the loop's time.
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        worker.run()
    log.info("stopped")


@contextlib.contextmanager
def _stop_signal(timeout: float) -> Iterator[threading.Event]:
    """SIGTERM and SIGINT set the event; a process that has not ended `timeout` seconds later ends itself."""
    stopping = threading.Event()

    def overdue() -> None:
        print(f"statecast: the stop took longer than --stop-timeout {timeout:g} s; ended by force", file=sys.stderr)
        os._exit(1)

    watchdog = threading.Timer(timeout, overdue)
    watchdog.daemon = True

    def stop(number: int, _: object) -> None:
        if not stopping.is_set():
            stopping.set()
            watchdog.start()
            log.info("stopping", signal=signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping
    finally:
        watchdog.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
