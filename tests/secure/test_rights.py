"""The least rights: with them a new service works, and without any one of them it ends with a line that names it."""

import re
from pathlib import Path

import pytest
from kafka.admin import ACLOperation as Op
from kafka.admin import ResourceType as Kind

from stream.broker.port import Identity
from stream.configuration import load
from stream.errors import Forbidden, Refused
from stream.ops.prune import prune
from stream.topics import prepare
from tests.integration.application import last_line
from tests.secure import least
from tests.secure.fortress import BOB, PASSWORDS, Fortress, Right
from tests.secure.served import Served
from tests.service import eventually, produce, read, readings, serving

CLIENTS = ("kafka-python", "confluent")
PASSWORD = {"STATECAST_KAFKA__SASL_PASSWORD": PASSWORDS[BOB]}


@pytest.fixture(scope="module")
def filled(fortress: Fortress) -> str:
    return Served.fill(fortress)


@pytest.fixture
def served(fortress: Fortress, filled: str, tmp_path: Path) -> Served:
    return Served(fortress, filled, "confluent", tmp_path)


def rights(served: Served, **how: bool) -> least.Rights:
    return least.serve(served.name, served.input, served.output, served.letters, served.changelog, **how)


def login(fortress: Fortress) -> list[str]:
    name = ["--sasl-mechanism", "SCRAM-SHA-512", "--sasl-username", BOB]
    return ["--security-protocol", "SASL_SSL", "--ssl-ca", str(fortress.authority.pem), *name]


def properties(fortress: Fortress) -> dict[str, str]:
    return {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(fortress.authority.pem),
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": BOB,
        "sasl.password": PASSWORDS[BOB],
    }


@pytest.mark.parametrize(("client", "delivery"), [("kafka-python", "at_least_once"), ("confluent", "exactly_once")])
def test_with_exactly_the_least_a_new_service_works(
    fortress: Fortress, served: Served, client: str, delivery: str
) -> None:
    served.client = client
    fortress.give(rights(served))
    served.drains("LOGIN", *login(fortress), "--delivery", delivery, **PASSWORD)


def test_topics_made_beforehand_need_no_right_to_create(fortress: Fortress, served: Served) -> None:
    served.client = "kafka-python"
    served.make_topics()
    fortress.give(rights(served, creates=False))
    served.drains("LOGIN", *login(fortress), **PASSWORD)


# What each takes away, and what the line says then. Place among `least.serve`.
SAID = [
    "describe topic {input}: Kafka refused it (TopicAuthorizationFailedError); grant DESCRIBE (part of READ and of",
    "topic {input}: lacks the right to see its settings; grant DESCRIBE_CONFIGS on the topic",
    "describe topic {output}: Kafka refused it",
    "topic {output}: lacks the right to see its settings; grant DESCRIBE_CONFIGS on the topic",
    "describe topic {letters}: Kafka refused it",
    "topic {letters}: lacks the right to see its settings; grant DESCRIBE_CONFIGS on the topic",
    "changelog {changelog}: lacks the right to read it; grant READ on the topic",
    "changelog {changelog}: lacks the right to write it; grant WRITE on the topic",
    "topic {changelog}: lacks the right to see its settings; grant DESCRIBE_CONFIGS on the topic",
    "cannot read the committed offsets of group {name}: Kafka refused it (GroupAuthorizationFailedError); grant READ",
    "cannot initialise the transactional.id {name}-one: Kafka refused it (",
    "cannot create topic {output}: Kafka refused it (TopicAuthorizationFailedError); grant CREATE on the topic",
    "cannot create topic {letters}: Kafka refused it (TopicAuthorizationFailedError); grant CREATE on the topic",
    "cannot create topic {changelog}: Kafka refused it (TopicAuthorizationFailedError); grant CREATE on the topic",
]
TRANSACTIONS = 10
DESCRIBE = "DESCRIBE (part of READ and of WRITE) on the topic"


def said(served: Served, place: int) -> str:
    names = {"input": served.input, "output": served.output, "letters": served.letters}
    return SAID[place].format(**names, changelog=served.changelog, name=served.name)


@pytest.mark.parametrize("place", [place for place in range(len(SAID)) if place != TRANSACTIONS])
def test_without_one_of_them_the_start_is_refused_by_name(fortress: Fortress, served: Served, place: int) -> None:
    """What `serve` asks before it makes any handle; the transactional.id is not among it."""
    everything = rights(served)
    assert len(everything) == len(SAID)
    fortress.give(least.without(everything, everything[place]))
    flags = {"input_topic": served.input, "output_topic": served.output, "application_id": served.name}
    settings = load({("kafka", name): value for name, value in flags.items()}, None)
    identity = Identity(fortress.door("LOGIN"), served.name, settings.slot, properties(fortress))
    fingerprint = served.changelog.split(".")[-2]
    with pytest.raises(Forbidden) as error:
        prepare(settings, identity, fingerprint)
    assert said(served, place) in str(error.value)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("place", [2, TRANSACTIONS])
def test_without_one_of_them_the_service_ends_with_a_line_that_names_it(
    fortress: Fortress, served: Served, client: str, place: int
) -> None:
    served.client = client
    everything = rights(served)
    fortress.give(least.without(everything, everything[place]))
    line = served.refused("LOGIN", *login(fortress), **PASSWORD)
    assert said(served, place) in line
    right = "WRITE on the transactional.id" if place == TRANSACTIONS else DESCRIBE
    assert line.endswith(f"; grant {right} to User:bob\n")


def test_a_right_to_see_a_topic_is_not_one_to_use_it(fortress: Fortress, served: Served) -> None:
    served.make_topics()
    for name, operation in ((served.input, Op.READ), (served.output, Op.WRITE), (served.letters, Op.WRITE)):
        everything = rights(served, creates=False)
        rest = least.without(everything, Right(Kind.TOPIC, name, operation))
        fortress.give([*rest, Right(Kind.TOPIC, name, Op.DESCRIBE)])
        settings = load({("kafka", "input_topic"): served.input, ("kafka", "output_topic"): served.output}, None)
        settings.kafka.application_id = served.name
        identity = Identity(fortress.door("LOGIN"), served.name, settings.slot, properties(fortress))
        with pytest.raises(Forbidden, match=f"{name}: lacks the right to .* it; grant {operation.name} on the topic"):
            prepare(settings, identity, served.changelog.split(".")[-2])


@pytest.mark.parametrize("client", CLIENTS)
def test_a_right_that_is_taken_away_ends_a_running_service(
    fortress: Fortress, served: Served, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.client, served.input = client, served.fill(fortress)  # an input that nobody else reads
    served.make_topics()
    everything = rights(served, creates=False)
    fortress.give(everything)
    for name, value in PASSWORD.items():
        monkeypatch.setenv(name, value)
    log = served.folder / "serve.log"
    with serving(log, *served.arguments("LOGIN", *login(fortress), "--no-until-end")) as service:
        eventually("it serves", lambda: read(fortress.servers, served.output), pause=0.5)
        fortress.give(least.without(everything, Right(Kind.TOPIC, served.output, Op.WRITE)))
        produce(fortress.servers, served.input, readings(4, streams=4))
        line = last_line(service)
    assert f"topic {served.output}: Kafka refused it (" in line
    assert re.search(r"grant (WRITE|DESCRIBE .*) on the topic to User:bob$", line)


SEEN = {Op.DESCRIBE: "GroupAuthorizationFailed", Op.DESCRIBE_CONFIGS: "DESCRIBE_CONFIGS", Op.DELETE: "has no changelog"}


def test_pruning_needs_the_rights_to_see_and_to_delete(fortress: Fortress, served: Served) -> None:
    served.make_topics()
    everything = least.prune(served.name, served.changelog)
    identity = Identity(fortress.door("LOGIN"), served.name, "prune", properties(fortress))
    said: list[str] = []
    for right in everything:
        fortress.give(least.without(everything, right))
        with pytest.raises(Refused, match=SEEN[right.operation]):
            prune(identity, [], yes=True, all=True, say=said.append)
    fortress.give(everything)
    prune(identity, [], yes=True, all=True, say=said.append)
    assert said[-1] == f"deleted {served.changelog}"
