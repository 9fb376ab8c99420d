"""What the loop may rely on as a member of a group: fencing, revocations, what stays, restarts. Per group protocol."""

from contextlib import closing

import pytest

from stream.broker.admin import Admin
from stream.broker.clients import choose
from stream.errors import GenerationOver, SinkFailed, SlotTaken
from tests.contract.conftest import DEADLINE, Broker, MakeTopic, Member, T, World, wait_until


def heard(member: Member, what: str) -> list[int]:
    return sorted(p for name, partitions in member.heard if name == what for p in partitions)


def test_a_second_process_in_the_slot_takes_it_and_the_first_is_told(group_world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    first = group_world.joined(topic, 2)
    second = group_world.joined(topic, 2)
    group_world.fill(topic, {0: 1, 1: 1})
    with pytest.raises(SlotTaken, match=f"another process runs as {group_world.group}-a"):
        wait_until("the first is told", lambda: False, first.poll)
    with pytest.raises(SlotTaken):
        first.poll()
    wait_until("the second goes on", lambda: len(second.records) == 2, second.poll)


def test_the_first_in_the_slot_can_commit_nothing(group_world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    sink = group_world.sink("another transactional.id")
    first = group_world.joined(topic, 2)
    group_world.joined(topic, 2)
    sink.begin()
    with pytest.raises(SinkFailed):
        sink.send_offsets({0: 7}, first.source.group(), DEADLINE)
    assert group_world.offsets(topic).committed([0], DEADLINE) == {0: None}


def test_what_was_done_for_a_revoked_partition_can_be_committed_inside_the_callback(
    group_world: World, make_topic: MakeTopic
) -> None:
    topic, out = make_topic(4), make_topic(4)
    count = 300
    group_world.fill(topic, dict.fromkeys(range(4), count))
    sinks = {slot: group_world.sink(slot) for slot in "ab"}
    members: dict[str, Member] = {}

    def commit(slot: str) -> None:
        """Everything delivered to this member since its last commit, with its offsets."""
        member, sink = members[slot], sinks[slot]
        if member.records:
            sink.begin()
            positions = {}
            for partition, offset, key, value, timestamp in member.records:
                sink.send(out, partition, [key], [value], [timestamp])
                positions[partition] = offset + 1
            member.records.clear()
            sink.send_offsets(positions, member.source.group(), DEADLINE)
            sink.commit(DEADLINE)

    def join(slot: str) -> Member:
        members[slot] = member = group_world.member(topic, slot)
        member.on_revoked = lambda _: commit(slot)
        return member

    a = join("a")
    wait_until("some records come", lambda: len(a.records) >= 200, lambda: a.poll(20))
    b = join("b")
    turns = (lambda: a.poll(1), lambda: b.poll(1))
    wait_until("they share", lambda: len(a.assigned_now) == len(b.assigned_now) == 2, *turns)
    assert heard(a, "lost") == []

    def step() -> None:
        for slot in "ab":
            members[slot].poll(200)
            commit(slot)

    everything, offsets = dict.fromkeys(range(4), count), group_world.offsets(topic)
    wait_until("all is committed", lambda: offsets.committed(range(4), DEADLINE) == everything, step)
    expected = [(p, b"%d" % i) for p in range(4) for i in range(count)]
    wait_until("all is visible", lambda: len(group_world.visible(out, 4)) >= len(expected))
    outputs = [(seen.partition, seen.value) for seen in group_world.visible(out, 4)]
    assert outputs == expected, "each record has its output exactly once, in order"


def test_a_join_leaves_what_stays_alone(group_world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(4)
    a = group_world.joined(topic, 4, "a")
    b = group_world.member(topic, "b")
    turns = (a.poll, b.poll)
    wait_until("they share", lambda: len(a.assigned_now) == len(b.assigned_now) == 2, *turns)
    assert not a.assigned_now & b.assigned_now
    assert heard(a, "revoked") == sorted(b.assigned_now), "only what moved was revoked"
    assert heard(a, "assigned") == [0, 1, 2, 3], "what stayed was not assigned again"

    group_world.fill(topic, dict.fromkeys(range(4), 10))
    wait_until("all are read", lambda: len(a.records) + len(b.records) == 40, *turns)
    assert {record[0] for record in a.records} == a.assigned_now


def test_a_restart_in_the_same_slot_moves_nothing(group_world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(4)
    a, b = group_world.joined(topic, 4, "a"), group_world.member(topic, "b")
    wait_until("they share", lambda: len(a.assigned_now) == len(b.assigned_now) == 2, a.poll, b.poll)
    group_world.commit(b, dict.fromkeys(b.assigned_now, 0))
    mine, before = set(b.assigned_now), list(a.heard)
    b.source.close(leave=False)
    assert heard(b, "revoked") == sorted(mine), "a close tells of what goes, so that it can be committed"

    again = group_world.member(topic, "b")
    wait_until("it has its partitions back", lambda: again.assigned_now == mine, a.poll, again.poll)
    assert a.heard == before, "the other member saw nothing of it"


def test_who_leaves_gives_its_partitions_at_once(group_world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(4)
    a, b = group_world.joined(topic, 4, "a"), group_world.member(topic, "b", session_timeout=60.0)
    wait_until("they share", lambda: len(a.assigned_now) == len(b.assigned_now) == 2, a.poll, b.poll)
    b.source.close(leave=True)
    wait_until("the other has all", lambda: len(a.assigned_now) == 4, a.poll)


def test_who_is_thrown_out_hears_of_a_loss_and_joins_again(group_world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    member = group_world.joined(topic, 2)
    with closing(Admin(group_world.identity())) as admin:
        admin.remove_member(group_world.group, group_world.identity().slot)
    wait_until("it is lost", lambda: heard(member, "lost") == [0, 1], member.poll)
    assert heard(member, "revoked") == []
    wait_until("it joined again", lambda: len(member.assigned_now) == 2, member.poll)


def test_a_rebalance_under_a_transaction_costs_no_more_than_an_abort(group_world: World, make_topic: MakeTopic) -> None:
    topic, out = make_topic(2), make_topic()
    a, sink = group_world.joined(topic, 2, "a"), group_world.sink("another transactional.id")
    before = a.source.group()
    b = group_world.member(topic, "b")
    wait_until("they share", lambda: len(a.assigned_now) == len(b.assigned_now) == 1, a.poll, b.poll)

    sink.begin()
    sink.send(out, 0, [None], [b"refused"], [T])
    with pytest.raises(SinkFailed) as failed:
        sink.send_offsets({0: 1}, before, DEADLINE)
    assert isinstance(failed.value, GenerationOver) is (group_world.client.name == "confluent"), failed.value
    if isinstance(failed.value, GenerationOver):
        sink.abort(DEADLINE)
        sink.begin()
        sink.send(out, 0, [None], [b"taken"], [T])
        sink.send_offsets(dict.fromkeys(a.assigned_now, 2), a.source.group(), DEADLINE)
        sink.commit(DEADLINE)
        assert [seen.value for seen in group_world.visible(out, 1)] == [b"taken"]
        assert group_world.offsets(topic).committed([*a.assigned_now], DEADLINE) == dict.fromkeys(a.assigned_now, 2)


def test_who_ends_between_the_rounds_of_a_rebalance_leaves_partitions_that_a_second_one_gives_away(
    kafka: Broker, make_topic: MakeTopic
) -> None:
    """With kafka-python, whose second round waits for a poll; now and then that is the one in which the first ends."""
    for _ in range(8):
        world = World(choose("kafka-python"), kafka.bootstrap_servers)
        try:
            if ends_between_the_rounds(world, make_topic(4)):
                return
        finally:
            world.close()
    pytest.fail("the second round was never late")


def ends_between_the_rounds(world: World, topic: str) -> bool:
    """Whether the second round was still to come when the member ended; then partitions had no owner, and got one."""
    a, b = world.joined(topic, 4, "a"), world.member(topic, "b")
    wait_until("the first round takes some from a", lambda: heard(a, "revoked"), a.poll, b.poll)
    moving = set(heard(a, "revoked"))
    a.source.close(leave=False)
    again = world.member(topic, "a")
    with closing(Admin(world.identity())) as admin:
        found = lambda: admin.unowned(world.group, topic, 4)  # noqa: E731
        settled = lambda: again.assigned_now and found() in (moving, set())  # noqa: E731
        wait_until("its successor has its share", settled, again.poll, b.poll)
        late = found() == moving
        if late:
            for member in (again, b):
                member.source.join_again()
        wait_until("all are shared", lambda: len(again.assigned_now | b.assigned_now) == 4, again.poll, b.poll)
        wait_until("none is without an owner", lambda: not found(), again.poll, b.poll)
    return late


def test_a_member_that_joins_again_and_those_beside_it_share_all_partitions(
    group_world: World, make_topic: MakeTopic
) -> None:
    topic = make_topic(4)
    a, b = group_world.joined(topic, 4, "a"), group_world.member(topic, "b")
    shared = lambda: len(a.assigned_now) == len(b.assigned_now) == 2 and not a.assigned_now & b.assigned_now  # noqa: E731
    wait_until("they share", shared, a.poll, b.poll)
    for member in (a, b):
        member.source.join_again()
        for _ in range(5):
            a.poll()
            b.poll()
        wait_until("they share again", shared, a.poll, b.poll)
    group_world.fill(topic, dict.fromkeys(range(4), 3))
    wait_until("all is read", lambda: len(a.records) + len(b.records) == 12, a.poll, b.poll)


def test_the_members_of_a_group_may_use_different_clients(kafka: Broker, make_topic: MakeTopic) -> None:
    servers = kafka.bootstrap_servers
    topic = make_topic(4)
    worlds = [World(choose("kafka-python"), servers), World(choose("confluent"), servers, "classic")]
    worlds[1].group = worlds[0].group
    try:
        a, b = worlds[0].joined(topic, 4, "a"), worlds[1].member(topic, "b")
        wait_until("they share", lambda: len(a.assigned_now) == len(b.assigned_now) == 2, a.poll, b.poll)
        assert heard(a, "revoked") == sorted(b.assigned_now)
    finally:
        for world in worlds:
            world.close()
