"""Security and tuning properties: the user writes librdkafka's names, kafka-python gets its own.

confluent-kafka takes the user's properties as they are. What is not in the table below is unknown to kafka-python.
That makes the calls about topics for both, so what is about security must be in the table, or one half would lack it.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

from stream.errors import UsageError

Role = Literal["admin", "consumer", "producer"]


def _text(value: str) -> str:
    return value


def _upper(value: str) -> str:
    return value.upper()


def _checks_host(value: str) -> bool:
    return value.lower() not in ("none", "")


def _codec(value: str) -> str | None:
    return None if value == "none" else value


PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI")  # GSSAPI needs the package gssapi
SECURITY = ("security.", "ssl.", "sasl.", "enable.ssl.", "enable.sasl.")  # how names about security begin

_ALL: tuple[Role, ...] = ("admin", "consumer", "producer")
_CLIENTS: tuple[Role, ...] = ("consumer", "producer")

# librdkafka's name: (kafka-python's name, the clients that have it, how the value is turned)
TABLE: dict[str, tuple[str, tuple[Role, ...], Callable[[str], Any]]] = {
    "security.protocol": ("security_protocol", _ALL, _upper),
    "ssl.ca.location": ("ssl_cafile", _ALL, _text),
    "ssl.certificate.location": ("ssl_certfile", _ALL, _text),
    "ssl.key.location": ("ssl_keyfile", _ALL, _text),
    "ssl.key.password": ("ssl_password", _ALL, _text),
    "ssl.crl.location": ("ssl_crlfile", _ALL, _text),
    "ssl.cipher.suites": ("ssl_ciphers", _CLIENTS, _text),  # the calls about topics go with the usual ones
    "ssl.endpoint.identification.algorithm": ("ssl_check_hostname", _ALL, _checks_host),
    "sasl.mechanism": ("sasl_mechanism", _ALL, _upper),
    "sasl.username": ("sasl_plain_username", _ALL, _text),
    "sasl.password": ("sasl_plain_password", _ALL, _text),
    "sasl.kerberos.service.name": ("sasl_kerberos_service_name", _ALL, _text),
    "client.rack": ("client_rack", ("consumer",), _text),
    "compression.type": ("compression_type", ("producer",), _codec),
    "linger.ms": ("linger_ms", ("producer",), int),
}

# Both libraries would go on trying to connect, and never say that a file of theirs is missing.
FILES = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.crl.location")

# What the protocol of the service stands on; a user's property must not change it.
RESERVED = frozenset(
    {
        "bootstrap.servers",
        "client.id",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "isolation.level",
        "transactional.id",
        "enable.idempotence",
        "acks",
        "enable.partition.eof",
        "delivery.report.only.error",
    }
)


def checked(properties: Mapping[str, str]) -> dict[str, str]:
    """The user's properties, those about security under one name and in one spelling, so that both clients agree.

    Raises UsageError for one that the service sets itself, and for one about security that not both clients have.
    """
    found: dict[str, str] = {}
    for name, value in properties.items():
        if name in RESERVED:
            raise UsageError(f"client property {name}: statecast sets it itself; remove it")
        if name in FILES and not os.access(value, os.R_OK):
            raise UsageError(f"client property {name}: no file {value} that can be read")
        if name == "security.protocol":
            value = _one_of(name, value.upper(), PROTOCOLS)
        elif name in ("sasl.mechanism", "sasl.mechanisms"):  # librdkafka has two names for it
            if {"sasl.mechanism", "sasl.mechanisms"} <= properties.keys():
                raise UsageError("client property sasl.mechanisms: sasl.mechanism is the same; remove one of them")
            name, value = "sasl.mechanism", _one_of(name, value.upper(), MECHANISMS)
        elif name not in TABLE and name.startswith(SECURITY):
            both = ", ".join(sorted(known for known in TABLE if known.startswith(SECURITY)))
            raise UsageError(f"client property {name}: not both clients have it, and both are used; known are {both}")
        found[name] = value
    return found


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise UsageError(f"client property {name}: must be one of {', '.join(allowed)}, not {value}")
    return value


def for_confluent(properties: Mapping[str, str]) -> dict[str, Any]:
    """The user's properties for librdkafka. Raises as `checked`."""
    return dict(checked(properties))


def for_kafka_python(properties: Mapping[str, str], role: Role, *, strict: bool) -> dict[str, Any]:
    """The user's properties in kafka-python's names, those that this role has.

    Raises as `checked`, and UsageError for one that kafka-python does not know. strict=False forgives tuning:
    confluent-kafka is the client then, and only the calls about topics go through kafka-python.
    """
    found: dict[str, Any] = {}
    for name, value in checked(properties).items():
        if name in TABLE:
            theirs, roles, turn = TABLE[name]
            if role in roles:
                try:
                    found[theirs] = turn(value)
                except ValueError:
                    raise UsageError(f"client property {name}: {value!r} is not a number") from None
        elif strict:
            raise UsageError(
                f"client property {name}: kafka-python has no such setting; known are {', '.join(sorted(TABLE))}"
            )
    return found
