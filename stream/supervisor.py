"""Several workers under one parent: what each is told, and the one place where they are asked how they do."""

import contextlib
import sys

import structlog

from stream import logs, metrics
from stream.child import Task
from stream.fleet import Fleet
from stream.settings import Settings

log = structlog.get_logger()

SESSIONS = 2  # that --until-end waits for partitions which no worker has: their owner may be gone
SHOW, LOOK = 1.0, 0.2  # seconds between two reports; the latter with --until-end


def supervise(settings: Settings) -> None:
    """Run all workers until a signal or the end. Raises what the first worker that failed for good said of it."""
    logs.configure(settings.log.level, settings.log.format)
    with contextlib.ExitStack() as stack:
        patience = SESSIONS * settings.kafka.session_timeout if settings.delivery.until_end else None
        delivery = settings.delivery
        fleet = Fleet(tasks(settings), delivery.stop_timeout, delivery.broker_timeout, patience)
        if settings.http.http:
            from stream.http.access import Access
            from stream.http.server import serving
            from stream.http.view import View

            access = Access.of(settings.http)
            metrics.WORKERS.register(metrics.Merged(fleet.metrics))
            view = View(
                beats=fleet.beats,
                ready=lambda: fleet.ready,
                registry=metrics.WORKERS,
                ask=fleet.ask,
                application_id=settings.application_id,
                input_topic=settings.kafka.input_topic,
                output_topic=settings.kafka.output_topic,
                workers=settings.delivery.workers,
            )
            stack.enter_context(serving(view, access))
        fleet.run()
    log.info("stopped")


def tasks(settings: Settings) -> list[Task]:
    """Each worker's own settings: a slot of its own, and its part of the memory."""
    workers = settings.delivery.workers
    sections = settings.model_dump(exclude_unset=True)
    given = {(section, name): value for section, part in sections.items() for name, value in part.items()}
    given["limits", "memory_limit"] = max(1, settings.limits.memory_limit // workers)
    given["limits", "in_flight_limit"] = max(1 << 20, settings.limits.in_flight_limit // workers)
    given["http", "http"] = ""
    return [
        Task(
            number,
            {**given, ("kafka", "instance_id"): f"{settings.kafka.instance_id}-{number}"},
            terminal=sys.stderr.isatty(),
            report_every=LOOK if settings.delivery.until_end else SHOW,
        )
        for number in range(1, workers + 1)
    ]
