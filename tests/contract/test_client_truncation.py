"""Where the offsets that a source stands at are gone it must say so: a jump would be a loss that nobody hears of."""

import pytest
from kafka import KafkaAdminClient

from stream.errors import Refused
from tests.contract.conftest import DEADLINE, MakeTopic, World, wait_until
from tests.service import create_topic


def recreate(world: World, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=world.servers)
    admin.delete_topics([topic])
    admin.close()
    create_topic(world.servers, topic)


def test_a_committed_offset_that_retention_has_overtaken_is_refused(group_world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    group_world.fill(topic, {0: 20, 1: 20})
    member = group_world.joined(topic, 2)
    group_world.commit(member, {0: 5, 1: 5})
    member.source.close(leave=True)
    group_world.delete_records(topic, 1, 10)

    again = group_world.joined(topic, 2)
    with pytest.raises(Refused, match=rf"topic {topic} \[1\]: offset 5 is no longer there; retention deleted events"):
        wait_until("it is refused", lambda: False, again.poll)
    assert again.offsets(1) == [], "nothing behind the gap was delivered"
    again.source.seek(1, 10)
    wait_until("an explicit offset mends it", lambda: len(again.records) == 25, again.poll)
    assert (again.offsets(0), again.offsets(1)) == (list(range(5, 20)), list(range(10, 20)))


def test_a_position_that_retention_overtakes_is_refused(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    world.fill(topic, {0: 20})
    member = world.joined(topic, 2)
    wait_until("all come", lambda: len(member.records) == 20, member.poll)
    member.source.pause([0])
    world.fill(topic, {0: 20})
    world.delete_records(topic, 0, 30)
    member.source.seek(0, 12)  # back, after an abort
    world.fill(topic, {1: 20})
    wait_until("the other comes", lambda: len(member.offsets(1)) == 20, member.poll)
    assert len(member.offsets(0)) == 20, "paused"
    member.source.resume([0])
    with pytest.raises(Refused, match=rf"topic {topic} \[0\]: offset 12 is no longer there"):
        wait_until("it is refused", lambda: False, member.poll)
    assert member.offsets(0) == list(range(20))


@pytest.mark.parametrize("fresh", [0, 5])
def test_a_topic_made_anew_is_refused_or_assigned_anew(world: World, make_topic: MakeTopic, fresh: int) -> None:
    topic = make_topic()
    world.fill(topic, {0: 20})
    member = world.joined(topic, 1)
    wait_until("all come", lambda: len(member.records) == 20, member.poll)
    member.resumes = False
    recreate(world, topic)
    world.fill(topic, {0: fresh})

    def told() -> bool:
        try:
            member.poll()
        except Refused as refused:
            return topic in str(refused)
        return [what for what, _ in member.heard].count("assigned") == 2

    wait_until("it is told", told)
    assert len(member.records) == 20


def test_a_new_group_on_a_topic_that_has_lost_its_beginning_may_seek(group_world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(3)
    group_world.fill(topic, {0: 20, 1: 20, 2: 20})
    group_world.delete_records(topic, 0, 10)
    member = group_world.member(topic)
    member.resumes = False
    wait_until("the partitions come", lambda: len(member.assigned_now) == 3, member.poll)
    member.source.resume([2])  # never sought: from the beginning
    wait_until("it comes", lambda: len(member.records) == 20, member.poll)
    member.poll()
    assert len(member.offsets(2)) == 20, "of those without a committed offset, paused: no error and no record"
    assert len(member.records) == 20
    member.source.seek(0, 15)
    member.source.seek(1, 0)
    member.source.resume([0, 1])
    wait_until("they come", lambda: len(member.records) == 45, member.poll)
    assert (member.offsets(0), member.offsets(1)) == (list(range(15, 20)), list(range(20)))

    member.source.seek(0, 9)
    with pytest.raises(Refused, match=r"\[0\]: offset 9 is no longer there"):
        wait_until("it is refused", lambda: False, member.poll)


def test_a_new_group_may_seek_to_the_first_offset_at_once(group_world: World, make_topic: MakeTopic) -> None:
    topic = make_topic()
    group_world.fill(topic, {0: 20})
    member = group_world.member(topic)
    member.resumes = False
    wait_until("the partition comes", lambda: member.assigned_now, member.poll)
    member.source.seek(0, 0)
    member.source.resume([0])
    wait_until("all come", lambda: len(member.records) == 20, member.poll)
    assert member.offsets(0) == list(range(20))
    group_world.commit(member, {0: 20})
    assert group_world.offsets(topic).committed([0], DEADLINE) == {0: 20}
