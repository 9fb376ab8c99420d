"""What `statecast broker` does: one broker in the foreground, until a signal comes."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from localbroker.artifacts import KAFKA_VERSION
from localbroker.broker import LocalBroker
from localbroker.errors import LocalBrokerError
from localbroker.ports import is_free

_USUAL_PORT = 9092
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(directory: Path | None, port: int | None) -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP; the exit code: 0, or 1 with one line on stderr.

    directory: None for a temporary one. port: None for 9092, or any free one where that is taken.
    """
    if port is None and is_free(_USUAL_PORT):
        port = _USUAL_PORT
    broker = LocalBroker(directory, port)
    with _one_interrupt():
        try:
            broker.start()
            print(f"Kafka {KAFKA_VERSION} listening on {broker.bootstrap_servers}")
            print(
                f"data in {broker.directory}" + (" (deleted at the end; --dir keeps it)" if directory is None else "")
            )
            print("Ctrl-C stops it", flush=True)
            broker.wait()
            raise LocalBrokerError("Kafka ended by itself" + (f"; {broker.log_path} says why" if directory else ""))
        except KeyboardInterrupt:
            return 0
        except LocalBrokerError as error:
            print(f"statecast: {error}", file=sys.stderr)
            return error.exit_code
        finally:
            broker.stop()


@contextlib.contextmanager
def _one_interrupt() -> Iterator[None]:
    """The first signal that asks for the end becomes a KeyboardInterrupt; later ones do not disturb the stop."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for each in _STOPPING:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in _STOPPING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
