"""The one exception of the embedded Kafka. Its message is one line that names the thing, the value seen and the mend.

LocalBrokerError
└── PortTaken         something else listens on the port
"""


class LocalBrokerError(Exception):
    """The embedded Kafka cannot be had, started or kept: a fault of the environment."""

    exit_code = 1


class PortTaken(LocalBrokerError):
    """Something else listens on the port."""
