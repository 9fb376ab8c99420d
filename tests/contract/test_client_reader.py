"""What may be relied on of bulk reads: every record once and in order, positions that pass gaps, no silent jump."""

import time
from collections.abc import Callable

import pytest
from kafka import KafkaAdminClient

from stream.broker.clients import choose
from stream.broker.port import Reader
from stream.errors import Refused, Unavailable, UsageError
from tests.contract.conftest import DEADLINE, Broker, MakeTopic, T, World, wait_until
from tests.service import create_topic

NOWHERE = "127.0.0.1:9"  # nobody listens on the discard port
Found = dict[int, list[tuple[int, bytes | None]]]


def taking(reader: Reader, found: Found, max_records: int = 1000, timeout: float = 0.1) -> Callable[[], None]:
    """A turn: what it delivers goes into found, partition -> (offset, value)s."""

    def turn() -> None:
        batches = reader.poll(max_records, timeout)
        assert sum(map(len, batches)) <= max_records
        for batch in batches:
            assert len(batch.offsets) == len(batch.timestamps) == len(batch.keys) == len(batch.values)
            found.setdefault(batch.partition, []).extend(zip(batch.offsets, batch.values, strict=True))

    return turn


def numbers(start: int, end: int) -> list[tuple[int, bytes | None]]:
    return [(offset, b"%d" % offset) for offset in range(start, end)]


def test_partitions_are_read_from_the_given_offset(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(3)
    world.fill(topic, {0: 5000, 1: 3000, 2: 10})
    reader, found = world.reader(topic), Found()
    assert (reader.poll(10, 0), reader.position(0)) == ([], None)
    reader.add(0, 0)
    reader.add(1, 2500)
    wait_until("both come", lambda: sum(map(len, found.values())) == 5500, taking(reader, found, 700))
    assert found == {0: numbers(0, 5000), 1: numbers(2500, 3000)}
    assert [reader.position(p) for p in range(3)] == [5000, 3000, None]


def test_partitions_come_and_go_while_others_are_read(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(3)
    world.fill(topic, {0: 20_000, 1: 20_000, 2: 1000})
    reader, found = world.reader(topic), Found()
    turn = taking(reader, found, 200)
    reader.add(0, 0)
    wait_until("the first comes", lambda: found, turn)
    reader.add(1, 10)
    wait_until("the second comes", lambda: 1 in found, turn)
    reader.remove(1)
    assert reader.position(1) is None
    seen = len(found[1])
    reader.add(2, 0)
    wait_until("the rest comes", lambda: len(found[0]) == 20_000 and len(found.get(2, [])) == 1000, turn)
    assert (found[0], found[2]) == (numbers(0, 20_000), numbers(0, 1000))
    assert len(found[1]) == seen, "nothing of a removed partition"

    reader.remove(0)
    reader.remove(2)
    assert reader.poll(10, 0.05) == []
    del found[1]
    reader.add(1, 19_000)  # once more, from elsewhere
    wait_until("it comes again", lambda: len(found.get(1, [])) == 1000, turn)
    assert found[1] == numbers(19_000, 20_000)
    reader.add(1, 19_990)  # without a remove: a jump
    assert reader.position(1) == 19_990, "not what was known before"
    wait_until("it comes again", lambda: len(found[1]) == 1010, turn)
    assert found[1][1000:] == numbers(19_990, 20_000)


def test_a_poll_without_a_timeout_does_not_wait(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    world.fill(topic, {0: 20_000})
    reader, found, took = world.reader(topic), Found(), []
    reader.add(0, 0)
    reader.add(1, 0)
    turn = taking(reader, found, 500, 0)

    def timed() -> None:
        began = time.monotonic()
        turn()
        took.append(time.monotonic() - began)
        time.sleep(0.0005)

    wait_until("all come", lambda: len(found.get(0, [])) == 20_000, timed)
    assert sorted(took)[len(took) // 2] < 0.05, sorted(took)[-20:]


def test_a_partition_that_is_added_comes_at_once(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(6)
    world.fill(topic, dict.fromkeys(range(6), 10))
    reader, found, took = world.reader(topic), Found(), []
    for partition in range(6):
        began = time.monotonic()
        reader.add(partition, 0)
        wait_until("it comes", lambda p=partition: p in found, taking(reader, found))
        took.append(time.monotonic() - began)
    assert min(took) < 0.3, took


def test_the_position_reaches_the_high_watermark_past_markers_and_aborts(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic(3)
    offsets = world.offsets(topic)
    sink = world.sink("writer")
    for turn in range(6):
        sink.begin()
        sink.send(topic, 0, [b"a", b"b"], [b"%d" % turn, None], [T, T])
        if turn % 3 == 1:
            sink.flush(DEADLINE)
            sink.abort(DEADLINE)
        else:
            sink.commit(DEADLINE)
    sink.begin()
    sink.send(topic, 1, [b"a"] * 3, [b"x"] * 3, [T] * 3)
    sink.flush(DEADLINE)
    sink.abort(DEADLINE)  # nothing but an abort in partition 1, nothing at all in partition 2
    wait_until("the aborts are written", lambda: offsets.ends([0, 1, 2], DEADLINE) == {0: 18, 1: 4, 2: 0})
    ends = {p: high for p, (_, high) in offsets.watermarks([0, 1, 2], DEADLINE).items()}

    reader, found = world.reader(topic), Found()
    for partition in ends:
        reader.add(partition, 0)
    wait_until(
        lambda: f"positions {[reader.position(p) for p in ends]} reach {ends}",
        lambda: [reader.position(p) for p in ends] == list(ends.values()),
        taking(reader, found),
    )
    assert found.keys() == {0}
    committed = [(3 * turn + i, (b"%d" % turn, None)[i]) for turn in (0, 2, 3, 5) for i in (0, 1)]
    assert found[0] == committed


def test_the_position_reaches_the_high_watermark_past_what_was_compacted(kafka: Broker, make_topic: MakeTopic) -> None:
    config = {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.001",
        "segment.ms": "100",
        "delete.retention.ms": "0",
    }
    topic = make_topic(1, config)
    worlds = [World(choose(name), kafka.bootstrap_servers) for name in ("kafka-python", "confluent")]
    try:
        sink = worlds[0].sink(transactional=False)
        offsets = worlds[0].offsets(topic)

        def write(count: int) -> None:
            # A segment rolls by the times of its records as it is written to, and the active one is never compacted.
            sink.send(topic, 0, [b"key"] * count, [b"v"] * count, [int(time.time() * 1000)] * count)
            sink.flush(DEADLINE)

        def read(world: World) -> Found:
            found: Found = {}
            reader = world.reader(topic)
            reader.add(0, 0)
            ((_, end),) = offsets.watermarks([0], DEADLINE).values()
            wait_until("the end is reached", lambda: reader.position(0) == end, taking(reader, found))
            reader.close()
            return found

        write(300)
        found: Found = {}

        def compacted() -> bool:
            write(1)
            found.update(read(worlds[0]))
            return len(found[0]) < 100

        wait_until("it is compacted", compacted, lambda: time.sleep(0.3))
        assert read(worlds[1])[0][-1] == found[0][-1]
        assert found[0][0][0] > 200, "the first offset is far behind where reading began"
    finally:
        for world in worlds:
            world.close()


def test_the_end_of_an_open_transaction_is_waited_for(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic()
    world.fill(topic, {0: 5})
    sink = world.sink("writer")
    sink.begin()
    sink.send(topic, 0, [b"k"] * 3, [b"5", b"6", b"7"], [T] * 3)
    sink.flush(DEADLINE)
    reader, found = world.reader(topic), Found()
    reader.add(0, 0)
    turn = taking(reader, found)
    wait_until("what is decided comes", lambda: reader.position(0) == 5, turn)
    turn()
    assert found == {0: numbers(0, 5)}
    sink.commit(DEADLINE)
    wait_until("the rest comes", lambda: reader.position(0) == 9, turn)
    assert found == {0: numbers(0, 8)}


@pytest.mark.parametrize("start", [0, 3, 21])
def test_an_offset_that_is_not_there_is_refused(world: World, make_topic: MakeTopic, start: int) -> None:
    topic = make_topic(2)
    world.fill(topic, {0: 20, 1: 20})
    world.delete_records(topic, 0, 10)
    reader, found = world.reader(topic), Found()
    reader.add(1, 0)
    reader.add(0, start)
    with pytest.raises(Refused, match=rf"topic {topic} \[0\]: offset {start} is no longer there"):
        wait_until("it is refused", lambda: False, taking(reader, found))
    assert 0 not in found


@pytest.mark.parametrize("start", [10, 20])
def test_the_first_and_the_next_offset_of_what_is_there_are_fine(
    world: World, make_topic: MakeTopic, start: int
) -> None:
    topic = make_topic()
    world.fill(topic, {0: 20})
    world.delete_records(topic, 0, 10)
    reader, found = world.reader(topic), Found()
    reader.add(0, start)
    wait_until("the end is reached", lambda: reader.position(0) == 20, taking(reader, found))
    assert found.get(0, []) == numbers(start, 20)


def test_a_topic_made_anew_is_not_read_on(world: World, make_topic: MakeTopic) -> None:
    topic = make_topic()
    world.fill(topic, {0: 20})
    reader, found = world.reader(topic), Found()
    reader.add(0, 0)
    turn = taking(reader, found)
    wait_until("all come", lambda: reader.position(0) == 20, turn)
    admin = KafkaAdminClient(bootstrap_servers=world.servers)
    admin.delete_topics([topic])
    admin.close()
    create_topic(world.servers, topic)
    world.fill(topic, {0: 5})
    with pytest.raises(Refused, match=topic):
        wait_until("it is refused", lambda: False, turn)
    assert found == {0: numbers(0, 20)}


def test_what_cannot_be_read_is_told(world: World, make_topic: MakeTopic) -> None:
    with pytest.raises(Refused, match="topic not-there is not there"):
        world.reader("not-there")
    topic = make_topic()
    world.properties = {"no.such.setting": "1"}
    with pytest.raises(UsageError, match="client property"):
        world.reader(topic)
    world.properties = {}
    world.servers = NOWHERE
    with pytest.raises(Unavailable, match=f"cannot reach Kafka at {NOWHERE} within 1 s"):
        world.client.reader(world.identity(), topic, timeout=1.0)
