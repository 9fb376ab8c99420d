"""The exception tree of the load test. Each message is one line that names the thing, the value seen and the mend.

LoadTestError
├── UsageError          an option, or a file given by the user; exit code 2
└── EnvironmentFault    Kafka, or what should have come from the service; exit code 1
"""


class LoadTestError(Exception):
    """Something that is told to the user in one line, without a traceback."""

    exit_code = 1


class UsageError(LoadTestError):
    """An option or an input file is wrong."""

    exit_code = 2


class EnvironmentFault(LoadTestError):
    """Something the load test stands on is missing or broken."""
