"""Verification over a cluster made of lists: what is doctored is counted as exactly that, and nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from engine.model import Model
from engine.step import Engine
from export.sample import random_model
from loadtest import verify as module
from loadtest.errors import EnvironmentFault
from loadtest.findings import Delivery, VerifyResult
from loadtest.input_format import InputFormat
from loadtest.port import Headers, Records
from loadtest.verify import verify

Row = tuple[bytes | None, bytes | None, int, Headers]  # key, value, timestamp, headers
Topic = list[list[Row]]  # by partition, then offset


class Lists:
    """A cluster whose topics are lists of rows."""

    client = "lists"

    def __init__(self, topics: dict[str, Topic]) -> None:
        self.topics = topics

    def partitions(self, topic: str) -> int | None:
        return len(self.topics[topic]) if topic in self.topics else None

    def watermarks(self, topic: str) -> dict[int, tuple[int, int]]:
        return {p: (0, len(rows)) for p, rows in enumerate(self.topics[topic])}

    def reader(self, topic: str, *, headers: bool = False) -> "ListReader":
        return ListReader(self.topics[topic], headers)

    def close(self) -> None:
        pass


class ListReader:
    def __init__(self, topic: Topic, headers: bool) -> None:
        self.topic, self.headers = topic, headers
        self.at: dict[int, int] = {}

    def assign(self, positions: Mapping[int, int]) -> None:
        self.at = dict(positions)

    def poll(self, max_records: int, timeout: float) -> Records:  # noqa: ARG002
        ((partition, start),) = self.at.items()
        rows = self.topic[partition][start : start + max_records]
        self.at[partition] += len(rows)
        return records(rows, partition, start)

    def position(self, partition: int) -> int:
        return self.at[partition]

    def close(self) -> None:
        pass


def records(rows: list[Row], partition: int, start: int = 0) -> Records:
    keys, values, timestamps, headers = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 4
    return Records([partition] * len(rows), list(range(start, start + len(rows))), timestamps, keys, values, headers)


def serve(model: Model, topic: Topic, ttl: int | None = None) -> tuple[Topic, Topic]:
    """A service in ten lines: the outputs and the dead letters of an input topic. ttl: milliseconds."""
    outputs: Topic = [[] for _ in topic]
    letters: Topic = [[] for _ in topic]
    engine, form = Engine(model, 1000), InputFormat(model.signature)
    for partition, rows in enumerate(topic):
        events = form.read(records(rows, partition))
        for i, code in events.dead.items():
            places = [
                ("topic", b"in"),
                ("partition", b"%d" % partition),
                ("offset", b"%d" % i),
                ("code", code.encode()),
            ]
            key, value, timestamp, _ = rows[i]
            letters[partition].append(
                (key, value, max(timestamp, 1), [(f"__statecast.errors.{n}", v) for n, v in places])
            )
        outcome = engine.step(events.columns(partition), ttl)
        for i in np.flatnonzero(outcome.stepped).tolist():
            one = {"offset": events.offset[i], "ts": events.time[i], "step": outcome.step[i]}
            low, middle, high = outcome.predicted[i][:, [0, outcome.predicted.shape[2] // 2, -1]].T
            one |= {"prediction": middle[0], "lower": low[0], "upper": high[0], "surprise": outcome.surprise[i, 0]}
            value = orjson.dumps(one | {"model": model.fingerprint[:8]}, option=orjson.OPT_SERIALIZE_NUMPY)
            outputs[partition].append((events.keys[i], value, max(int(events.timestamp[i]), 1), []))
    return outputs, letters


class World:
    """Two partitions, a dozen streams, some missing values, resets and bad records; all of it served."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "model.onnx"
        random_model(self.path, hidden=8)
        self.model = Model(self.path)
        random = np.random.default_rng(7)
        self.input: Topic = [[], []]
        for i in range(600):
            key = b"s%d" % random.integers(12)
            value: bytes | None = orjson.dumps(
                {"value": round(random.normal(), 3), "ts": 1_700_000_000_000 + i, "x": 1}
            )
            if i % 50 == 7:
                value = b'{"value": null}'
            if i % 90 == 11:
                value = None
            self.input[key[-1] % 2].append((key, value, 1_800_000_000_000 + i, []))
        for bad in (
            b"no json",
            b'{"value": "1"}',
            b'{"ts": 1}',
            b'{"value": NaN}',
            b'{"value": 1e39}',
            b"1e400",
            b"[1]",
        ):
            self.input[0].insert(100, (b"s1", bad, 5, []))
        self.input[0].insert(30, (None, b'{"value": 1}', 5, []))
        self.input[1].insert(30, (b"k" * 10_000, b'{"value": 1}', 5, []))
        self.serve()
        monkeypatch.setattr(module, "connect", lambda *_: self.cluster)

    def serve(self, ttl: int | None = None) -> None:
        """Everything anew."""
        self.output, self.letters = serve(self.model, self.input, ttl)
        self.cluster = Lists({"in": self.input, "out": self.output, "dead": self.letters})

    def verify(self, delivery: Delivery = "exactly_once", batch: int = 64, **more: Any) -> VerifyResult:
        return verify(
            "nowhere", self.path, "in", "out", dead_letter_topic="dead", delivery=delivery, batch=batch, **more
        )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def found(result: VerifyResult) -> dict[str, int]:
    """What was found, zeros left out."""
    kinds = ("missing", "duplicated", "reordered", "different", "unexpected")
    return {kind: count for kind in kinds if (count := getattr(result.outputs, kind))}


@pytest.mark.parametrize("batch", [1, 7, 64, 10_000])
def test_what_was_served_rightly_passes_whatever_the_batch(world: World, batch: int) -> None:
    result = world.verify(batch=batch)

    assert result.passed, result.examples
    assert found(result) == {}
    assert result.outputs.expected == result.outputs.seen == sum(map(len, world.output)) > 500
    assert result.dead == 9
    assert result.letters is not None
    assert result.letters.seen == 9


@pytest.mark.parametrize("step_batch", [1, 7, None])
def test_the_events_of_one_call_of_the_engine_change_nothing(world: World, step_batch: int | None) -> None:
    world.serve(ttl=30)

    result = world.verify(batch=100, step_batch=step_batch, state_ttl=0.03)

    assert result.passed, result.examples
    assert result.outputs.seen > 500


def test_streams_that_lived_too_long_or_too_short_are_different(world: World) -> None:
    forever = [value for rows in world.output for _, value, *_ in rows]
    world.serve(ttl=30)
    changed = sum(a != b for a, b in zip(forever, (v for rows in world.output for _, v, *_ in rows), strict=True))

    assert found(world.verify()) == {"different": changed}
    assert changed > 100
    assert found(world.verify(state_ttl=0.03)) == {}


def test_a_record_timestamp_of_0_is_published_as_1(world: World) -> None:
    for rows in world.input:
        rows[:] = [(key, value, 0 if i % 3 else timestamp, h) for i, (key, value, timestamp, h) in enumerate(rows)]
    world.serve()
    assert {1} < {timestamp for _, _, timestamp, _ in world.output[0]}
    assert 1 in {timestamp for _, _, timestamp, _ in world.letters[0]}

    sound = world.verify()
    key, value, _, headers = row = next(row for row in world.output[0] if row[2] == 1)
    world.output[0][world.output[0].index(row)] = (key, value, 0, headers)
    key, value, timestamp, headers = world.letters[1][0]
    world.letters[1][0] = (key, value, timestamp - 1, headers)
    result = world.verify()

    assert sound.passed, sound.examples
    assert found(result) == {"different": 1}
    assert result.letters is not None
    assert result.letters.different == 1


def test_a_lost_output_is_missing(world: World) -> None:
    key, value, _, _ = world.output[0].pop(40)

    result = world.verify()

    assert found(result) == {"missing": 1}
    assert not result.passed
    (example,) = result.examples
    assert (example.kind, example.partition, example.key) == ("missing", 0, key)
    assert example.offset == orjson.loads(value or b"")["offset"]


def test_lost_ends_are_missing(world: World) -> None:
    del world.output[0][:3], world.output[1][-4:]

    assert found(world.verify()) == {"missing": 7}


def test_an_empty_output_is_all_missing(world: World) -> None:
    count = sum(map(len, world.output))
    for rows in world.output:
        rows.clear()

    assert found(world.verify()) == {"missing": count}


def test_a_second_copy_is_duplicated_and_tolerated_at_least_once_only(world: World) -> None:
    world.output[1][50:50] = world.output[1][40:50]

    once, more = world.verify(), world.verify("at_least_once")

    assert found(once) == found(more) == {"duplicated": 10}
    assert not once.passed
    assert more.passed


def test_a_second_copy_that_differs_fails_at_least_once_too(world: World) -> None:
    world.output[1].insert(50, doctored(world.output[1][40], "prediction"))

    result = world.verify("at_least_once")

    assert found(result) == {"duplicated": 1, "different": 1}
    assert not result.passed


def test_swapped_outputs_are_reordered(world: World) -> None:
    rows = world.output[0]
    rows[20], rows[21] = rows[21], rows[20]

    result = world.verify("at_least_once")

    assert found(result) == {"reordered": 1}
    assert not result.passed


def test_an_output_that_comes_much_too_late_is_reordered(world: World) -> None:
    world.output[0].append(world.output[0].pop(3))

    assert found(world.verify(batch=16)) == {"reordered": 1}


@pytest.mark.parametrize("field", ["prediction", "lower", "upper", "surprise", "step", "ts", "model"])
def test_one_bit_more_or_less_is_different(world: World, field: str) -> None:
    world.output[1][60] = doctored(world.output[1][60], field)

    result = world.verify()

    assert found(result) == {"different": 1}
    (example,) = result.examples
    assert field.replace("ts", "time") in example.expected


@pytest.mark.parametrize("change", [{"key": b"other"}, {"timestamp": 3}])
def test_another_key_or_timestamp_is_different(world: World, change: dict[str, object]) -> None:
    key, value, timestamp, headers = world.output[0][9]
    world.output[0][9] = (change.get("key", key), value, change.get("timestamp", timestamp), headers)  # type: ignore[assignment]

    assert found(world.verify()) == {"different": 1}


def test_an_output_for_a_reset_or_for_no_event_is_unexpected(world: World) -> None:
    reset = next(i for i, row in enumerate(world.input[0]) if row[1] is None)
    key, value, timestamp, _ = world.output[0][5]
    for offset in (reset, 10**12):
        body = orjson.dumps(orjson.loads(value or b"") | {"offset": offset})
        world.output[0].append((key, body, timestamp, []))
    world.output[1].append((key, b"no output", timestamp, []))

    assert found(world.verify()) == {"unexpected": 3}


def test_a_dead_letter_that_is_lost_or_doubled_fails(world: World) -> None:
    world.letters[0].pop()
    world.letters[1] *= 2

    result = world.verify()

    assert found(result) == {}
    assert result.letters is not None
    assert (result.letters.missing, result.letters.duplicated) == (1, 1)
    assert not result.passed


def test_a_dead_letter_with_the_wrong_reason_fails(world: World) -> None:
    key, value, timestamp, headers = world.letters[0][0]
    world.letters[0][0] = (key, value, timestamp, [*headers[:-1], ("__statecast.errors.code", b"bad_time")])

    result = world.verify()

    assert result.letters is not None
    assert result.letters.different == 1
    assert "expected a dead letter with the code 'no_key', seen a dead letter with the code 'bad_time'" in str(
        result.examples[0]
    )
    assert not result.passed


def test_events_that_arrive_meanwhile_are_not_judged(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An output of an event behind the end of the span, but before the input's end as known later."""
    marks = [{0: (0, 200), 1: (0, 200)}]
    whole = world.cluster.watermarks
    monkeypatch.setattr(
        world.cluster, "watermarks", lambda topic: marks.pop() if topic == "in" and marks else whole(topic)
    )

    result = world.verify()

    assert result.passed, result.examples
    assert result.events == 400


def test_topics_that_cannot_be_compared_are_refused_in_one_line(world: World) -> None:
    world.output.append([])
    with pytest.raises(EnvironmentFault, match="--output-topic out: has 3 partitions, the input topic in has 2"):
        world.verify()
    with pytest.raises(EnvironmentFault, match="--output-topic gone: there is no such topic"):
        verify("nowhere", world.path, "in", "gone")


def doctored(row: Row, field: str) -> Row:
    """The same output with the least change of one field."""
    key, value, timestamp, headers = row
    body = orjson.loads(value or b"")
    old = body[field]
    if isinstance(old, float):
        body[field] = np.nextafter(np.float32(old), np.float32(np.inf))
    else:
        body[field] = old + 1 if isinstance(old, int) else "00000000"
    return key, orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), timestamp, headers
