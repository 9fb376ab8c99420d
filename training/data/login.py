"""How `--topic` gets into a Kafka that asks who comes: by the same environment variables as the service.

STATECAST_KAFKA__SECURITY_PROTOCOL, ..._SASL_MECHANISM, ..._SASL_USERNAME, ..._SSL_CA, ..._SSL_CERTIFICATE, ..._SSL_KEY;
of the secrets ..._SASL_PASSWORD and ..._SSL_KEY_PASSWORD also the file that ..._FILE names. docs/security.md says more.
"""

from collections.abc import Mapping
from pathlib import Path

from training.errors import DataError

PREFIX = "STATECAST_KAFKA__"
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PLAIN = {  # variable: kafka-python's name
    "SASL_USERNAME": "sasl_plain_username",
    "SSL_CA": "ssl_cafile",
    "SSL_CERTIFICATE": "ssl_certfile",
    "SSL_KEY": "ssl_keyfile",
}
SECRET = {"SASL_PASSWORD": "sasl_plain_password", "SSL_KEY_PASSWORD": "ssl_password"}
FILES = ("SSL_CA", "SSL_CERTIFICATE", "SSL_KEY")


def login(environment: Mapping[str, str]) -> dict[str, str]:
    """What kafka-python's clients are to be told; nothing for a Kafka that lets everybody in.

    Raises DataError that names the variable.
    """
    found = {}
    for name, allowed, theirs in (
        ("SECURITY_PROTOCOL", PROTOCOLS, "security_protocol"),
        ("SASL_MECHANISM", MECHANISMS, "sasl_mechanism"),
    ):
        if (value := environment.get(PREFIX + name)) is not None:
            if value.upper() not in allowed:
                raise DataError(f"{PREFIX}{name}: must be one of {', '.join(allowed)}, not {value}")
            found[theirs] = value.upper()
    for name, theirs in PLAIN.items():
        if (value := environment.get(PREFIX + name)) is not None:
            if name in FILES:
                _read(PREFIX + name, value)
            found[theirs] = value
    for name, theirs in SECRET.items():
        value, file = environment.get(PREFIX + name), environment.get(f"{PREFIX}{name}_FILE")
        if value is not None and file is not None:
            raise DataError(f"{PREFIX}{name} and {PREFIX}{name}_FILE: both are given; remove one of them")
        if file is not None:
            value = _read(f"{PREFIX}{name}_FILE", file).removesuffix("\n").removesuffix("\r")
        if value is not None:
            found[theirs] = value
    if "ssl_certfile" in found:
        found.setdefault("ssl_password", "")  # else OpenSSL would ask at the terminal for that of an encrypted key
    if found.get("security_protocol", "PLAINTEXT").startswith("SASL_"):
        for name, theirs in (
            ("SASL_MECHANISM", "sasl_mechanism"),
            ("SASL_USERNAME", "sasl_plain_username"),
            ("SASL_PASSWORD", "sasl_plain_password"),
        ):
            if theirs not in found:
                raise DataError(f"{PREFIX}{name}: is missing, and {PREFIX}SECURITY_PROTOCOL wants a login; give it")
    return found


def _read(name: str, path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: {path} cannot be read ({error}); give a readable file") from None
