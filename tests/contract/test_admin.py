"""What may be relied on of the calls about topics and groups."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from localbroker.broker import LocalBroker
from stream.broker.admin import Admin
from stream.broker.port import Identity
from stream.errors import Refused
from tests.contract.conftest import Broker, MakeTopic, World, wait_until


@pytest.fixture
def admin(kafka: Broker) -> Iterator[Admin]:
    with closing(Admin(Identity(kafka.bootstrap_servers, "group", "slot"))) as made:
        yield made


def test_topics_are_described_and_created(admin: Admin) -> None:
    name = f"described-{time.time_ns()}"
    assert admin.describe(name) is None
    admin.create(name, 3, {"cleanup.policy": "compact", "max.message.bytes": "2000000"})
    made = admin.describe(name)
    assert made is not None
    assert (made.name, made.partitions, made.replication_factor) == (name, 3, 1)
    assert made.config["cleanup.policy"] == "compact"
    assert made.config["max.message.bytes"] == "2000000"
    assert made.config["retention.ms"] == "604800000", "what was left out is there with its default"
    assert made.topic_id
    admin.create(name, 1, {})  # nothing: it is there
    assert admin.describe(name) == made
    with pytest.raises(Refused, match=f"cannot create topic {name}-x: Unknown topic config name: nonsense"):
        admin.create(f"{name}-x", 1, {"nonsense": "1"})
    with pytest.raises(Refused, match="replication factor of 3"):
        admin.create(f"{name}-x", 1, {}, replication_factor=3)
    with pytest.raises(Refused, match="Topic name is invalid"):
        admin.create("not a name", 1, {})


def test_settings_that_a_node_does_not_know_yet_are_asked_for_again(
    admin: Admin, make_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = make_topic()
    known = admin.describe(topic)
    there = admin._admin.describe_topics([topic])
    ask, answers = admin._admin._manager.run, []

    def late(call: Any, *arguments: Any) -> Any:
        """Of the settings, the first answer is that of a node that has not heard of the topic."""
        if call != admin._admin._async_describe_configs or answers:
            return ask(call, *arguments)
        answers.append(call)
        return ask(call, [ConfigResource(ConfigResourceType.TOPIC, "unheard-of")], *arguments[1:])

    monkeypatch.setattr(admin._admin, "describe_topics", lambda _: there)
    monkeypatch.setattr(admin._admin._manager, "run", late)
    assert admin.describe(topic) == known
    assert answers, "the first answer was to be another one"


def test_topics_are_listed_and_deleted(admin: Admin, make_topic: MakeTopic) -> None:
    topic, other = make_topic(), make_topic()
    before = admin.describe(topic)
    assert before is not None
    names = admin.topics()
    assert {topic, other} <= set(names)
    assert names == sorted(names)
    assert "__consumer_offsets" not in names
    admin.delete(topic)
    assert topic not in admin.topics()
    assert admin.describe(topic) is None
    admin.delete(topic)  # nothing: it is not there
    admin.create(topic, 1, {})  # at once
    again = admin.describe(topic)
    assert again is not None
    assert again.topic_id != before.topic_id


def test_the_brokers_are_counted(admin: Admin) -> None:
    assert admin.cluster_size() >= 1


def test_the_members_of_a_group_are_counted(group_world: World, admin: Admin, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    assert admin.group_members(group_world.group) == 0
    a = group_world.joined(topic, 2, "a")
    assert admin.group_members(group_world.group) == 1
    b = group_world.member(topic, "b")
    wait_until("they share", lambda: len(a.assigned_now) == len(b.assigned_now) == 1, a.poll, b.poll)
    assert admin.group_members(group_world.group) == 2
    b.source.close(leave=True)
    wait_until("one has left", lambda: admin.group_members(group_world.group) == 1, a.poll)
    a.source.close(leave=True)
    wait_until("both have left", lambda: admin.group_members(group_world.group) == 0)


def test_the_topics_of_a_group_are_those_with_offsets(world: World, admin: Admin, make_topic: MakeTopic) -> None:
    first, second, third = make_topic(), make_topic(), make_topic()
    assert admin.group_topics(world.group) == set()
    for topic in (first, second):
        member = world.joined(topic, 1)
        world.commit(member, {0: 0})
        member.source.close(leave=True)
    member = world.joined(third, 1)
    assert admin.group_topics(world.group) == {first, second}


def test_a_broker_that_has_seen_no_group_yet() -> None:
    with LocalBroker() as broker, closing(Admin(Identity(broker.bootstrap_servers, "group", "slot"))) as admin:
        assert admin.group_topics("group") == set()
        assert admin.group_members("group") == 0
        assert admin.topics() == []
