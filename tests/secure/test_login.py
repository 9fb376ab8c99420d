"""Who may come in: TLS, client certificates, names and passwords, on the real service with both clients."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stream.broker.admin import Admin
from stream.broker.clients import choose
from stream.broker.port import Identity
from stream.errors import BrokerFault, Refused
from tests.integration.application import one_line
from tests.secure.fortress import ALICE, KEY_PASSWORD, MECHANISMS, PASSWORDS, Fortress
from tests.secure.served import Served
from tests.service import command

CLIENTS = ("kafka-python", "confluent")
PASSWORD, PASSWORD_FILE = "STATECAST_KAFKA__SASL_PASSWORD", "STATECAST_KAFKA__SASL_PASSWORD_FILE"


@pytest.fixture(scope="module")
def filled(fortress: Fortress) -> str:
    """An input topic with events."""
    return Served.fill(fortress)


@pytest.fixture(params=CLIENTS)
def served(request: pytest.FixtureRequest, fortress: Fortress, filled: str, tmp_path: Path) -> Served:
    return Served(fortress, filled, request.param, tmp_path)


def tls(fortress: Fortress, *certificate: Path) -> list[str]:
    names = ("--ssl-certificate", "--ssl-key")
    own = [part for name, path in zip(names, certificate, strict=False) for part in (name, str(path))]
    return ["--security-protocol", "SSL", "--ssl-ca", str(fortress.authority.pem), *own]


def login(fortress: Fortress, mechanism: str) -> list[str]:
    name = ["--sasl-mechanism", mechanism, "--sasl-username", ALICE]
    return ["--security-protocol", "sasl_ssl", "--ssl-ca", str(fortress.authority.pem), *name]


def test_a_client_certificate_comes_in(served: Served) -> None:
    options = tls(served.fortress, *served.fortress.locked_client)
    served.drains("MUTUAL", *options, STATECAST_KAFKA__SSL_KEY_PASSWORD=KEY_PASSWORD)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_name_and_a_password_come_in(served: Served, mechanism: str) -> None:
    file = served.folder / "password"
    file.write_text(PASSWORDS[ALICE] + "\n")
    served.drains("LOGIN", *login(served.fortress, mechanism), **{PASSWORD_FILE: str(file)})


def test_workers_come_in_too(fortress: Fortress, filled: str, tmp_path: Path) -> None:
    served = Served(fortress, filled, "confluent", tmp_path)
    served.drains("OPEN", *PLAIN_AND_OPEN, "--workers", "1", **{PASSWORD: PASSWORDS[ALICE]})


PLAIN_AND_OPEN = ("--security-protocol", "SASL_PLAINTEXT", "--sasl-mechanism", "PLAIN", "--sasl-username", ALICE)

# What is tried -> (door, options, environment, what the line says). As properties for the handles, too.
Attempt = tuple[str, Callable[[Fortress], dict[str, str]], str]
SSL_NAMES = {
    "security.protocol": "--security-protocol",
    "ssl.ca.location": "--ssl-ca",
    "ssl.certificate.location": "--ssl-certificate",
    "ssl.key.location": "--ssl-key",
    "sasl.mechanism": "--sasl-mechanism",
    "sasl.username": "--sasl-username",
}


def ssl(fortress: Fortress) -> dict[str, str]:
    return {"security.protocol": "SSL", "ssl.ca.location": str(fortress.authority.pem)}


def wrong_password(fortress: Fortress) -> dict[str, str]:
    name = {"sasl.mechanism": "SCRAM-SHA-256", "sasl.username": ALICE, "sasl.password": "not-it"}
    return {**ssl(fortress), "security.protocol": "SASL_SSL", **name}


def wrong_authority(fortress: Fortress) -> dict[str, str]:
    return {**ssl(fortress), "ssl.ca.location": str(fortress.stranger.pem)}


def foreign_certificate(fortress: Fortress) -> dict[str, str]:
    certificate, key = fortress.foreign_client
    return {**ssl(fortress), "ssl.certificate.location": str(certificate), "ssl.key.location": str(key)}


ATTEMPTS: dict[str, Attempt] = {
    "a wrong password": ("LOGIN", wrong_password, "check --sasl-username, its password"),
    "a wrong authority": (
        "TLS",
        wrong_authority,
        "give the authority that signed the brokers' certificate as --ssl-ca",
    ),
    "a wrong host name": ("ELSEWHERE", ssl, "name the brokers "),
    "no certificate": ("MUTUAL", ssl, "the brokers want a client certificate: give --ssl-certificate and --ssl-key"),
    "a foreign certificate": ("MUTUAL", foreign_certificate, "certificate"),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_handle_is_refused_and_not_retried(fortress: Fortress, client: str, attempt: str) -> None:
    door, properties, mend = ATTEMPTS[attempt]
    identity = Identity(fortress.door(door), "group", "slot", properties(fortress))
    with pytest.raises(Refused, match=f"Kafka at {fortress.door(door)} refused the connection: .*{mend}"):
        choose(client).sink(identity, transactional=False, timeout=30.0)


@pytest.mark.parametrize(("attempt", "client"), list(zip(ATTEMPTS, (*CLIENTS, *CLIENTS, CLIENTS[0]), strict=True)))
def test_the_service_ends_with_one_line_that_names_the_mend(
    fortress: Fortress, filled: str, tmp_path: Path, attempt: str, client: str
) -> None:
    door, properties, mend = ATTEMPTS[attempt]
    given = properties(fortress)
    secret = {PASSWORD: given.pop("sasl.password")} if "sasl.password" in given else {}
    options = [part for name, value in given.items() for part in (SSL_NAMES[name], value)]
    line = Served(fortress, filled, client, tmp_path).refused(door, *options, **secret)
    assert f"Kafka at {fortress.door(door)} refused the connection: " in line
    assert mend in line
    assert "not-it" not in line


OTHERS: dict[str, Attempt] = {
    "no TLS": ("TLS", lambda _: {}, "it hung up each time: does it want TLS or a login, so another --security-pro"),
    "no login": ("LOGIN", ssl, "it hung up each time: does it want a login, so --security-protocol SASL_SSL?"),
    "TLS where there is none": ("OPEN", ssl, "this listener does not speak TLS: mend --security-protocol, or the port"),
    "a login where there is none": (
        "PLAINTEXT",
        lambda fortress: {**wrong_password(fortress), "security.protocol": "SASL_PLAINTEXT"},
        "this listener takes no login: give another --security-protocol, or another port",
    ),
}


@pytest.mark.parametrize("attempt", OTHERS)
def test_the_wrong_protocol_is_named(fortress: Fortress, attempt: str) -> None:
    """By kafka-python, which asks first, whatever the client is."""
    door, properties, said = OTHERS[attempt]
    with pytest.raises(BrokerFault) as error:
        Admin(Identity(fortress.door(door), "group", "slot", properties(fortress)), timeout=3.0)
    assert said in str(error.value)


def test_a_protocol_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    config = tmp_path / "statecast.toml"
    config.write_text('[kafka.properties]\n"security.protocol" = "TLS"\n')
    topics = ("--config", str(config), "--input-topic", "in", "--output-topic", "out")
    result = command("serve", "--model", str(Served.model(tmp_path)), *topics)
    line = one_line(result.returncode, result.stderr, 2)
    assert "client property security.protocol: must be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, not TLS" in line
