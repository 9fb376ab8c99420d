"""Operator's commands get in as the service does, by the environment, and need no more than docs/security.md lists."""

import pytest

from tests.secure import least
from tests.secure.fortress import BOB, PASSWORDS, Fortress
from tests.secure.served import Served
from tests.service import command

PREFIX = "STATECAST_KAFKA__"


@pytest.fixture(scope="module")
def served(fortress: Fortress, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """An application that has worked off its input."""
    made = Served(fortress, Served.fill(fortress), "confluent", tmp_path_factory.mktemp("served"))
    made.drains("PLAINTEXT")
    return made


def login(fortress: Fortress) -> dict[str, str]:
    given = {
        "BOOTSTRAP_SERVERS": fortress.door("LOGIN"),
        "SECURITY_PROTOCOL": "SASL_SSL",
        "SASL_MECHANISM": "SCRAM-SHA-256",
        "SASL_USERNAME": BOB,
        "SASL_PASSWORD": PASSWORDS[BOB],
        "SSL_CA": str(fortress.authority.pem),
    }
    return {PREFIX + name: value for name, value in given.items()}


def done(fortress: Fortress, rights: least.Rights, *arguments: str) -> str:
    """What a command says that may do just this."""
    fortress.give(rights)
    result = command(*arguments, **login(fortress))
    assert result.returncode == 0, f"{' '.join(arguments)}: {result.stdout}{result.stderr}"
    return result.stdout


def test_looking_at_state(fortress: Fortress, served: Served) -> None:
    rights = least.looking(served.name, served.changelog)
    who = ("--application-id", served.name)
    assert "stream-1" in done(fortress, rights, "state", "list", *who)
    assert "stream-1" in done(fortress, rights, "state", "get", "stream-1", *who)


def test_dead_letters(fortress: Fortress, served: Served) -> None:
    which = ("--dead-letter-topic", served.letters)
    assert "not_json" in done(fortress, least.letters(served.letters), "deadletter", "list", *which)
    rights = least.retrying(served.letters, served.input)
    more = ("--input-topic", served.input, "--all", "--yes")
    done(fortress, rights, "deadletter", "retry", *which, *more)


def test_a_reset(fortress: Fortress, served: Served) -> None:
    who = ("--application-id", served.name, "--input-topic", served.input)
    done(fortress, least.resetting(served.name, served.changelog, served.input), "state", "reset", "stream-1", *who)


def test_the_doctor_is_content_with_the_rights_of_serve(fortress: Fortress, served: Served) -> None:
    rights = least.serve(served.name, served.input, served.output, served.letters, served.changelog, creates=False)
    flags = ("--model", str(served.model(served.folder)), "--application-id", served.name)
    said = done(fortress, rights, "doctor", *flags, "--input-topic", served.input, "--output-topic", served.output)
    assert "rights" in said
