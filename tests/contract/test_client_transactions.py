"""What the loop may rely on when it writes: outputs and offsets together or not at all, and no commit that lies."""

import time

import pytest

from stream.broker.port import Sink
from stream.errors import Refused, SinkFailed, SinkFenced
from tests.contract.conftest import DEADLINE, MakeTopic, T, World, wait_until


def send(sink: Sink, topic: str, *values: bytes, partition: int = 0) -> None:
    sink.send(topic, partition, [b"k"] * len(values), values, [T] * len(values))


def values(world: World, topic: str) -> list[bytes | None]:
    return [seen.value for seen in world.visible(topic)]


def wait_for(world: World, topic: str, *expected: bytes) -> None:
    """A commit returns when it is decided; a reader sees it a moment later, once each partition has its marker."""
    seen: list[bytes | None] = []

    def as_expected() -> bool:
        seen[:] = values(world, topic)
        return seen == list(expected)

    wait_until(lambda: f"{expected!r:.100} visible, not {seen!r:.100}", as_expected)


def test_outputs_and_offsets_become_visible_together(world: World, make_topic: MakeTopic) -> None:
    source, first, second = make_topic(), make_topic(), make_topic()
    world.fill(source, {0: 5})
    sink = world.sink()
    member = world.joined(source, 1)
    sink.begin()
    send(sink, first, b"1", b"2")
    send(sink, second, b"3")
    sink.send_offsets({0: 5}, member.source.group(), DEADLINE)
    assert (values(world, first), values(world, second)) == ([], [])
    sink.commit(DEADLINE)
    wait_for(world, first, b"1", b"2")
    wait_for(world, second, b"3")
    assert world.offsets(source).committed([0], DEADLINE) == {0: 5}


def test_an_abort_leaves_nothing_and_the_sink_goes_on(world: World, make_topic: MakeTopic) -> None:
    source, out = make_topic(), make_topic()
    world.fill(source, {0: 5})
    sink = world.sink()
    member = world.joined(source, 1)
    wait_until("all records come", lambda: len(member.records) == 5, member.poll)
    sink.begin()
    send(sink, out, b"aborted")
    sink.send_offsets({0: 5}, member.source.group(), DEADLINE)
    sink.abort(DEADLINE)
    assert values(world, out) == []
    assert world.offsets(source).committed([0], DEADLINE) == {0: None}

    member.source.seek(0, 0)
    wait_until("all records come again", lambda: len(member.records) == 10, member.poll)
    sink.begin()
    send(sink, out, b"kept")
    sink.send_offsets({0: 5}, member.source.group(), DEADLINE)
    sink.commit(DEADLINE)
    sink.begin()
    sink.commit(DEADLINE)  # an empty transaction
    wait_for(world, out, b"kept")
    assert world.offsets(source).committed([0], DEADLINE) == {0: 5}


def test_a_flush_proves_delivery(world: World, make_topic: MakeTopic) -> None:
    out = make_topic()
    sink = world.sink(transactional=False)
    sink.begin()  # nothing, without transactions
    for turn in range(3):
        send(sink, out, *[b"%d" % i for i in range(turn * 100, turn * 100 + 100)])
        sink.flush(DEADLINE)
        assert len(values(world, out)) == turn * 100 + 100
    sink.commit(DEADLINE)
    sink.abort(DEADLINE)


def test_a_record_up_to_the_topics_limit_passes(world: World, make_topic: MakeTopic) -> None:
    out = make_topic(1, {"max.message.bytes": "8000000"})
    sink = world.sink()
    sink.begin()
    send(sink, out, b"x" * 7_900_000, b"small")
    sink.commit(DEADLINE)
    wait_for(world, out, b"x" * 7_900_000, b"small")


@pytest.mark.parametrize("transactional", [True, False])
def test_a_record_above_the_topics_limit_names_the_topic_and_commits_nothing(
    world: World, make_topic: MakeTopic, transactional: bool
) -> None:
    out, other = make_topic(1, {"max.message.bytes": "10000"}), make_topic()
    sink = world.sink(transactional=transactional)
    sink.begin()
    send(sink, other, b"beside it")
    with pytest.raises(Refused, match=out):  # noqa: PT012
        send(sink, out, b"x" * 20_000)
        sink.commit(DEADLINE)
    # kafka-python, asked to abort and begin again, commits a second transaction whose records all failed
    for again in (sink.begin, lambda: send(sink, out, b"lost"), lambda: sink.commit(DEADLINE)):
        with pytest.raises(Refused, match=out):
            again()
    sink.close()
    if transactional:
        assert values(world, other) == []

    successor = world.sink(transactional=transactional)
    successor.begin()
    send(successor, out, b"fits")
    successor.commit(DEADLINE)
    wait_for(world, out, b"fits")


@pytest.mark.parametrize("then", ["a record of another topic", "offsets"])
def test_what_is_called_after_a_record_above_the_topics_limit_names_that_topic(
    world: World, make_topic: MakeTopic, then: str
) -> None:
    out, other = make_topic(1, {"max.message.bytes": "10000"}), make_topic()
    member = world.joined(other, 1)
    sink = world.sink()
    sink.begin()

    def again() -> None:
        """Some call is the first one after the broker's answer, whenever that comes."""
        if then == "offsets":
            sink.send_offsets({0: 0}, member.source.group(), DEADLINE)
        else:
            send(sink, other, b"beside it")

    with pytest.raises(Refused, match=out):  # noqa: PT012
        send(sink, out, b"x" * 20_000)
        wait_until("it is refused", lambda: False, again)


def test_many_records_fit_whatever_the_topics_limit_for_one(world: World, make_topic: MakeTopic) -> None:
    out = make_topic(1, {"max.message.bytes": "1048588"})
    sink = world.sink()
    sink.begin()
    for _ in range(20):
        send(sink, out, *[b"x" * 1000] * 200)
    sink.commit(DEADLINE)
    wait_for(world, out, *[b"x" * 1000] * 4000)


def test_many_records_fit_in_a_topic_of_small_batches(world: World, make_topic: MakeTopic) -> None:
    out = make_topic(1, {"max.message.bytes": "10000"})
    sink = world.sink(batch_bytes=10_000)
    sink.begin()
    send(sink, out, *[b"x" * 900] * 500, b"x" * 9_900)
    sink.commit(DEADLINE)
    wait_for(world, out, *[b"x" * 900] * 500, b"x" * 9_900)


def test_a_topic_that_is_not_there_is_refused_at_once(world: World, make_topic: MakeTopic) -> None:
    out = make_topic()
    sink = world.sink()
    sink.begin()
    send(sink, out, b"beside it")
    began = time.monotonic()
    with pytest.raises(Refused, match=r"not-there is not there"):
        send(sink, "not-there", b"v")
    assert time.monotonic() - began < 20
    with pytest.raises((Refused, SinkFailed)):  # kafka-python would commit the rest
        sink.commit(DEADLINE)
    assert values(world, out) == []


def test_a_partition_that_is_not_there_is_refused(world: World, make_topic: MakeTopic) -> None:
    out = make_topic(2)
    sink = world.sink()
    sink.begin()
    with pytest.raises(Refused, match=f"topic {out} has 2 partitions"):
        send(sink, out, b"v", partition=2)


def test_offsets_of_a_failed_transaction_do_not_leak_into_the_next(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    world.fill(topic, {0: 10, 1: 10})
    sink = world.sink()
    member = world.joined(topic, 2)
    stale = member.source.group()
    member.source.close(leave=True)
    member = world.joined(topic, 2)  # another member id: the broker refuses offsets in the name of the first

    sink.begin()
    with pytest.raises(SinkFailed):  # noqa: PT012
        sink.send_offsets({0: 10, 1: 10}, stale, DEADLINE)
        sink.commit(DEADLINE)
    with pytest.raises(SinkFailed):  # kafka-python's producer would send both offsets with the next transaction's
        sink.begin()
    sink.close()

    successor = world.sink()
    successor.begin()
    successor.send_offsets({0: 5}, member.source.group(), DEADLINE)
    successor.commit(DEADLINE)
    assert world.offsets(topic).committed([0, 1], DEADLINE) == {0: 5, 1: None}


@pytest.mark.parametrize("step", ["send", "send later", "send_offsets", "commit", "abort", "begin"])
def test_a_fenced_predecessor_is_told_and_nothing_of_it_is_visible(
    world: World, make_topic: MakeTopic, step: str
) -> None:
    source, out = make_topic(), make_topic()
    predecessor = world.sink()
    member = world.joined(source, 1)
    if step != "begin":
        predecessor.begin()
        send(predecessor, out, b"fenced")
        predecessor.flush(DEADLINE)

    began = time.monotonic()
    successor = world.sink()
    assert time.monotonic() - began < 12, "the predecessor's open transaction was waited for"

    def go_on() -> None:
        if step == "begin":
            predecessor.begin()
            send(predecessor, out, b"fenced")
        elif step == "send":
            send(predecessor, out, b"fenced too")
            predecessor.flush(DEADLINE)
        elif step == "send later":  # the library knows before it is asked
            deadline = time.monotonic() + DEADLINE
            while time.monotonic() < deadline:
                send(predecessor, out, b"fenced too")
                time.sleep(0.05)
            pytest.fail("what it sends is taken")
        elif step == "send_offsets":
            predecessor.send_offsets({0: 1}, member.source.group(), DEADLINE)
        elif step == "abort":
            predecessor.abort(DEADLINE)
        predecessor.commit(DEADLINE)

    successor.begin()
    send(successor, out, b"new")
    successor.flush(DEADLINE)
    with pytest.raises(SinkFailed) as failed:
        go_on()
    assert isinstance(failed.value, SinkFenced), failed.value
    time.sleep(0.5)  # a library may try to win its place back, on its own threads
    successor.commit(DEADLINE)
    wait_for(world, out, b"new")
    assert world.offsets(source).committed([0], DEADLINE) == {0: None}


def test_more_than_the_clients_queue_holds_is_sent_in_order(world: World, make_topic: MakeTopic) -> None:
    out = make_topic()
    sink = world.sink()
    sink.begin()
    payload = b"x" * 20_000
    count = 9_000  # 180 MB
    for start in range(0, count, 500):
        send(sink, out, *[b"%06d" % i + payload for i in range(start, start + 500)])
    sink.commit(60)
    member = world.joined(out, 1)
    wait_until("all come", lambda: len(member.records) >= count, member.poll)
    assert [int((value or b"")[:6]) for value in member.values(0)] == list(range(count))
