"""The options about security, as client properties; what contradicts itself is told before a broker is asked."""

from pathlib import Path
from typing import Any

import pytest

from stream.broker.refusals import mend_of, principal
from stream.errors import UsageError
from stream.security import client_properties
from stream.settings import KafkaSection
from tests.secure.authorities import Authority, together

NAME = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "alice"}
LOGIN = {**NAME, "sasl_password": "x"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


def told(**options: Any) -> str:
    with pytest.raises(UsageError) as error:
        client_properties(KafkaSection(**options))
    return str(error.value)


def test_options_and_properties_are_one(authority: Authority) -> None:
    options = {**LOGIN, "security_protocol": "sasl_ssl", "ssl_ca": authority.pem, "properties": {"linger.ms": "7"}}
    assert client_properties(KafkaSection(**options)) == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "alice",
        "sasl.password": "x",
        "ssl.ca.location": str(authority.pem),
        "linger.ms": "7",
    }
    assert client_properties(KafkaSection()) == {}


@pytest.mark.parametrize("name", ["sasl.username", "sasl.password", "security.protocol"])
def test_an_option_and_its_property_conflict(name: str) -> None:
    value = "SASL_SSL" if name == "security.protocol" else "bob"
    line = told(**LOGIN, properties={name: value})
    assert line == f"[kafka] {name.replace('.', '_')}: client property {name} is given, too; remove one of them"


def test_both_names_of_the_mechanism_are_one() -> None:
    both = {"sasl.mechanisms": "PLAIN", "sasl.mechanism": "PLAIN"}
    assert "sasl.mechanism is the same; remove one" in told(properties=both)
    rest = {name: value for name, value in LOGIN.items() if name != "sasl_mechanism"}
    found = client_properties(KafkaSection(**rest, properties={"sasl.mechanisms": "plain"}))
    assert found["sasl.mechanism"] == "PLAIN"
    assert "sasl.mechanisms" not in found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sasl_username": "alice"}, "--sasl-username: has no effect, because --security-protocol is PLAINTEXT; make"),
        ({"sasl_password": "x"}, "[kafka] sasl_password: has no effect, because --security-protocol is PLAINTEXT"),
        ({"ssl_ca": "/x"}, "--ssl-ca: has no effect, because --security-protocol is PLAINTEXT; make that SSL or"),
        ({"properties": {"ssl.cipher.suites": "x"}}, "client property ssl.cipher.suites: has no effect"),
        (
            {"security_protocol": "SASL_SSL"},
            "--sasl-mechanism: is missing, and --security-protocol is SASL_SSL; give PLAIN, SCRAM-SHA-256, SCRAM-SHA-5",
        ),
        ({**NAME, "sasl_username": None}, "--sasl-username: is missing, and --sasl-mechanism is PLAIN; give the name"),
        (NAME, "[kafka] sasl_password: is missing, and --sasl-mechanism is PLAIN; give it in STATECAST_KAFKA__SASL_P"),
        ({"security_protocol": "SSL", "ssl_ca": "/nowhere"}, "--ssl-ca /nowhere: cannot be read (No such file"),
        ({"security_protocol": "SSL", "ssl_key": "/x"}, "--ssl-key: is of no use without --ssl-certificate; give"),
        ({"security_protocol": "SSL", "ssl_certificate": "/no"}, "--ssl-certificate /no: cannot be read (No such"),
        (
            {"properties": {"security.protocol": "TLS"}},
            "client property security.protocol: must be one of PLAINTEXT, S",
        ),
        ({"properties": {"sasl.mechanism": "OAUTHBEARER"}}, "client property sasl.mechanism: must be one of PLAIN, SC"),
        ({"properties": {"ssl.keystore.location": "x"}}, "client property ssl.keystore.location: not both clients"),
        ({"properties": {"enable.ssl.certificate.verification": "false"}}, "client property enable.ssl.certificate.v"),
    ],
)
def test_what_contradicts_itself_is_told(options: dict[str, Any], said: str) -> None:
    line = told(**options)
    assert line.startswith(said)
    assert "\n" not in line


def test_an_authority_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    said = f"--ssl-ca {file}: holds no certificate in PEM; give the authority's certificate"
    assert told(security_protocol="SSL", ssl_ca=file) == said


def test_a_certificate_and_its_key(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("one")
    _, other = authority.issue("two")
    locked_certificate, locked = authority.issue("three", password=b"open")
    tls = {"security_protocol": "SSL"}

    both = client_properties(KafkaSection(**tls, ssl_certificate=certificate, ssl_key=key))
    assert both["ssl.key.location"] == str(key)
    store = together(tmp_path, certificate, key)
    assert client_properties(KafkaSection(**tls, ssl_certificate=store))["ssl.key.location"] == str(store)
    opened = KafkaSection(**tls, ssl_certificate=locked_certificate, ssl_key=locked, ssl_key_password="open")
    assert client_properties(opened)["ssl.key.password"] == "open"

    assert "belongs to another certificate" in told(**tls, ssl_certificate=certificate, ssl_key=other)
    assert "cannot be used" in told(**tls, ssl_certificate=certificate)
    for password in ({}, {"ssl_key_password": "shut"}):
        line = told(**tls, ssl_certificate=locked_certificate, ssl_key=locked, **password)
        assert f"the key in {locked} is encrypted, and ssl_key_password does not open it" in line
        assert "shut" not in line


def test_whom_the_brokers_see() -> None:
    name = {"security.protocol": "SASL_SSL", "sasl.username": "alice"}
    assert principal(name) == "User:alice"
    assert principal({"security.protocol": "SSL", "ssl.certificate.location": "/c.pem"}) == "the owner of /c.pem"
    assert principal({}) == "User:ANONYMOUS"


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ("Handshake failed: [SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired", "clock"),
        ("unsupported SASL mechanism", "--sasl-mechanism that the brokers have"),
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "one that their authority has signed"),
        ("something that nobody foresaw", "--security-protocol"),
    ],
)
def test_each_refusal_has_its_mend(said: str, mend: str) -> None:
    assert mend in mend_of(said)
