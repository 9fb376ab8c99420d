"""A topic as data: from a start to an end, read as the service reads it. Against a real broker."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kafka import KafkaProducer

from tests.service import command
from tests.unit.test_data_forms import read_as
from training.data import Events
from training.data.topic import read_topic as read_topic_of
from training.errors import DataError

Record = tuple[int, str | None, Any, int]  # partition, key, value, timestamp


@pytest.fixture
def given(kafka: Any, make_topic: Callable[..., str]) -> Callable[..., str]:
    """given(records, partitions=1) -> a topic that holds them; a value that is no text or bytes is sent as JSON."""

    def give(records: list[Record], partitions: int = 1) -> str:
        topic = make_topic(partitions=partitions)
        producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
        for partition, key, value, timestamp in records:
            body = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
            where = {"partition": partition, "timestamp_ms": timestamp}
            producer.send(topic, body, None if key is None else key.encode(), **where).get(10)
        producer.close()
        return topic

    return give


@pytest.fixture
def read_topic(kafka: Any) -> Callable[..., Events]:
    return lambda topic, **options: read_as([], topic=topic, bootstrap_servers=kafka.bootstrap_servers, **options)


def test_the_command_trains_on_a_topic(kafka: Any, given: Callable[..., str], tmp_path: Path) -> None:
    topic = given([(0, key, {"value": n % 7}, 1000 * n) for n in range(60) for key in "ab"])
    small = ["--epochs", "1", "--hidden", "4", "--lags", "0", "--scaling", "stream", "--threads", "1"]
    servers = ["--bootstrap-servers", kafka.bootstrap_servers]
    done = command("train", "--topic", topic, *servers, "--out", str(tmp_path / "RUN"), *small)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "RUN" / "metrics.json").read_bytes())
    assert metrics["model"]["training"]["streams"] == 2
    assert (tmp_path / "RUN" / "model.onnx").exists()


def of_streams(events: Events) -> dict[bytes, list[float]]:
    return dict(zip(events.keys, (events.values[i, 0].tolist() for i in events.per_stream()), strict=True))


def test_records_are_events_with_their_own_time_or_the_records(
    given: Callable[..., str], read_topic: Callable[..., Events]
) -> None:
    topic = given(
        [
            (0, "a", {"value": 1, "ts": 5000, "note": "x"}, 9),
            (0, "a", {"value": None, "ts": "1970-01-01T00:00:06Z"}, 9),
            (0, "b", {"value": 2.5}, 5500),
        ]
    )
    events = read_topic(topic)
    assert events.time.tolist() == [5000, 5500, 6000]
    np.testing.assert_equal(of_streams(events), {b"a": [1, np.nan], b"b": [2.5]})
    assert events.timed
    assert events.notes == ()


def test_a_record_without_a_value_ends_its_stream_and_a_key_is_a_stream_in_each_partition(
    given: Callable[..., str], read_topic: Callable[..., Events]
) -> None:
    values = [(0, "a", 1), (0, "a", None), (0, "a", None), (0, "a", 2), (1, "a", 3), (0, "a", 4), (1, "a#2", 5)]
    records = [
        (partition, key, None if value is None else {"value": value}, 1000 + n)
        for n, (partition, key, value) in enumerate(values)
    ]
    topic = given([*records, (0, "gone", None, 2000)], partitions=2)
    assert of_streams(read_topic(topic)) == {b"a": [1], b"a#3": [2, 4], b"a#4": [3], b"a#2": [5]}


def test_the_order_in_a_stream_is_the_order_of_offsets(
    given: Callable[..., str], read_topic: Callable[..., Events]
) -> None:
    topic = given([(0, "a", {"value": n, "ts": ts}, 9) for n, ts in enumerate([3000, 1000, 4000])])
    events = read_topic(topic)
    assert of_streams(events) == {b"a": [0, 1, 2]}
    assert events.time.tolist() == [3000, 3000, 4000]
    assert any("1 events came after a later one" in note for note in events.notes)


def test_what_is_no_event_is_left_out_and_counted(given: Callable[..., str], read_topic: Callable[..., Events]) -> None:
    bad = [b"{", {"value": "warm"}, {"other": 1}, {"value": 1e39}, {"value": 1, "ts": "noon"}, {"value": 1, "ts": -1}]
    topic = given([(0, "a", value, 1) for value in bad] + [(0, None, {"value": 1}, 1), (0, "a", {"value": 7}, 1)])
    events = read_topic(topic)
    assert of_streams(events) == {b"a": [7]}
    (note,) = events.notes
    assert note.startswith("7 of 8 records are no events and were left out (the first: partition 0, offset 0: ")
    with pytest.raises(DataError, match="holds no events between --start and --end; 7 records are none: partition 0"):
        read_topic(topic, end="7")


@pytest.mark.parametrize(
    ("start", "end", "values"),
    [
        (None, None, [0, 1, 2, 3]),
        ("1", "3", [1, 2]),
        ("2", "99", [2, 3]),
        ("1970-01-01T00:00:01Z", "1970-01-01T00:00:03Z", [1, 2]),
        ("1970-01-01T00:00:02.5Z", None, [3]),
    ],
)
def test_a_topic_is_read_from_a_start_up_to_an_end(
    given: Callable[..., str],
    read_topic: Callable[..., Events],
    start: str | None,
    end: str | None,
    values: list[int],
) -> None:
    topic = given([(0, "a", {"value": n}, n * 1000) for n in range(4)])
    assert of_streams(read_topic(topic, start=start, end=end)) == {b"a": values}


def test_aborted_and_open_transactions_are_no_events_and_do_not_hold_the_reader_up(
    kafka: Any, make_topic: Callable[..., str], read_topic: Callable[..., Events]
) -> None:
    topic = make_topic()
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=topic)
    producer.init_transactions()
    for n, end in enumerate([producer.commit_transaction, producer.abort_transaction]):
        producer.begin_transaction()
        producer.send(topic, json.dumps({"value": n}).encode(), b"a")
        end()
    producer.begin_transaction()
    producer.send(topic, json.dumps({"value": 2}).encode(), b"a").get(10)
    assert of_streams(read_topic(topic)) == {b"a": [0]}
    producer.abort_transaction()
    producer.close()


def test_symbols_and_classes_are_read_from_records_too(
    given: Callable[..., str], read_topic: Callable[..., Events]
) -> None:
    topic = given([(0, "a", {"s": "up", "kind": "x"}, 1), (0, "a", {"s": 5}, 2), (0, "a", {"s": None, "kind": 7}, 3)])
    events = read_topic(topic, value=("s",), label="kind", task="symbol")
    assert events.symbols == ("up", "5")
    assert events.classes == ("7", "x")
    assert events.label is not None
    assert events.label.tolist() == [1, -1, 0]
    np.testing.assert_array_equal(events.values[:, 0], [0, 1, np.nan])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topic": "nothing-there"}, "--topic nothing-there: is not there"),
        ({"value": ("ts",)}, "the fields ts, ts must differ (ts is the time); name others"),
        ({"start": "noon"}, "--start noon: cannot be understood as a time"),
        ({"start": "3", "end": "3"}, "holds no events between --start and --end; give another range or topic"),
    ],
)
def test_what_cannot_be_read_is_told(
    kafka: Any, given: Callable[..., str], options: dict[str, str], message: str
) -> None:
    asked = {"topic": given([(0, "a", {"value": 1}, 1)]), "bootstrap_servers": kafka.bootstrap_servers} | options
    with pytest.raises(DataError) as caught:
        read_as([], **asked)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broker_that_is_not_there_is_told_in_one_line() -> None:
    with pytest.raises(DataError, match=r"--bootstrap-servers 127.0.0.1:9: no Kafka answers") as caught:
        read_topic_of("topic", "127.0.0.1:9", ["value"], patience=0.5)
    assert "\n" not in str(caught.value)
