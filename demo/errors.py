"""What can end the demo before its summary. A message is one line; a log's path stands beside it where there is one.

Exception
├── StepFailed    a step did not end as it should
└── Stopped       a signal asked for the end
"""

import signal
from pathlib import Path


class StepFailed(Exception):
    """A step did not end as it should; `log` is what the process behind it printed."""

    exit_code = 1

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


class Stopped(BaseException):
    """SIGINT, SIGTERM or SIGHUP; not an Exception, so that no handler on the way takes it for a fault."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
