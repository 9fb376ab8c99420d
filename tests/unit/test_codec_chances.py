"""Symbols and classes on the wire: what an event may say, and what a prediction tells, in every format."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.columns import Columns, Outcome
from export.config import Config
from export.file import sign
from stream.broker.port import Records
from stream.chances import likeliest
from stream.codec import Codec
from stream.formats import find

T = 1_700_000_000_000
SYMBOLS = ("", "e", 'a "quoted" 100%', "é", "disk full", "7", "t")
CLASSES = ("normal", "50%", 'so "called"')
FORMATS = {
    "json": (json.loads, lambda told: json.dumps(told).encode()),
    "msgpack": (msgspec.msgpack.decode, msgspec.msgpack.encode),
}
EVERY_FORMAT = pytest.mark.parametrize("name", FORMATS)


def codec(name: str, task: str, text: str = "") -> Codec:
    if task == "symbol":
        config = Config(("log",), ("log",), 4, task="symbol", outcomes=len(SYMBOLS), embedding=2)
        signature = sign(config, symbols=SYMBOLS if not text else ("", "61", "0a"), text=text)
    else:
        signature = sign(Config(("a", "b"), ("kind",), 4, task="class", outcomes=3), classes=CLASSES)
    return Codec(find(name), signature, "1f0c9a2e" + "0" * 56, max_key_bytes=64, max_value_bytes=1000)


def decoded(made: Codec, name: str, *events: Any) -> Any:
    values = [FORMATS[name][1](event) for event in events]
    return made.decode([Records(0, [*range(len(values))], [T] * len(values), [b"k"] * len(values), values)])


def told(made: Codec, name: str, columns: Columns, predicted: Any, surprise: list[float]) -> list[dict[str, Any]]:
    n = len(surprise)
    array = np.array(predicted, np.float32).reshape(n, 1, -1)
    outcome = Outcome(np.arange(1, n + 1), array, np.array(surprise, np.float32)[:, None], np.ones(n, np.bool_))
    return [FORMATS[name][0](value) for value in made.encode(columns, outcome, 0, n)[1]]


def rounded(told: Any) -> Any:
    if isinstance(told, dict):
        return {name: rounded(value) for name, value in told.items()}
    if isinstance(told, list):
        return [rounded(value) for value in told]
    return float(np.float32(told)) if isinstance(told, float) else told


@EVERY_FORMAT
def test_symbols_are_known_by_name_unknown_ones_are_one_and_null_is_missing(name: str) -> None:
    given = [{"log": s} for s in ("disk full", "never seen", None, "", 7, 8)] + [{"log": "e", "ts": 5}]
    columns = decoded(codec(name, "symbol"), name, *given).columns
    assert columns.x[:, 0].tolist() == [4, 0, 0, 0, 5, 0, 1]
    assert columns.mask[:, 0].tolist() == [1, 1, 0, 1, 1, 1, 1]
    assert columns.time.tolist() == [T] * 6 + [5]


@EVERY_FORMAT
def test_a_byte_is_two_digits_or_its_number(name: str) -> None:
    columns = decoded(codec(name, "symbol", text="bytes"), name, {"log": "61"}, {"log": 0x61}, {"log": 10}).columns
    assert columns.x[:, 0].tolist() == [1, 1, 2]


@EVERY_FORMAT
def test_what_is_no_symbol_is_rejected_and_costs_its_neighbours_nothing(name: str) -> None:
    found = decoded(
        codec(name, "symbol"), name, {"log": "e"}, {"log": True}, {"log": 1.5}, {"value": "e"}, {"log": "t"}
    )
    assert [(r.offset, r.code) for r in found.rejected] == [(i, "wrong_field") for i in (1, 2, 3)]
    assert found.columns.x[:, 0].tolist() == [1, 6]


@EVERY_FORMAT
def test_a_prediction_of_symbols_tells_the_likeliest_ones(name: str) -> None:
    made = codec(name, "symbol")
    columns = decoded(made, name, {"log": "e"}, {"log": "t", "ts": 9}).columns
    chances = [[0.02, 0.4, 0.1, 0.3, 0.1, 0.05, 0.03], [0, 0, 1, 0, 0, 0, 0]]
    first, second = told(made, name, columns, chances, [np.nan, 1.5])
    assert rounded(first) == rounded({
        "offset": 0, "ts": T, "step": 1, "prediction": "e",
        "top": [["e", 0.4], ["é", 0.3], ['a "quoted" 100%', 0.1], ["disk full", 0.1], ["7", 0.05]],
        "surprise": None, "model": "1f0c9a2e",
    })  # fmt: skip
    assert list(first) == ["offset", "ts", "step", "prediction", "top", "surprise", "model"]
    assert (second["ts"], second["prediction"], second["surprise"]) == (9, 'a "quoted" 100%', 1.5)


@EVERY_FORMAT
def test_a_prediction_of_a_class_tells_the_probability_of_each(name: str) -> None:
    made = codec(name, "class")
    columns = decoded(made, name, {"a": 1, "b": None}).columns
    (one,) = told(made, name, columns, [[0.2, 0.7, 0.1]], [np.nan])
    assert rounded(one) == rounded({
        "offset": 0, "ts": T, "step": 1, "prediction": "50%",
        "probabilities": {"normal": 0.2, "50%": 0.7, 'so "called"': 0.1}, "model": "1f0c9a2e",
    })  # fmt: skip


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(2, 9)), elements=st.sampled_from([0, 0.1, 0.5]))
)
def test_of_equally_likely_ones_the_first_are_told(chance: np.ndarray) -> None:
    expected = np.argsort(-chance, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(likeliest(chance, 5), expected)


def test_an_object_of_the_users_is_given_what_json_says() -> None:
    made = codec(f"{__name__}:Mine", "symbol")
    columns = decoded(codec("json", "symbol"), "json", {"log": "e"}).columns
    outcome = Outcome(
        np.ones(1, np.int64), np.eye(7, dtype=np.float32)[None, 2:3], np.zeros((1, 1), np.float32), np.ones(1, np.bool_)
    )
    assert made.encode(columns, outcome, 0, 1)[1] == [b'mine: a "quoted" 100%']


class Mine:
    """An object of the user's."""

    @staticmethod
    def decode(value: bytes) -> Any:
        return json.loads(value)

    @staticmethod
    def encode(told: dict[str, Any]) -> bytes:
        return f"mine: {told['prediction']}".encode()
