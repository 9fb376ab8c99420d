"""One log, on stderr: lines for people at a terminal, JSON for machines. No warning repeats at the rate of events, of
polls or of retries: see `repeats`."""

import atexit
import logging
import sys
import time

import structlog

from stream.repeats import SUPPRESSED, WHILE, Repeats, later


def configure(level: str, form: str, terminal: bool | None = None, worker: int | None = None) -> None:
    """form: console, json, or auto (console at a terminal). terminal: whether stderr ends at one, where it does not
    tell itself. worker: what each line is to say."""
    terminal = sys.stderr.isatty() if terminal is None else terminal
    console = form == "console" or (form == "auto" and terminal)

    def named(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return event if worker is None else {**event, "worker": worker}

    def suppressed(event: str, count: int) -> None:
        structlog.get_logger().warning(SUPPRESSED, what=event, times=count, seconds=WHILE)

    repeats = Repeats(time.monotonic, later, suppressed)
    atexit.register(repeats.sum_up)
    shared: list[structlog.typing.Processor] = [
        named,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=terminal) if console else structlog.processors.JSONRenderer()
    )
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[repeats, *shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # The client libraries log through the standard library; they speak in the same voice.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                last,
            ],
            foreign_pre_chain=shared,
        )
    )
    handler.setLevel(max(threshold, logging.WARNING))
    handler.addFilter(repeats)
    root = logging.getLogger()
    root.handlers[:] = [handler]
