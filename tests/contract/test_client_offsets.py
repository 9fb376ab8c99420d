"""What may be relied on of questions about offsets: stable, in time, of both isolation levels, from any thread."""

import contextlib
import threading
import time

import pytest

from stream.broker.port import Offsets
from stream.errors import Unavailable
from tests.contract.conftest import DEADLINE, MakeTopic, T, World, wait_until

NOWHERE = "127.0.0.1:9"  # nobody listens on the discard port


def test_committed_offsets_are_numbers_or_none_and_where_reading_begins(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    world.fill(topic, {0: 10, 1: 10})
    offsets = world.offsets(topic)
    assert offsets.committed([], DEADLINE) == {}
    assert offsets.committed([0, 1], DEADLINE) == {0: None, 1: None}
    member = world.joined(topic, 2)
    world.commit(member, {0: 4})
    assert offsets.committed([0, 1], DEADLINE) == {0: 4, 1: None}
    assert offsets.committed([1], DEADLINE) == {1: None}
    member.source.close(leave=False)

    again = world.joined(topic, 2)
    wait_until("the rest comes", lambda: len(again.records) == 16, again.poll)
    assert again.offsets(0) == list(range(4, 10))
    assert again.offsets(1) == list(range(10))


def test_committed_offsets_are_never_an_answer_to_an_earlier_question(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic()
    world.fill(topic, {0: 30})
    member = world.joined(topic, 1)
    offsets = world.offsets(topic)
    assert offsets.committed([0], DEADLINE) == {0: None}
    for offset in range(1, 10):
        with contextlib.suppress(Unavailable):
            offsets.committed([0], 0.001)  # kafka-python keeps an answer that comes too late for the next call
        world.commit(member, {0: offset})
        assert offsets.committed([0], DEADLINE) == {0: offset}


def test_committed_waits_for_open_transactions_and_says_so(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic()
    world.fill(topic, {0: 5})
    member = world.joined(topic, 1)
    offsets = world.offsets(topic)
    sink = world.sink()
    sink.begin()
    sink.send_offsets({0: 3}, member.source.group(), DEADLINE)
    began = time.monotonic()
    with pytest.raises(Unavailable, match=f"cannot read the committed offsets of group {world.group}"):
        offsets.committed([0], 1.0)
    assert 0.9 < time.monotonic() - began < DEADLINE
    sink.commit(DEADLINE)
    assert offsets.committed([0], DEADLINE) == {0: 3}


def test_an_open_transaction_holds_the_end_but_not_the_high_watermark(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    world.fill(topic, {0: 5})
    offsets = world.offsets(topic)
    sink = world.sink("writer")
    sink.begin()
    sink.send(topic, 0, [b"k"] * 3, [b"v"] * 3, [T + 1000] * 3)
    sink.flush(DEADLINE)
    assert offsets.watermarks([0, 1], DEADLINE) == {0: (0, 8), 1: (0, 0)}
    assert offsets.ends([1, 0], DEADLINE) == {0: 5, 1: 0}
    assert offsets.at_time(0, T + 1000, DEADLINE) == 5
    sink.abort(DEADLINE)
    wait_until("the end moves on", lambda: offsets.ends([0], DEADLINE) == {0: 9})
    assert offsets.watermarks([0], DEADLINE) == {0: (0, 9)}
    assert (offsets.watermarks([], DEADLINE), offsets.ends([], DEADLINE)) == ({}, {})


def test_the_first_offset_of_a_time(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    sink = world.sink(transactional=False)
    sink.send(topic, 0, [b"k"] * 4, [b"v"] * 4, [T, T + 10, T + 10, T + 5])
    sink.flush(DEADLINE)
    offsets = world.offsets(topic)
    asked = {at: offsets.at_time(0, T + at, DEADLINE) for at in (-1000, 0, 1, 10, 11)}
    assert asked == {-1000: 0, 0: 0, 1: 1, 10: 1, 11: None}
    assert offsets.at_time(1, T, DEADLINE) is None


def test_deleted_records_move_the_first_offset(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic()
    world.fill(topic, {0: 10})
    world.delete_records(topic, 0, 4)
    assert world.offsets(topic).watermarks([0], DEADLINE) == {0: (4, 10)}


def test_they_may_be_asked_on_another_thread_while_the_source_polls(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic()
    world.fill(topic, {0: 100})
    member = world.joined(topic, 1)
    offsets = world.offsets(topic)
    answers: list[object] = []

    def ask() -> None:
        for _ in range(5):
            answers.append(
                (offsets.committed([0], DEADLINE), offsets.watermarks([0], DEADLINE), offsets.ends([0], DEADLINE))
            )

    asker = threading.Thread(target=ask)
    asker.start()
    wait_until("all is asked", lambda: not asker.is_alive(), lambda: member.poll(7))
    assert answers == [({0: None}, {0: (0, 100)}, {0: 100})] * 5
    wait_until("all records come", lambda: len(member.records) == 100, member.poll)


def test_nothing_is_connected_before_the_first_question(world: World) -> None:
    world.servers = NOWHERE
    offsets: Offsets = world.offsets("topic")
    for ask in (offsets.committed, offsets.watermarks, offsets.ends):
        began = time.monotonic()
        with pytest.raises(Unavailable):
            ask([0], 0.5)
        assert time.monotonic() - began < DEADLINE
