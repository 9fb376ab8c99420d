"""`python -m demo`: arguments, signals and exit codes around the guided run.

0: the output topic was verified. 1: it was not, or a step failed. 2: a wrong option. 128 + N: signal N came.
"""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from demo.errors import StepFailed, Stopped
from demo.screen import Screen
from demo.workspace import Options, Workspace

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    options = _options(arguments)
    screen = Screen()
    workspace: Workspace | None = None
    try:
        with _signals(screen):
            workspace = Workspace(options.out)
            from demo.guide import run  # loads matplotlib and the clients: a wrong option need not wait for that

            return 0 if run(options, workspace, screen) else 1
    except Stopped as stopped:
        screen.say("stopped; everything that was started has ended")
        return stopped.exit_code
    except StepFailed as failure:
        return _failed(str(failure), failure.log)
    except Exception as error:
        if isinstance(getattr(error, "exit_code", None), int):  # the packages' own, meant for the user
            return _failed(str(error), None)
        log = None
        if workspace is not None:
            log = workspace.log("demo")
            log.write_text(traceback.format_exc())
        return _failed(f"internal error: {error!r}", log)


def _options(arguments: list[str] | None) -> Options:
    told = argparse.ArgumentParser(
        prog="python -m demo",
        description="Train, serve and verify a model on a year of real weather, against a real Apache Kafka.",
        epilog="KAFKA_BOOTSTRAP_SERVERS names a broker to use instead of starting one.",
    )
    told.add_argument("--out", type=Path, default=Options.out, metavar="DIR", help="the report [%(default)s]")
    told.add_argument("--hours", type=int, metavar="N", help="take only the data's first N hours, at least 300 [all]")
    told.add_argument(
        "--train-seconds", type=float, default=Options.train_seconds, metavar="S", help="of training [%(default)g]"
    )
    told.add_argument(
        "--rate", type=float, default=Options.rate, metavar="N", help="events a second in the scored part [%(default)g]"
    )
    given = told.parse_args(arguments)
    if given.hours is not None and given.hours < 300:
        told.error(f"--hours {given.hours}: must be at least 300")
    for name in ("train_seconds", "rate"):
        if not getattr(given, name) > 0:
            told.error(f"--{name.replace('_', '-')} {getattr(given, name):g}: must be more than 0")
    servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
    return Options(given.out, given.hours, given.train_seconds, given.rate, servers)


@contextmanager
def _signals(screen: Screen) -> Iterator[None]:
    """The first of the signals raises Stopped; while the run then takes itself down, further ones are ignored."""

    def stop(number: int, _: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        screen.say(f"{signal.Signals(number).name}: stopping what was started")
        raise Stopped(number)

    for each in SIGNALS:
        signal.signal(each, stop)
    try:
        yield
    finally:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)  # nothing is left that a signal could stop in order


def _failed(message: str, log: Path | None) -> int:
    where = "" if log is None else f"; its log: {log}"
    print(f"demo: {' '.join(message.split())}{where}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
