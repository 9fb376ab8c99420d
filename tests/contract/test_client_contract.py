"""What the loop may rely on when it reads: order, columns, pauses, positions. The same for every client."""

import time

import pytest

from tests.contract.conftest import DEADLINE, MakeTopic, T, World, wait_until


def test_records_arrive_in_order_as_columns(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    sink = world.sink(transactional=False)
    sink.send(topic, 0, [b"a", b"", None, b"d", None], [b"1", b"", b"3", None, None], [T, T + 1, T + 2, T + 3, T + 4])
    sink.send(topic, 1, [b"b"], [b"\xff\x00"], [T])
    sink.flush(DEADLINE)

    member = world.joined(topic, 2)
    wait_until("all records come", lambda: len(member.records) == 6, member.poll)

    assert [record for record in member.records if record[0] == 0] == [
        (0, 0, b"a", b"1", T),
        (0, 1, b"", b"", T + 1),  # empty is not missing
        (0, 2, None, b"3", T + 2),
        (0, 3, b"d", None, T + 3),
        (0, 4, None, None, T + 4),
    ]
    assert [record for record in member.records if record[0] == 1] == [(1, 0, b"b", b"\xff\x00", T)]


def test_headers_and_timestamps_are_written_as_given(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic()
    sink = world.sink()
    sink.begin()
    headers = [[("code", b"not_json"), ("code", b"again"), ("empty", b"")], []]
    sink.send(topic, 0, [b"k", None], [b"v", None], [T, T + 7], headers)
    sink.send(topic, 0, [b"k"], [b"v"], [0])
    sink.commit(DEADLINE)

    first, second, third = world.visible(topic)
    assert (first.headers, first.timestamp) == (headers[0], T)
    assert (second.headers, second.timestamp, second.key, second.value) == ([], T + 7, None, None)
    assert third.timestamp == 1, "librdkafka takes 0 for the present, so both clients write 1 for it"


def test_assigned_partitions_come_paused(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    world.fill(topic, {0: 50, 1: 50})
    member = world.member(topic)
    member.resumes = False
    wait_until("the partitions come", lambda: len(member.assigned_now) == 2, member.poll)
    member.poll()
    assert member.records == [], "nothing may be delivered before resume"

    member.source.resume([1])
    wait_until("partition 1 comes", lambda: len(member.records) == 50, member.poll)
    member.poll()
    assert member.offsets(0) == [], "nothing of the other, although there was time for it"
    member.source.resume([0])
    wait_until("partition 0 comes", lambda: len(member.records) == 100, member.poll)


def test_pause_and_resume_lose_and_repeat_nothing(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    world.fill(topic, {0: 2000, 1: 2000})
    member = world.joined(topic, 2)
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        member.source.pause([turns % 2])
        assert all(batch.partition != turns % 2 for batch in member.poll(50)), "a paused partition delivered"
        member.source.resume([turns % 2])
        member.poll(50)

    wait_until("all records come", lambda: len(member.records) >= 4000, turn)
    assert member.offsets(0) == member.offsets(1) == list(range(2000))


def test_a_poll_gives_what_is_there_and_never_more_than_asked(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic()
    world.fill(topic, {0: 100})
    member = world.joined(topic, 1)
    wait_until("the first come", lambda: member.records, lambda: member.poll(7))
    while len(member.records) < 100:
        began = time.monotonic()
        assert sum(map(len, member.poll(7, timeout=10.0))) <= 7
        assert time.monotonic() - began < 9, "a poll waited although records were there"


def test_a_seek_names_the_next_record_and_keeps_the_pause(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    world.fill(topic, {0: 100, 1: 100})
    member = world.member(topic)
    member.resumes = False
    wait_until("the partitions come", lambda: len(member.assigned_now) == 2, member.poll)

    member.source.seek(0, 40)  # at once, before the client knows where to begin
    member.source.resume([1])
    wait_until("the other comes", lambda: len(member.offsets(1)) == 100, member.poll)
    member.poll()
    assert member.offsets(0) == [], "a sought partition is still paused"
    member.source.resume([0])
    wait_until("the rest comes", lambda: len(member.offsets(0)) == 60, member.poll)
    assert member.offsets(0) == list(range(40, 100))

    member.source.seek(0, 10)  # back, after an abort
    wait_until("it comes again", lambda: len(member.offsets(0)) == 150, member.poll)
    assert member.offsets(0)[60:] == list(range(10, 100))

    member.source.pause([1])
    member.source.seek(0, 99)
    member.source.seek(1, 99)
    wait_until("the last comes", lambda: len(member.offsets(0)) == 151, member.poll)
    member.poll()
    assert len(member.offsets(1)) == 100, "still paused"
    member.source.resume([1])
    wait_until("the last comes", lambda: len(member.offsets(1)) == 101, member.poll)
    assert (member.offsets(0)[-1], member.offsets(1)[-1]) == (99, 99)


@pytest.mark.parametrize("offset", [0, 40])
def test_what_is_resumed_comes_at_once(world: World, make_topic: MakeTopic, offset: int) -> None:
    topic = make_topic()
    world.fill(topic, {0: 100})
    member = world.joined(topic, 1)
    wait_until("all come", lambda: len(member.records) == 100, member.poll)
    took = []
    for _ in range(5):
        member.source.pause([0])
        until = time.monotonic() + 0.3  # the fetches under way have ended
        while time.monotonic() < until:
            assert member.poll() == []
        member.source.seek(0, offset)
        seen = len(member.records)
        began = time.monotonic()
        member.source.resume([0])
        wait_until("it comes", lambda seen=seen: len(member.records) > seen, member.poll)
        took.append(time.monotonic() - began)
        wait_until("all come", lambda seen=seen: len(member.records) == seen + 100 - offset, member.poll)
        assert member.offsets(0)[seen:] == list(range(offset, 100))
    assert min(took) < 0.5, f"resumed partitions slept for {took} s"


def test_what_comes_to_partitions_that_were_resumed_while_they_were_empty(world: World, make_topic: MakeTopic) -> None:
    count = 40  # some of them lose a race, if there is one
    topic = make_topic(count)
    member = world.member(topic)
    member.resumes = False
    wait_until("it is assigned", lambda: len(member.assigned_now) == count, member.poll)
    for partition in range(count):
        member.source.seek(partition, 0)
        member.source.resume([partition])
        member.poll()
    world.fill(topic, dict.fromkeys(range(count), 2))
    wait_until("all come", lambda: len(member.records) == 2 * count, member.poll)


def test_a_seek_in_the_middle_of_what_was_fetched(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic()
    world.fill(topic, {0: 5000})
    member = world.joined(topic, 1)
    wait_until("some come", lambda: len(member.records) >= 100, lambda: member.poll(100))
    member.source.seek(0, 50)
    seen = len(member.records)
    wait_until("all come", lambda: member.offsets(0)[-1] == 4999, member.poll)
    assert member.offsets(0)[seen:] == list(range(50, 5000))


def test_the_position_passes_control_records(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(3)
    sink = world.sink("writer")
    sink.begin()
    sink.send(topic, 0, [b"k"] * 3, [b"v"] * 3, [T] * 3)
    sink.commit(DEADLINE)
    sink.begin()
    sink.send(topic, 1, [b"k"] * 3, [b"v"] * 3, [T] * 3)
    sink.flush(DEADLINE)
    sink.abort(DEADLINE)
    member = world.joined(topic, 3)
    assert member.source.position(7) is None, "a partition that is not here has no position"
    offsets = world.offsets(topic)
    wait_until("the ends are as written", lambda: offsets.ends([0, 1, 2], DEADLINE) == {0: 4, 1: 4, 2: 0})
    wait_until("a commit is passed", lambda: member.source.position(0) == 4, member.poll)
    wait_until("what was aborted is passed", lambda: member.source.position(1) == 4, member.poll)
    assert len(member.records) == 3
    assert member.source.position(2) in (None, 0), "an empty partition"


def test_what_a_listener_raises_comes_out_of_poll(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic()
    member = world.member(topic)

    class Odd(Exception):
        pass

    def fail(_: object) -> None:
        raise Odd

    member.assigned = fail
    with pytest.raises(Odd):
        wait_until("it is raised", lambda: False, member.poll)
