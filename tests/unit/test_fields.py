"""Fields of an event that lie deeper in a message, or under another name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from export.config import Config
from export.sample import random_file
from export.signature import Signature
from stream.broker.port import Records
from stream.codec import Codec, Decoded
from stream.configuration import load
from stream.errors import UsageError
from stream.fields import check, pairs, parts
from stream.formats import FORMATS, Custom, Format
from tests.lives import Life, live, replay, told
from tests.memory import Cluster


class Plain:
    decode = staticmethod(msgspec.json.decode)
    encode = staticmethod(msgspec.json.encode)


WRITERS: list[tuple[Format, Callable[[Any], bytes]]] = [
    (FORMATS["json"], msgspec.json.encode),
    (FORMATS["msgpack"], msgspec.msgpack.encode),
    (Custom("plain", Plain), msgspec.json.encode),
]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Signature:
    config = Config(features=("temp", "load %"), targets=("temp",), hidden=4)
    return random_file(tmp_path_factory.mktemp("model") / "model.onnx", config)


def read(form: Format, signature: Signature, fields: dict[str, str], values: list[bytes | None]) -> Decoded:
    count = len(values)
    codec = Codec(form, signature, "f" * 8, max_key_bytes=99, max_value_bytes=999, fields=fields)
    return codec.decode([Records(0, list(range(count)), [7] * count, [b"k"] * count, values)])


@pytest.mark.parametrize(("form", "write"), WRITERS)
def test_fields_are_found_where_they_are_said_to_lie(
    two: Signature, form: Format, write: Callable[[Any], bytes]
) -> None:
    fields = {"temp": "payload.sensor.t", "load %": "payload.load", "ts": "meta.at"}
    good = {"payload": {"sensor": {"t": 1.5, "other": [1]}, "load": 2}, "meta": {"at": 5}}
    silent = {"payload": {"sensor": {"t": None}, "load": 3}}
    decoded = read(form, two, fields, [write(good), write(silent), write(silent | {"meta": {}})])
    assert decoded.rejected == []
    assert decoded.columns.x.tolist() == [[1.5, 2], [0, 3], [0, 3]]
    assert decoded.columns.mask.tolist() == [[1, 1], [0, 1], [0, 1]]
    assert decoded.columns.time.tolist() == [5, 7, 7]


@pytest.mark.parametrize(("form", "write"), WRITERS)
def test_what_does_not_lie_there_is_a_dead_letter_that_names_the_place(
    two: Signature, form: Format, write: Callable[[Any], bytes]
) -> None:
    fields = {"temp": "payload.sensor.t", "load %": "payload.load"}
    good: dict[str, Any] = {"payload": {"sensor": {"t": 1.5}, "load": 2}, "ts": 9}
    wrong: dict[str, Any] = {
        "`t`": {"payload": {"sensor": {}, "load": 2}},
        "`payload.sensor`": {"payload": {"sensor": 3, "load": 2}},
        "`payload.sensor.t`": {"payload": {"sensor": {"t": "warm"}, "load": 2}},
        "`payload`": {"sensor": {"t": 1.5}, "load": 2},
    }
    decoded = read(form, two, fields, [write(value) for value in (good, *wrong.values(), good)])
    assert decoded.columns.offset.tolist() == [0, 5]
    assert [one.code for one in decoded.rejected] == ["wrong_field"] * 4
    for place, one in zip(wrong, decoded.rejected, strict=True):
        assert place in one.message


def test_another_name_at_the_top_is_a_path_of_one(two: Signature) -> None:
    value = b'{"a.b": 1, "load %": 2, "when": "1970-01-01T00:00:01Z", "ts": 5}'
    decoded = read(FORMATS["json"], two, {"temp": r"a\.b", "ts": "when"}, [value])
    assert (decoded.columns.x.tolist(), decoded.columns.time.tolist()) == ([[1, 2]], [1000])


def test_symbols_lie_deeper_too(tmp_path: Path) -> None:
    config = Config(("symbol",), ("symbol",), 4, task="symbol", outcomes=3, embedding=4)
    signature = random_file(tmp_path / "model.onnx", config, symbols=("", "a", "b"))
    decoded = read(FORMATS["json"], signature, {"symbol": "log.line"}, [b'{"log": {"line": "b"}}'])
    assert decoded.columns.x.tolist() == [[2]]


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"heat": "a"}, "--field heat=a: the model has no such feature; an event has temp, load % and ts"),
        ({"temp": "ts"}, "--field temp=ts: temp and ts would lie in one place"),
        ({"temp": "ts.x"}, "--field temp=ts.x: temp and ts would lie in one place"),
        ({"temp": "a", "load %": "a.b"}, "--field temp=a: temp and load % would lie in one place"),
        ({"temp": "a.b", "load %": "a.b"}, "--field temp=a.b: temp and load % would lie in one place"),
    ],
)
def test_what_no_model_can_be_fed_with_is_told(told: dict[str, str], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(told, ("temp", "load %"))
    assert str(caught.value).startswith(line)


def test_what_can_be_is_not() -> None:
    check({"temp": "load", "load %": "temp.x", "ts": "temp.y"}, ("temp", "load %"))
    check({}, ("ts",))


TOPICS = {("kafka", "input_topic"): "in", ("kafka", "output_topic"): "out"}


def test_paths_come_from_flags_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"value": "payload.temp", "ts": "at"}
    file = tmp_path / "statecast.toml"
    file.write_text('[kafka]\nfield = {value = "payload.temp", ts = "at"}\n')
    assert load(TOPICS, file).kafka.field == wanted
    assert load({**TOPICS, ("kafka", "field"): ("value=payload.temp", "ts=at")}, None).kafka.field == wanted
    monkeypatch.setenv("STATECAST_KAFKA__FIELD", '{"value": "payload.temp", "ts": "at"}')
    assert load(TOPICS, None).kafka.field == wanted


@pytest.mark.parametrize("wrong", ["value", "=a", "value=", "value=a..b", "value=.a", "value=" + "a." * 999 + "a"])
def test_what_is_no_path_is_told_with_its_option(wrong: str) -> None:
    with pytest.raises(UsageError, match=r"^--field \(or \[kafka\] field\): must be NAME=PATH") as caught:
        load({**TOPICS, ("kafka", "field"): (wrong,)}, None)
    assert "\n" not in str(caught.value)


def test_parts_and_pairs() -> None:
    assert parts(r"a.b\.c.d") == ("a", "b.c", "d")
    assert pairs(["a=b=c", "x=y"]) == {"a": "b=c", "x": "y"}
    with pytest.raises(ValueError, match="twice"):
        pairs(["a=b", "a=c"])


def test_a_changed_path_holds_from_the_committed_offset_on_and_a_restore_goes_by_the_old_one() -> None:
    options: dict[str, Any] = {"state": {"checkpoint_interval": 50}, "delivery": {"commit_interval": 0.05}, "most": 3}
    for crash in (3, 4, 5):
        cluster = Cluster()
        for i in range(30):
            cluster.produce("in", 0, b"k", b'{"old": {"v": %d}, "new": {"v": %d}}' % (i, i + 500), 1000 * i)
        live(cluster, 1, Life({("commit", crash): "crash"}), {"kafka": {"field": {"value": "old.v"}}, **options})
        boundary = cluster.committed[0]
        assert 0 < boundary < 30
        assert replay(cluster, 0) == 0, "a restore steps old events again"
        for faults in ({20: "crash"}, {}):
            live(cluster, 1, Life(faults), {"kafka": {"field": {"value": "new.v"}}, **options})

        straight = Cluster()
        for i in range(30):
            straight.produce("in", 0, b"k", b'{"value": %d}' % (i if i < boundary else i + 500), 1000 * i)
        live(straight, 1, Life(), options)
        assert told(cluster, 0) == told(straight, 0), f"killed at commit {crash}"
