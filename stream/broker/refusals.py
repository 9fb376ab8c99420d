"""What a broker's refusal means, and what mends it: of a connection, and of a call that rights are missing for.

Kafka names no operation and no principal when it refuses; which it was follows from what was being done.
"""

import re
from collections.abc import Mapping

from stream.errors import Forbidden, Refused

_LOGIN = "check --sasl-username, its password, and that the brokers know both for this --sasl-mechanism"

# What a client library says, and the mend. The first that is found counts.
_MENDS: tuple[tuple[str, str], ...] = (
    (r"unsupported ?sasl ?mechanism|unsupported mechanism", "give a --sasl-mechanism that the brokers have"),
    (
        r"illegal ?sasl ?state|current sasl state",
        "this listener takes no login: give another --security-protocol, or another port",
    ),
    (r"authentication ?failed|invalid credentials|hung up at every login|sasl", _LOGIN),
    (
        r"could not be verified",  # librdkafka does not say which of the two it is
        "give the authority that signed the brokers' certificate as --ssl-ca, and name the brokers as it does",
    ),
    (
        r"mismatch|hostname",
        "name the brokers in --bootstrap-servers, and let them advertise themselves, as their certificate does",
    ),
    (r"expired|not yet valid", "look at the brokers' certificate, and at this machine's clock"),
    (r"certificate_?\s?required", "the brokers want a client certificate: give --ssl-certificate and --ssl-key"),
    (
        r"alert.*(certificate|unknown_?\s?ca)",
        "the brokers do not accept this client's certificate: give one that their authority has signed",
    ),
    (
        r"certificate|unable to get|self[- ]signed",
        "give the authority that signed the brokers' certificate as --ssl-ca",
    ),
    (r"eof|wrong_?\s?version|record layer", "this listener does not speak TLS: mend --security-protocol, or the port"),
)


def refused(servers: str, said: str) -> Refused:
    """A connection that no retry will bring about. said: the client library's words."""
    return Refused(f"Kafka at {servers} refused the connection: {_short(said)}; {mend_of(said)}")


def mend_of(said: str) -> str:
    """What to do about a connection that was refused with these words."""
    text = said.lower()
    return next(
        (mend for pattern, mend in _MENDS if re.search(pattern, text)), "mend the login, or --security-protocol"
    )


def _short(said: str) -> str:
    """Without the names of classes and places in the source that surround the words that matter."""
    text = re.sub(r"^(\[Error \d+\] |\w+Error: |\w+://[^ ]+: )+", "", said)
    return re.sub(r" ?\((_ssl\.c:\d+|after \d+ms in state \w+.*)\)", "", text).rstrip(".")


def is_final(said: str) -> bool:
    """Whether words about TLS tell of certificates, and not of a broker that goes down in the middle of it."""
    return re.search(r"certificate|unknown_?\s?ca", said.lower()) is not None


def hung_up(protocol: str) -> str:
    """What may be behind a broker that ends every connection without a word."""
    return {
        "PLAINTEXT": "it hung up each time: does it want TLS or a login, so another --security-protocol?",
        "SSL": "it hung up each time: does it want a login, so --security-protocol SASL_SSL?",
    }.get(protocol, "it hung up each time")


_OPERATIONS = {
    "read": "READ",
    "send": "WRITE",
    "describe": "DESCRIBE (part of READ and of WRITE)",
    "create": "CREATE",
    "delete": "DELETE",
}


def forbidden(kind: str, doing: str, said: str) -> Forbidden:
    """A call that was refused for want of a right. kind: of the resource, as Kafka's errors begin (Topic, Group,
    TransactionalId, Cluster); doing: what was tried, and with what; said: the error's name or words."""
    right = {
        "Topic": f"{_OPERATIONS.get(doing.split()[0], 'a right')} on the topic",
        "Group": "READ on the group",
        "TransactionalId": "WRITE on the transactional.id",
        "Cluster": "CREATE on the topic" if doing.startswith("create") else "a right on the cluster",
    }[kind]
    return Forbidden(f"cannot {doing}: Kafka refused it ({said}); grant {right}")


def lacking(option: str, topic: str, operations: frozenset[str] | None, needed: Mapping[str, str]) -> Forbidden | None:
    """What is missing on a topic, as far as the broker tells. option: how messages call the topic; operations: those
    that are allowed, None where the broker does not tell; needed: operation -> what for."""
    missing = [] if operations is None else [name for name in needed if name not in operations]
    if not missing:
        return None
    why = ", ".join(needed[name] for name in missing)
    return Forbidden(f"{option} {topic}: lacks the right to {why}; grant {' and '.join(missing)} on the topic")


def principal(properties: Mapping[str, str]) -> str:
    """Whom the brokers take this client for, as far as it can know."""
    protocol = properties.get("security.protocol", "PLAINTEXT")
    if protocol.startswith("SASL_") and "sasl.username" in properties:
        return f"User:{properties['sasl.username']}"
    if protocol == "SSL" and "ssl.certificate.location" in properties:
        return f"the owner of {properties['ssl.certificate.location']}"
    return "User:ANONYMOUS"
