"""One meaning in every format: what JSON says, MessagePack and an object of the user's say, too."""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.columns import Outcome
from export.config import Config
from export.sample import sign
from stream.broker.port import Records
from stream.codec import Codec
from stream.errors import EnvironmentFault, UsageError
from stream.formats import Format, Json, MsgPack, find

T = 1_700_000_000_000
pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode


class Mine:
    """An object of the user's: JSON in a wrapper of its own."""

    @staticmethod
    def decode(value: bytes) -> Any:
        mark, _, text = value.partition(b"|")
        if mark != b"mine":
            raise ValueError(f"begins with {mark!r}")
        return json.loads(text)

    @staticmethod
    def encode(prediction: dict[str, Any]) -> bytes:
        return b"mine|" + json.dumps(prediction).encode()


class Bound:
    """Whose methods want an instance."""

    def decode(self, value: bytes) -> Any:
        return json.loads(value)


MINE = f"{__name__}:Mine"
WRITE = {"json": lambda told: json.dumps(told).encode(), "msgpack": pack, MINE: Mine.encode}
READ = {"json": json.loads, "msgpack": unpack, MINE: Mine.decode}
FORMATS = pytest.mark.parametrize("name", WRITE)


def codec(form: Format, targets: tuple[str, ...] = ("value",)) -> Codec:
    signature = sign(Config(features=targets, targets=targets, hidden=4))
    return Codec(form, signature, "1f0c9a2e" + "0" * 56, max_key_bytes=64, max_value_bytes=1000)


def records(*values: bytes) -> Records:
    n = len(values)
    return Records(0, list(range(n)), [T + i for i in range(n)], [b"k"] * n, list(values))


EVENTS: list[dict[str, Any]] = [
    {"value": 1},
    {"value": -2.5, "ts": 5},
    {"value": None, "ts": None},
    {"value": 3.5, "ts": "1970-01-01T00:00:01.5Z", "more": [1, {"x": b"".decode()}]},
]


@FORMATS
def test_the_same_events_are_read_from_every_format(name: str) -> None:
    decoded = codec(find(name)).decode([records(*map(WRITE[name], EVENTS))])
    assert not decoded.rejected
    assert decoded.columns.x[:, 0].tolist() == [1, -2.5, 0, 3.5]
    assert decoded.columns.mask[:, 0].tolist() == [1, 1, 0, 1]
    assert decoded.columns.time.tolist() == [T, 5, T + 2, 1500]


BAD: dict[str, dict[str, tuple[bytes, str]]] = {
    "msgpack": {
        "cut off": (pack({"value": 1.5})[:-1], "not_msgpack"),
        "empty": (b"", "not_msgpack"),
        "two documents": (pack({"value": 1}) * 2, "not_msgpack"),
        "JSON": (b'{"value": 1}', "wrong_field"),  # its first byte is the number 123
        "a text that is not UTF-8": (pack({"value": 1, "ts": "xx"}).replace(b"xx", b"\xff\xfe"), "not_msgpack"),
        "a name that is bytes": (pack({b"value": 1}), "wrong_field"),
        "no such field": (pack({"valu": 1}), "wrong_field"),
        "a string for a number": (pack({"value": "1"}), "wrong_field"),
        "true for a number": (pack({"value": True}), "wrong_field"),
        "NaN": (pack({"value": float("nan"), "ts": 1}), "not_finite"),
        "infinity": (pack({"value": float("-inf"), "ts": 1}), "not_finite"),
        "NaN without a time": (pack({"value": float("nan")}), "not_finite"),
        "beyond float32": (pack({"value": 1e39, "ts": 1}), "not_finite"),
        "nested too deep": (b"\x81\xa5value" + b"\x91" * 900, "wrong_field"),
    },
    MINE: {
        "what raises": (b"yours|{}", "not_decodable"),
        "no dict": (b"mine|[1]", "wrong_field"),
        "another type": (b'mine|{"value": "warm"}', "wrong_field"),
        "NaN": (b'mine|{"value": NaN, "ts": 1}', "not_finite"),
    },
}
CASES = [(name, case) for name, cases in BAD.items() for case in cases]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_bad_record_is_told_and_costs_its_neighbours_nothing(name: str, case: str) -> None:
    value, code = BAD[name][case]
    good = {"value": 1, "ts": 1}, {"value": 3, "ts": 3}
    before, after = (WRITE[name](event) for event in good)
    decoded = codec(find(name)).decode([records(before, value, after)])
    assert [(r.offset, r.code, r.value) for r in decoded.rejected] == [(1, code, value)]
    assert decoded.columns.x[:, 0].tolist() == [1, 3]


@FORMATS
@pytest.mark.parametrize("targets", [("value",), ("a", "100%"), tuple(f"t{i}" for i in range(20))])
@given(n=st.integers(0, 6), seed=st.integers(0, 2**32 - 1), nulls=st.sampled_from([0.0, 0.3, 1.0]))
def test_the_same_predictions_are_told_in_every_format(
    name: str, targets: tuple[str, ...], n: int, seed: int, nulls: float
) -> None:
    rng, width = np.random.default_rng(seed), len(targets)
    numbers = (rng.normal(size=(n, width, 4)) * 10.0 ** rng.integers(-30, 30, (n, width, 4))).astype(np.float32)
    numbers[rng.random((n, width)) < nulls, 3] = np.nan
    made, reference = codec(find(name), targets), codec(Json(), targets)
    event = WRITE["json"](dict.fromkeys(targets, 1))
    columns = reference.decode([records(*[event] * max(1, n))]).columns
    outcome = Outcome(
        np.arange(n) * 2**40, numbers[:, :, [0, 0, 1, 2, 2]], numbers[:, :, 3].copy(), np.arange(n) % 3 != 1
    )

    index, values = made.encode(columns, outcome, 0, n)
    same, texts = reference.encode(columns, outcome, 0, n)

    assert index.tolist() == same.tolist()
    for value, text in zip(values, texts, strict=True):
        told, expected = READ[name](value), json.loads(text)
        assert list(told) == list(expected)
        assert in_float32(told) == in_float32(expected)


def in_float32(told: Any) -> Any:
    if isinstance(told, dict):
        return {name: in_float32(value) for name, value in told.items()}
    return float(np.float32(told)) if isinstance(told, float) else told


def test_msgpack_tells_float32_and_64_bit_integers_as_such() -> None:
    made = codec(MsgPack())
    columns = made.decode([records(pack({"value": 1, "ts": 7}))]).columns
    outcome = Outcome(
        np.array([1]), np.full((1, 1, 5), 0.1, np.float32), np.array([[np.nan]], np.float32), np.ones(1, np.bool_)
    )
    _, (value,) = made.encode(columns, outcome, 0, 1)
    assert value.count(b"\xca") == 3
    assert value.count(b"\xd3") == 3
    assert unpack(value)["surprise"] is None
    assert value.endswith(b"\xa5model\xa81f0c9a2e")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("xml", "must be json, msgpack or MODULE:ATTRIBUTE"),
        ("no_such_module:x", "cannot be imported (ModuleNotFoundError"),
        ("json:nothing", "cannot be imported (AttributeError"),
        ("math:pi", "has no decode() that takes one argument"),
        (f"{__name__}:Bound", "static ones, if it is a class"),
    ],
)
def test_a_format_that_is_not_there_is_refused_with_the_mend(name: str, told: str) -> None:
    with pytest.raises(UsageError, match=r"^--codec ") as refused:
        find(name)
    assert told in str(refused.value)


def test_a_format_whose_encode_fails_ends_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_codec.py").write_text("class A:\n decode = dict\n def encode(told): return told['no']\n")
    monkeypatch.syspath_prepend(tmp_path)
    made = codec(find("broken_codec:A"))
    columns = codec(Json()).decode([records(b'{"value": 1}')]).columns
    outcome = Outcome(
        np.array([1]), np.zeros((1, 1, 5), np.float32), np.zeros((1, 1), np.float32), np.ones(1, np.bool_)
    )
    with pytest.raises(EnvironmentFault, match=r"^--codec broken_codec:A: encode failed .*KeyError"):
        made.encode(columns, outcome, 0, 1)
    sys.modules.pop("broken_codec")
