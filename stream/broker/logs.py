"""What the client libraries log, brought to one logger at a level and a rate that a person can read.

Both libraries speak at ERROR of every failed connection attempt, several times a second while a broker is away. Here
each text is passed on once in QUIET_SECONDS, and nothing is above WARNING: what matters arrives as an exception.
"""

import logging
import re
import threading
import time
from collections import deque

QUIET_SECONDS = 30.0
log = logging.getLogger("statecast.kafka")

_NUMBERS = re.compile(r"\d+")


class _Readable(logging.Filter):
    """Lets each text (numbers apart) through once in QUIET_SECONDS; ERROR becomes WARNING, WARNING becomes INFO."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        text = _NUMBERS.sub("0", record.getMessage())
        now = time.monotonic()
        with self._lock:
            if now - self._said.get(text, -QUIET_SECONDS) < QUIET_SECONDS:
                return False
            if len(self._said) > 1000:
                self._said.clear()
            self._said[text] = now
        record.levelno = min(record.levelno, logging.WARNING)
        record.levelname = logging.getLevelName(record.levelno)
        return True


class _Relay(logging.Handler):
    """Passes kafka-python's records on to `log`, and keeps the last exceptions that connection attempts ended with."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.problems: deque[BaseException] = deque(maxlen=100)

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple):
            for argument in record.args:
                if isinstance(argument, BaseException):
                    self.problems.append(argument)
        if record.levelno < logging.ERROR:
            record.levelno, record.levelname = logging.INFO, "INFO"
        if log.isEnabledFor(record.levelno):
            log.handle(record)


_relay: _Relay | None = None


def quiet_kafka_python() -> _Relay:
    """Take over the loggers of kafka-python, once in a process."""
    global _relay
    if _relay is None:
        _relay = _Relay()
        theirs = logging.getLogger("kafka")
        theirs.setLevel(logging.WARNING)
        theirs.addHandler(_relay)
        theirs.propagate = False
    return _relay


log.addFilter(_Readable())
log.addHandler(logging.NullHandler())  # without it Python prints to stderr where logging is not set up
