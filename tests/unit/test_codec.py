"""What is an event, what is not, and what a prediction looks like on the wire."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.columns import Outcome
from export.config import Config
from export.sample import sign
from stream.broker.port import Records
from stream.codec import Codec
from stream.formats import Json

T = 1_700_000_000_000


def codec(features: tuple[str, ...] = ("value",), targets: tuple[str, ...] = ("value",)) -> Codec:
    signature = sign(Config(features=features, targets=targets, hidden=4))
    return Codec(Json(), signature, "1f0c9a2e" + "0" * 56, max_key_bytes=64, max_value_bytes=1000)


def records(*values: bytes | None, keys: list[bytes | None] | None = None) -> Records:
    n = len(values)
    return Records(0, list(range(n)), [T + i for i in range(n)], keys or [b"k"] * n, list(values))


BAD: dict[str, tuple[bytes, str]] = {
    "cut off": (b'{"value": 1', "not_json"),
    "empty": (b"", "not_json"),
    "two documents": (b'{"value": 1},{"value": 2}', "not_json"),
    "not UTF-8": (b'{"value": 1, "ts": "\xff\xfe"}', "not_json"),
    "NaN": (b'{"value": NaN}', "not_json"),
    "Infinity": (b'{"value": -Infinity}', "not_json"),
    "an array": (b"[1]", "wrong_field"),
    "no such field": (b'{"valu": 1}', "wrong_field"),
    "a string for a number": (b'{"value": "21.4"}', "wrong_field"),
    "true for a number": (b'{"value": true}', "wrong_field"),
    "beyond float64": (b'{"value": 1e999}', "wrong_field"),
    "beyond float32": (b'{"value": 1e39}', "not_finite"),
    "a fractional time": (b'{"value": 1, "ts": 1.5}', "wrong_field"),
    "a time in words": (b'{"value": 1, "ts": "yesterday"}', "bad_time"),
    "a time in nanoseconds": (b'{"value": 1, "ts": 1700000000000000000}', "bad_time"),
    "a negative time": (b'{"value": 1, "ts": -5}', "bad_time"),
    "a huge integer as time": (b'{"value": 1, "ts": 99999999999999999999999}', "bad_time"),
    "too long": (b'{"value": 1, "x": "' + b"y" * 2000 + b'"}', "value_too_long"),
    "nested too deep": (b'{"value": ' + b"[" * 400 + b"]" * 400 + b"}", "wrong_field"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_is_told_with_its_code_and_costs_its_neighbours_nothing(name: str) -> None:
    value, code = BAD[name]
    decoded = codec().decode([records(b'{"value": 1}', value, b'{"value": 3}')])
    assert [(r.offset, r.code, r.value) for r in decoded.rejected] == [(1, code, value)]
    assert decoded.rejected[0].message
    assert decoded.columns.offset.tolist() == [0, 2]
    assert decoded.columns.x[:, 0].tolist() == [1, 3]


def test_a_record_without_a_key_or_with_a_long_one_is_rejected_and_an_empty_key_is_a_stream() -> None:
    value = b'{"value": 1}'
    decoded = codec().decode([records(value, value, value, keys=[None, b"k" * 65, b""])])
    assert [r.code for r in decoded.rejected] == ["no_key", "key_too_long"]
    assert decoded.columns.keys == [b""]


def test_a_missing_value_is_legal_and_masked() -> None:
    decoded = codec(("a", "b"), ("a",)).decode([records(b'{"a": null, "b": 2}', b'{"a": 1, "b": 2, "more": []}')])
    assert not decoded.rejected
    assert decoded.columns.x.tolist() == [[0, 2], [1, 2]]
    assert decoded.columns.mask.tolist() == [[0, 1], [1, 1]]


def test_a_null_record_resets() -> None:
    columns = codec().decode([records(b'{"value": 1}', None)]).columns
    assert columns.reset is not None
    assert columns.reset.tolist() == [False, True]


def test_times_are_the_events_own_or_the_records() -> None:
    decoded = codec().decode(
        [
            records(
                b'{"value": 1, "ts": 5}',
                b'{"value": 1}',
                b'{"value": 1, "ts": "1970-01-01T00:00:01.5Z"}',
                b'{"value": 1, "ts": "1970-01-01 01:00:00+01:00"}',
                b'{"value": 1, "ts": null}',
            )
        ]
    )
    assert decoded.columns.time.tolist() == [5, T + 1, 1500, 0, T + 4]
    plain = codec().decode([records(b'{"value": 1, "ts": 5}', b'{"value": 1}', b'{"value": 1, "ts": null}')])
    assert plain.columns.time.tolist() == [5, T + 1, T + 2]
    assert decoded.columns.timestamp.tolist() == [T, T + 1, T + 2, T + 3, T + 4]


@given(st.lists(st.one_of(st.binary(max_size=40), st.just(b'{"value": 2.5}'), st.none()), min_size=1, max_size=20))
def test_no_bytes_whatever_raise_and_every_record_is_accounted_for(values: list[bytes | None]) -> None:
    decoded = codec().decode([records(*values)])
    offsets = decoded.columns.offset.tolist() + [r.offset for r in decoded.rejected]
    assert sorted(offsets) == list(range(len(values)))


floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(floats, floats, floats, floats), min_size=1, max_size=30))
def test_a_prediction_reads_back_as_the_same_float32(rows: list[tuple[float, float, float, float]]) -> None:
    n = len(rows)
    made = codec()
    columns = made.decode([records(*[b'{"value": 1}'] * n)]).columns
    numbers = np.array(rows, np.float32)
    quantiles = numbers[:, None, [0, 0, 1, 2, 2]]
    outcome = Outcome(np.arange(n), quantiles, numbers[:, 3:4].copy(), np.ones(n, np.bool_))

    index, texts = made.encode(columns, outcome, 0, n)

    assert index.tolist() == list(range(n))
    for i, text in enumerate(texts):
        told = json.loads(text)
        assert list(told) == ["offset", "ts", "step", "prediction", "lower", "upper", "surprise", "model"]
        assert (told["offset"], told["ts"], told["step"], told["model"]) == (i, T + i, i, "1f0c9a2e")
        seen = np.array([told[name] for name in ("lower", "prediction", "upper", "surprise")], np.float32)
        assert seen.tobytes() == numbers[i].tobytes() or (seen == numbers[i]).all()  # -0.0 may lose its sign


def test_several_targets_are_objects_by_name_and_what_was_not_stepped_is_left_out() -> None:
    made = codec(("a", "100%"), ("a", "100%"))
    columns = made.decode([records(*[b'{"a": 1, "100%": 2}'] * 3)]).columns
    quantiles = np.arange(30, dtype=np.float32).reshape(3, 2, 5)
    surprise = np.array([[np.nan, 1], [0, 0], [0.5, np.nan]], np.float32)
    outcome = Outcome(np.array([1, 0, 2]), quantiles, surprise, np.array([True, False, True]))

    index, texts = made.encode(columns, outcome, 0, 3)

    assert index.tolist() == [0, 2]
    first, last = map(json.loads, texts)
    assert first["prediction"] == {"a": 2, "100%": 7}
    assert first["surprise"] == {"a": None, "100%": 1}
    assert (last["offset"], last["lower"], last["upper"]) == (2, {"a": 20, "100%": 25}, {"a": 24, "100%": 29})
