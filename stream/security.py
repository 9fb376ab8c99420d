"""The options about security as client properties, for both clients. What contradicts itself is refused here, before a
broker is asked: neither library does so in words, and kafka-python asks at the terminal for a key's password.
"""

import ssl
from pathlib import Path

from stream.broker.properties import checked
from stream.errors import UsageError
from stream.settings import KafkaSection

# option: librdkafka's name
NAMES = {
    "security_protocol": "security.protocol",
    "sasl_mechanism": "sasl.mechanism",
    "sasl_username": "sasl.username",
    "sasl_password": "sasl.password",
    "ssl_ca": "ssl.ca.location",
    "ssl_certificate": "ssl.certificate.location",
    "ssl_key": "ssl.key.location",
    "ssl_key_password": "ssl.key.password",
}
WITH_LOGIN = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")  # mechanisms that want a name and a password


def client_properties(kafka: KafkaSection) -> dict[str, str]:
    """What the clients are to be told, in librdkafka's names: `[kafka.properties]` and the options about security.

    Raises UsageError: an option and a property say the same thing, something is missing or without effect, or a file
    cannot be used.
    """
    properties = checked(kafka.properties)
    for option, name in NAMES.items():
        value = getattr(kafka, option)
        if value is not None:
            if name in properties:
                raise UsageError(f"[kafka] {option}: client property {name} is given, too; remove one of them")
            properties[name] = str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)
    protocol = properties.get("security.protocol", "PLAINTEXT")
    _check_login(kafka, properties, protocol)
    _check_files(kafka, properties, protocol)
    return properties


def _check_login(kafka: KafkaSection, properties: dict[str, str], protocol: str) -> None:
    given = [name for name in properties if name.startswith("sasl.")]
    if not protocol.startswith("SASL_"):
        if given:
            raise _without_effect(kafka, given[0], protocol, "SASL_SSL (or SASL_PLAINTEXT, which hides nothing)")
        return
    mechanism = properties.get("sasl.mechanism")
    if mechanism is None:
        raise UsageError(
            f"--sasl-mechanism: is missing, and --security-protocol is {protocol}; give {', '.join(WITH_LOGIN)}"
        )
    if mechanism in WITH_LOGIN:
        if "sasl.username" not in properties:
            raise UsageError(f"--sasl-username: is missing, and --sasl-mechanism is {mechanism}; give the name")
        if "sasl.password" not in properties:
            raise UsageError(
                f"[kafka] sasl_password: is missing, and --sasl-mechanism is {mechanism}; give it in "
                "STATECAST_KAFKA__SASL_PASSWORD, or a file that holds it in STATECAST_KAFKA__SASL_PASSWORD_FILE"
            )


def _check_files(kafka: KafkaSection, properties: dict[str, str], protocol: str) -> None:
    given = [name for name in properties if name.startswith("ssl.")]
    if not protocol.endswith("SSL"):
        if given:
            raise _without_effect(kafka, given[0], protocol, "SSL or SASL_SSL")
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if (ca := properties.get("ssl.ca.location")) is not None:
        told = _told(kafka, "ssl.ca.location", ca)
        _readable(told, ca)
        try:
            context.load_verify_locations(ca)
        except ssl.SSLError:
            raise UsageError(f"{told}: holds no certificate in PEM; give the authority's certificate") from None
    certificate, key = properties.get("ssl.certificate.location"), properties.get("ssl.key.location")
    if certificate is None:
        for name in ("ssl.key.location", "ssl.key.password"):
            if name in properties:
                raise UsageError(f"{_named(kafka, name)}: is of no use without --ssl-certificate; give that, too")
        return
    if key is None:
        key = properties["ssl.key.location"] = certificate  # one file may hold both; librdkafka must be told
    told = _told(kafka, "ssl.certificate.location", certificate)
    _readable(told, certificate)
    _readable(_told(kafka, "ssl.key.location", key), key)
    password = properties.get("ssl.key.password", "")
    try:
        # With a password, even an empty one, OpenSSL does not ask for it at the terminal.
        context.load_cert_chain(certificate, key, password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            mend = f"the key in {key} belongs to another certificate; give its own"
        elif "ENCRYPTED" in Path(key).read_text(errors="replace"):
            mend = (
                f"the key in {key} is encrypted, and ssl_key_password does not open it; give it in "
                "STATECAST_KAFKA__SSL_KEY_PASSWORD, or in a file that STATECAST_KAFKA__SSL_KEY_PASSWORD_FILE names"
            )
        else:
            mend = f"it and the key in {key} cannot be used; give both in PEM"
        raise UsageError(f"{told}: {mend}") from None


def _readable(told: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise UsageError(f"{told}: cannot be read ({error.strerror}); give a readable PEM file") from None


def _without_effect(kafka: KafkaSection, name: str, protocol: str, wanted: str) -> UsageError:
    return UsageError(
        f"{_named(kafka, name)}: has no effect, because --security-protocol is {protocol}; make that {wanted}, or "
        "remove this"
    )


def _named(kafka: KafkaSection, name: str) -> str:
    """As the user has written it."""
    option = next((o for o, theirs in NAMES.items() if theirs == name and getattr(kafka, o) is not None), None)
    if option is None:
        return f"client property {name}"
    return f"[kafka] {option}" if option.endswith("password") else f"--{option.replace('_', '-')}"


def _told(kafka: KafkaSection, name: str, value: str) -> str:
    return f"{_named(kafka, name)} {value}"
