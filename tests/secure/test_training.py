"""`train --topic` gets in by the same environment variables as the service."""

from pathlib import Path

import pytest
from kafka.admin import ACLOperation as Op

from tests.secure import least
from tests.secure.fortress import BOB, KEY_PASSWORD, PASSWORDS, Fortress
from tests.secure.served import EVENTS, Served
from training.data.login import login
from training.data.topic import read_topic
from training.errors import DataError

PREFIX = "STATECAST_KAFKA__"


def given(monkeypatch: pytest.MonkeyPatch, **variables: object) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(PREFIX + name, str(value))


def test_a_topic_is_read_by_name_and_password(
    fortress: Fortress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORDS[BOB] + "\n")
    given(monkeypatch, SECURITY_PROTOCOL="sasl_ssl", SASL_MECHANISM="scram-sha-256", SASL_USERNAME=BOB)
    given(monkeypatch, SSL_CA=fortress.authority.pem, SASL_PASSWORD_FILE=file)
    topic = Served.fill(fortress)
    fortress.give(least.topic(topic, Op.READ))  # what docs/security.md says is enough
    assert len(read_topic(topic, fortress.door("LOGIN"), ("value",)).stream) == EVENTS


def test_a_topic_is_read_by_a_certificate(fortress: Fortress, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = fortress.locked_client
    given(monkeypatch, SECURITY_PROTOCOL="SSL", SSL_CA=fortress.authority.pem, SSL_CERTIFICATE=certificate, SSL_KEY=key)
    topic = Served.fill(fortress)
    with pytest.raises(DataError, match="asked by STATECAST_KAFKA__SECURITY_PROTOCOL=SSL"):
        read_topic(topic, fortress.door("MUTUAL"), ("value",), patience=3.0)
    given(monkeypatch, SSL_KEY_PASSWORD=KEY_PASSWORD)
    assert len(read_topic(topic, fortress.door("MUTUAL"), ("value",)).stream) == EVENTS


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"SECURITY_PROTOCOL": "TLS"},
            "SECURITY_PROTOCOL: must be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, not",
        ),
        (
            {"SECURITY_PROTOCOL": "SASL_SSL"},
            "SASL_MECHANISM: is missing, and STATECAST_KAFKA__SECURITY_PROTOCOL wants a",
        ),
        ({"SSL_CA": "/nowhere"}, "SSL_CA: /nowhere cannot be read"),
        ({"SASL_PASSWORD_FILE": "/nowhere"}, "SASL_PASSWORD_FILE: /nowhere cannot be read"),
        ({"SASL_PASSWORD_FILE": "/nowhere", "SASL_PASSWORD": "x"}, "SASL_PASSWORD_FILE: both are given"),
    ],
)
def test_what_is_wrong_is_told_by_the_variables_name(variables: dict[str, str], said: str) -> None:
    with pytest.raises(DataError) as error:
        login({PREFIX + name: value for name, value in variables.items()})
    assert PREFIX + said in str(error.value)
