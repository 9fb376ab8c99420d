"""What the loop is told when Kafka is away, silent or unwilling: the right kind of error, in time, in one line."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from localbroker import ports
from localbroker.broker import LocalBroker
from stream.broker.admin import Admin
from stream.broker.clients import choose
from stream.broker.port import Identity
from stream.errors import Refused, SinkFailed, Unavailable, UsageError
from tests.contract.conftest import DEADLINE, MakeTopic, T, World, wait_until
from tests.service import create_topic

NOWHERE = "127.0.0.1:9"  # nobody listens on the discard port
CLIENTS = ("kafka-python", "confluent")


class Strict:
    """A broker of its own, with a door that asks for a password, and rights that can be taken away."""

    def __init__(self, broker: LocalBroker, door: int) -> None:
        self.broker = broker
        self.bootstrap_servers = broker.bootstrap_servers
        self.door = f"127.0.0.1:{door}"
        self._admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        self._count = 0

    def topic(self) -> str:
        self._count += 1
        name = f"topic-{self._count}"
        create_topic(self.bootstrap_servers, name)
        return name

    def deny(self, kind: ResourceType, name: str, operation: ACLOperation) -> None:
        self._admin.create_acls(
            [ACL("User:ANONYMOUS", "*", operation, ACLPermissionType.DENY, ResourcePattern(kind, name))]
        )

    def freeze(self) -> None:
        os.kill(self.broker.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.broker.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def strict() -> Iterator[Strict]:
    port = ports.free_port()
    controller = ports.free_port(besides=port)
    door = next(free for free in iter(ports.free_port, None) if free not in (port, controller))
    listeners = {"PLAINTEXT": port, "CONTROLLER": controller, "DOOR": door}
    addresses = ",".join(f"{name}://127.0.0.1:{number}" for name, number in listeners.items())
    properties = {
        "listeners": addresses,
        "advertised.listeners": addresses,
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,DOOR:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.door.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required "
        'user_alice="secret";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with LocalBroker(port=port, properties=properties) as broker:
        yield Strict(broker, door)


@pytest.fixture(params=CLIENTS)
def strict_world(request: pytest.FixtureRequest, strict: Strict) -> Iterator[World]:
    made = World(choose(request.param), strict.bootstrap_servers)
    yield made
    made.close()


def seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


# Nobody there.


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("what", ["source", "transactional sink", "plain sink"])
def test_a_broker_that_is_not_there_is_told_in_time_in_one_line(name: str, what: str) -> None:
    client, identity = choose(name), Identity(NOWHERE, "group", "slot")

    def make() -> None:
        with pytest.raises(Unavailable) as error:  # noqa: PT012
            if what == "source":
                client.source(identity, "topic", session_timeout=6.0, timeout=1.0)
            else:
                client.sink(identity, transactional=what == "transactional sink", timeout=1.0)
        assert str(error.value).startswith(f"cannot reach Kafka at {NOWHERE} within 1 s; is it running")
        assert "\n" not in str(error.value)

    assert seconds(make) < 10


def test_topics_of_a_broker_that_is_not_there() -> None:
    with pytest.raises(Unavailable, match=f"cannot reach Kafka at {NOWHERE} within 1 s"):
        Admin(Identity(NOWHERE, "group", "slot"), timeout=1.0)


# Nothing that the user asked for.


def test_a_topic_that_is_not_there(world: World) -> None:
    with pytest.raises(Refused, match="topic not-there is not there"):
        world.member("not-there")


@pytest.mark.parametrize("properties", [{"no.such.setting": "1"}, {"group.id": "mine"}, {"ssl.ca.location": "/none"}])
def test_a_client_property_that_cannot_be_is_named(
    world: World, make_topic: MakeTopic, properties: dict[str, str]
) -> None:
    topic = make_topic()
    if "ssl.ca.location" in properties:
        properties = {"security.protocol": "SSL", **properties}
    world.properties = properties
    with pytest.raises(UsageError, match=r"client property"):
        world.member(topic)
    with pytest.raises(UsageError, match=r"client property"):
        world.sink()


# A door that asks for a password.


def with_password(strict: Strict, name: str, password: str) -> World:
    world = World(choose(name), strict.door)
    world.properties = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "alice",
        "sasl.password": password,
    }
    return world


@pytest.mark.parametrize("name", CLIENTS)
def test_who_knows_the_password_comes_in(strict: Strict, name: str) -> None:
    world, topic = with_password(strict, name, "secret"), strict.topic()
    world.fill(topic, {0: 3})
    member = world.joined(topic, 1)
    wait_until("all records come", lambda: len(member.records) == 3, member.poll)
    sink = world.sink()
    sink.begin()
    sink.send_offsets({0: 3}, member.source.group(), DEADLINE)
    sink.commit(DEADLINE)
    offsets, reader = world.offsets(topic), world.reader(topic)
    assert offsets.committed([0], DEADLINE) == {0: 3}
    assert offsets.watermarks([0], DEADLINE) == {0: (0, 3)}
    reader.add(0, 0)
    wait_until("the reader reads", lambda: reader.position(0) == 3, lambda: reader.poll(10, 0.1))
    offsets.close()
    reader.close()
    member.source.close(leave=True)
    sink.close()


@pytest.mark.parametrize("name", CLIENTS)
def test_a_wrong_password_is_refused_and_not_retried(strict: Strict, name: str) -> None:
    world = with_password(strict, name, "wrong")
    refused = f"Kafka at {strict.door} refused the connection"
    with pytest.raises(Refused, match=refused):
        world.client.source(world.identity(), "topic", session_timeout=6.0, timeout=3.0)
    with pytest.raises(Refused, match=refused):
        world.client.sink(world.identity(), transactional=True, timeout=3.0)
    with pytest.raises(Refused, match=refused):
        world.client.offsets(world.identity(), "topic").committed([0], 3.0)


# Rights.


def test_a_commit_fails_where_a_record_was_not_allowed(strict: Strict, strict_world: World) -> None:
    allowed, forbidden = strict.topic(), strict.topic()
    strict.deny(ResourceType.TOPIC, forbidden, ACLOperation.WRITE)
    sink = strict_world.sink()
    sink.begin()
    sink.send(allowed, 0, [b"k"], [b"v"], [T])
    with pytest.raises(Refused, match=forbidden):  # noqa: PT012
        sink.send(forbidden, 0, [b"k"], [b"v"], [T])
        sink.commit(DEADLINE)  # kafka-python's own says that all is well, and shows the rest
    sink.close()
    strict_world.sink()  # aborts what its predecessor left open
    assert strict_world.visible(allowed) == []


def test_a_flush_fails_where_a_record_was_not_allowed(strict: Strict, strict_world: World) -> None:
    forbidden = strict.topic()
    strict.deny(ResourceType.TOPIC, forbidden, ACLOperation.WRITE)
    sink = strict_world.sink(transactional=False)
    with pytest.raises(Refused, match=forbidden):  # noqa: PT012
        sink.send(forbidden, 0, [b"k"], [b"v"], [T])
        sink.flush(DEADLINE)


def test_a_topic_that_may_not_be_read(strict: Strict, strict_world: World) -> None:
    forbidden = strict.topic()
    strict_world.fill(forbidden, {0: 1})
    strict.deny(ResourceType.TOPIC, forbidden, ACLOperation.READ)
    with pytest.raises(Refused):  # noqa: PT012
        member = strict_world.member(forbidden)
        wait_until("it is refused", lambda: False, member.poll)


def test_a_group_that_may_not_be_joined(strict: Strict, strict_world: World) -> None:
    topic = strict.topic()
    strict.deny(ResourceType.GROUP, strict_world.group, ACLOperation.READ)
    with pytest.raises(Refused):  # noqa: PT012
        member = strict_world.member(topic)
        wait_until("it is refused", lambda: False, member.poll)


def test_a_transactional_id_that_may_not_be_used(strict: Strict, strict_world: World) -> None:
    slot = strict_world.identity().slot
    strict.deny(ResourceType.TRANSACTIONAL_ID, slot, ACLOperation.WRITE)
    with pytest.raises(Refused, match=f"cannot initialise the transactional.id {slot}"):
        strict_world.sink()


# Silence.


def test_every_call_ends_while_the_broker_is_silent(strict: Strict, strict_world: World) -> None:
    topic, out = strict.topic(), strict.topic()
    strict_world.fill(topic, {0: 10})
    strict_world.group_protocol = "classic"
    member = strict_world.joined(topic, 1, session_timeout=30.0)
    wait_until("all records come", lambda: len(member.records) == 10, member.poll)
    sinks = {name: strict_world.sink(name, transactional=name != "flush") for name in ("commit", "offsets", "flush")}
    for sink in sinks.values():
        sink.begin()
        sink.send(out, 0, [b"k"], [b"v"], [T])
    sinks["commit"].send_offsets({0: 5}, member.source.group(), DEADLINE)
    source, group = member.source, member.source.group()
    offsets, reader = strict_world.offsets(topic), strict_world.reader(topic)
    assert offsets.ends([0], DEADLINE) == {0: 10}
    reader.add(0, 0)

    def fails(kind: type[Exception], call: Callable[[], object]) -> Callable[[], object]:
        def check() -> None:
            with pytest.raises(kind):
                call()

        return check

    strict.freeze()
    try:
        calls: dict[str, Callable[[], object]] = {
            "poll": lambda: source.poll(10, 0.5),
            "position": lambda: source.position(0),
            "pause": lambda: source.pause([0]),
            "seek": lambda: source.seek(0, 3),
            "resume": lambda: source.resume([0]),
            "commit": fails(SinkFailed, lambda: sinks["commit"].commit(0.5)),
            "offsets": fails(SinkFailed, lambda: sinks["offsets"].send_offsets({0: 5}, group, 0.5)),
            "send": lambda: sinks["flush"].send(out, 0, [b"k"], [b"v"], [T]),
            "flush": fails(SinkFailed, lambda: sinks["flush"].flush(0.5)),
            "committed": fails(Unavailable, lambda: offsets.committed([0], 0.5)),
            "ends": fails(Unavailable, lambda: offsets.ends([0], 0.5)),
            "watermarks": fails(Unavailable, lambda: offsets.watermarks([0], 0.5)),
            "at_time": fails(Unavailable, lambda: offsets.at_time(0, T, 0.5)),
            "read": lambda: reader.poll(10, 0.5),
            "group": source.group,
            "close a sink": sinks["commit"].close,
        }
        took = {name: seconds(call) for name, call in calls.items()}
    finally:
        strict.thaw()
    assert all(time < 10.0 for time in took.values()), took

    strict_world.sink("offsets")  # aborts what its predecessor left open, which holds the group's offsets
    successor = strict_world.sink("commit")
    wait_until("the reader goes on", lambda: reader.position(0) == 10, lambda: reader.poll(10, 0.1))
    settled = offsets.committed([0], DEADLINE)[0]
    assert settled in (None, 5), "the transaction whose answer never came took place, or did not"
    successor.begin()
    successor.send(out, 0, [b"k"], [b"after"], [T])
    successor.send_offsets({0: 10}, source.group(), DEADLINE)
    successor.commit(DEADLINE)
    wait_until("it goes on", lambda: offsets.committed([0], DEADLINE) == {0: 10})
    before = len(member.records)
    wait_until(
        lambda: f"what was sought comes, not {member.offsets(0)[before:]} after {member.heard}",
        lambda: member.offsets(0)[before:] == [3, 4, 5, 6, 7, 8, 9],
        member.poll,
    )


def test_a_source_can_be_closed_while_the_broker_is_silent(strict: Strict, strict_world: World) -> None:
    member = strict_world.joined(strict.topic(), 1)
    strict.freeze()
    try:
        assert seconds(lambda: member.source.close(leave=False)) < 20
    finally:
        strict.thaw()
    assert ("revoked", [0]) in member.heard or ("lost", [0]) in member.heard
