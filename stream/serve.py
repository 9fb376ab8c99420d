"""From settings to a running worker: checks what it stands on, in the order in which a mistake is cheapest to find."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

import structlog

import stream
from engine.model import Model
from stream import logs, metrics
from stream.assembly import worker_of
from stream.broker.clients import choose
from stream.broker.port import Identity
from stream.http.health import Address, serving
from stream.settings import Settings
from stream.state.files import check_usable
from stream.topics import prepare

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Run until a signal or the end. Raises StatecastError; model errors are the caller's ModelFileError."""
    logs.configure(settings.log.level, settings.log.format)
    address = Address.parse(settings.http.http) if settings.http.http else None
    client = choose(settings.kafka.client)
    model = Model(settings.model.path)
    identity = Identity(
        settings.kafka.bootstrap_servers, settings.application_id, settings.slot, settings.kafka.properties
    )
    if settings.state.state_dir is not None:
        check_usable(settings.state.state_dir)  # before any topic is made
    layout = prepare(settings, identity, model.fingerprint)
    metrics.MODEL_INFO.labels(model.fingerprint[:8], settings.model.provider).set(1)
    log.info(
        "serving",
        model=str(settings.model.path),
        fingerprint=model.fingerprint[:8],
        provider=settings.model.provider,
        client=client.name,
        delivery=settings.delivery.delivery,
        application_id=settings.application_id,
        slot=settings.slot,
        input=f"{settings.kafka.input_topic} [{layout.partitions}]",
        output=settings.kafka.output_topic,
        dead_letters=settings.dead_letter_topic,
        changelog=layout.changelog.name,
        state_dir=str(settings.state.state_dir or ""),
        statecast=stream.VERSION,
    )
    with _stop_signal(settings.delivery.stop_timeout) as stopping, contextlib.ExitStack() as stack:
        worker = stack.enter_context(worker_of(settings, client, identity, model, layout, stopping.is_set))
        if address is not None:
            port = stack.enter_context(serving(worker, address))
            log.info("http", address=f"{address.host}:{port}")
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
