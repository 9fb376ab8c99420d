"""The exception tree of the service. Each message is one line that names the thing, the value seen and the mend.

StatecastError
├── UsageError            the command line, the settings or a file given by the user; exit code 2
└── EnvironmentFault      what the service stands on; exit code 1
    ├── BrokerFault       Kafka answered, or did not
    │   ├── Unavailable   no answer in time, or an error that time may mend: retry with backoff
    │   └── Refused       authentication, a missing topic, a wrong layout: retrying is useless
    │       └── Forbidden the login lacks a right
    └── SlotTaken         another process has this slot (transactional.id, group.instance.id): end, never fence back

Two more never reach a user; the loop mends them:

SinkFailed                the open transaction, perhaps the producer too, is lost: make a new producer and rewind
├── SinkFenced            the same, because a newer producer has initialised the transactional.id
└── GenerationOver        only the transaction is lost, by a rebalance: abort it, and begin another
"""


class StatecastError(Exception):
    """Something that is told to the user in one line, without a traceback."""

    exit_code = 1


class UsageError(StatecastError):
    """An option, a setting or an input file is wrong."""

    exit_code = 2


class EnvironmentFault(StatecastError):
    """Something the service stands on is missing or broken."""


class BrokerFault(EnvironmentFault):
    """Kafka answered with an error, or did not answer."""


class Unavailable(BrokerFault):
    """No answer in time, or an error that time may mend."""


class Refused(BrokerFault):
    """An error that the same call will meet again: rights, a missing topic, a wrong layout."""


class Forbidden(Refused):
    """A right is missing. Its words name the operation and the resource."""


class SlotTaken(EnvironmentFault):
    """Another process has the same slot; this one must end and must not initialise the transactional.id again."""


class SinkFailed(Exception):
    """What was sent since the last commit may be lost, and whether an attempted commit took place is not known.

    The sink that raised it must be closed and replaced; the committed offsets then tell what took place.
    """


class GenerationOver(SinkFailed):
    """The group refused the offsets, because it has rebalanced since. The sink lives: after an abort it can be used."""


class SinkFenced(SinkFailed):
    """A newer producer has initialised the transactional.id."""
