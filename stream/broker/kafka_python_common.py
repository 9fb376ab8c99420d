"""What a source, a sink and the admin calls on kafka-python share: settings, the first contact, and its errors in the
project's words."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import kafka.errors as kafka_errors

from stream.broker.deadline import Overdue, bounded
from stream.broker.logs import quiet_kafka_python
from stream.broker.port import Identity, Records
from stream.broker.properties import Role, for_kafka_python
from stream.broker.refusals import forbidden, hung_up, is_final, refused
from stream.errors import BrokerFault, Refused, Unavailable, UsageError

REFUSED: tuple[type[Exception], ...] = (
    kafka_errors.AuthorizationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.IllegalSaslStateError,
)


@dataclass(frozen=True, slots=True)
class GroupOf:
    """What `Source.group` hands to `Sink.send_offsets`: the group metadata, and the topic whose offsets these are."""

    topic: str
    metadata: Any


FIRST_SLICE = 2.0  # seconds
_HUNG_UP = ("socket disconnected", "Invalid frame length")
_TIMED_OUT = (kafka_errors.KafkaTimeoutError, kafka_errors.RequestTimedOutError)


def settings(identity: Identity, role: Role, *, strict: bool = True) -> dict[str, Any]:
    """What every client of kafka-python gets."""
    return {
        "reconnect_backoff_max_ms": 1000,  # the default of 30 s would add that much to every broker restart
        "metadata_max_age_ms": 30_000,  # until a deleted topic or a new partition is noticed
        **for_kafka_python(identity.client_properties, role, strict=strict),
        "bootstrap_servers": identity.bootstrap_servers.split(","),
        "client_id": identity.slot,
    }


def connected(make: Callable[..., Any], conf: dict[str, Any], servers: str, timeout: float) -> Any:
    """Build a client; it waits for a first answer of the brokers.

    Raises Unavailable where none comes within timeout, Refused on a wrong login, UsageError on a wrong setting.
    """
    # In slices, so that a refusal is told at once: the library tries until its time is up.
    clock, patience, why = Clock(timeout), FIRST_SLICE, ""
    while True:
        last = clock.seconds <= patience
        try:
            return _connected(make, conf | {"bootstrap_timeout_ms": int(min(patience, clock.seconds) * 1000)}, servers)
        except Unavailable as error:
            why = str(error) or why  # the last slice may be too short for anything to happen in it
            if last:
                raise unreachable(servers, timeout, why) from None
        patience *= 2


def _connected(make: Callable[..., Any], conf: dict[str, Any], servers: str) -> Any:
    relay = quiet_kafka_python()
    relay.problems.clear()
    try:
        return make(**conf)
    except REFUSED as error:
        raise refused(servers, str(error)) from None
    except (kafka_errors.KafkaConfigurationError, ValueError, OSError) as error:
        # OSError: a certificate file that cannot be read
        raise UsageError(f"client property refused by kafka-python: {error}") from None
    except kafka_errors.KafkaError:
        # The constructor only says that time is up; why the attempts failed stands in its log alone.
        attempts = [problem for problem in relay.problems if not isinstance(problem, _TIMED_OUT)]
        for problem in attempts:
            if isinstance(problem, REFUSED) or ("[SSL:" in str(problem) and is_final(str(problem))):
                raise refused(servers, str(problem)) from None
        if attempts and all("Handshake failed" in str(end) for end in attempts):
            raise refused(servers, str(attempts[-1])) from None
        # A broker says no and hangs up; the library often sees only the latter, or takes the no, in TLS, for a length.
        silent = bool(attempts) and all(any(words in str(end) for words in _HUNG_UP) for end in attempts)
        if silent and "sasl_mechanism" in conf:
            raise refused(servers, "it hung up at every login") from None
        raise Unavailable(hung_up(conf.get("security_protocol", "PLAINTEXT")) if silent else "") from None


def unreachable(servers: str, timeout: float, why: str = "") -> Unavailable:
    why = why or "is it running, and is --bootstrap-servers right?"
    return Unavailable(f"cannot reach Kafka at {servers} within {timeout:.3g} s; {why}")


def fault(error: BaseException, doing: str) -> BrokerFault:
    """The exception for an error outside any transaction."""
    name = type(error).__name__
    if isinstance(error, kafka_errors.AuthorizationError):
        return forbidden(name.removesuffix("AuthorizationFailedError"), doing, name)
    if isinstance(error, REFUSED):
        return Refused(f"cannot {doing}: Kafka refused it ({name}); grant the right, or mend the login")
    return Unavailable(f"cannot {doing}: {name}: {error}")


def require_topic(consumer: Any, topic: str, timeout: float) -> None:
    """Raises Refused where the topic is not there or may not be seen, Unavailable."""
    doing = f"read topic {topic}"
    try:
        found = bounded(lambda: consumer.partitions_for_topic(topic), timeout, "metadata")
    except kafka_errors.KafkaError as error:
        raise fault(error, doing) from None
    except Overdue as overdue:
        raise Unavailable(f"cannot {doing}: {overdue}") from None
    if not found:
        raise Refused(f"topic {topic} is not there, or may not be seen; create it, or mend its name or rights")


def columns(polled: Mapping[Any, Sequence[Any]]) -> list[Records]:
    """What a consumer's poll gave, as columns."""
    return [
        Records(
            tp.partition,
            [r.offset for r in of_one],
            [r.timestamp for r in of_one],
            [r.key for r in of_one],
            [r.value for r in of_one],
        )
        for tp, of_one in polled.items()
    ]


class Clock:
    """What is left of a deadline that several calls share."""

    def __init__(self, timeout: float) -> None:
        self._end = time.monotonic() + timeout

    @property
    def seconds(self) -> float:
        return max(0.001, self._end - time.monotonic())

    @property
    def milliseconds(self) -> int:
        return max(1, int(self.seconds * 1000))

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._end
