"""What is offered: the same seed gives the same bytes, the keys follow their law, a CSV's rows become events."""

import json
import random
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kafka.partitioner.default import murmur2

from loadtest.errors import UsageError
from loadtest.events import Batch
from loadtest.partitioner import partition_of
from loadtest.synthetic import START, Synthetic
from loadtest.table import Table


def rows(batches: list[Batch]) -> list[tuple[int, Any, Any]]:
    return [row for batch in batches for row in zip(batch.partitions, batch.keys, batch.values, strict=True)]


def made(size: int, events: int = 600, **options: object) -> list[tuple[int, Any, Any]]:
    source = Synthetic(30, ("a", "b %"), partitions=3, missing=0.1, **options)  # type: ignore[arg-type]
    return rows(list(islice(source.batches(size), events // size)))


@pytest.mark.parametrize("draw", ["uniform", "zipf"])
def test_a_seed_tells_every_byte_whatever_the_batches(draw: str) -> None:
    assert made(600, draw=draw, seed=5) == made(20, draw=draw, seed=5)
    assert made(600, draw=draw, seed=5) != made(600, draw=draw, seed=6)


def test_values_are_json_of_the_features_with_nulls_and_a_time() -> None:
    events = [json.loads(value) for _, _, value in made(600)]

    assert {tuple(event) for event in events} == {("a", "b %", "ts")}
    nulls = sum(event["a"] is None for event in events)
    assert 30 < nulls < 90, "a tenth is missing"
    assert events[0]["ts"] == START
    assert [event["ts"] for event in events] == sorted(event["ts"] for event in events)


def test_without_noise_each_feature_is_a_wave_of_its_own() -> None:
    source = Synthetic(1, ("a", "b"), noise=0.0, seed=1)
    events = [json.loads(value) for value in source.take(500).values]
    waves = [np.array([event[name] for event in events]) for name in ("a", "b")]

    assert np.ptp(waves[0]) != np.ptp(waves[1])
    for wave in waves:
        assert np.abs(np.diff(wave)).max() < np.ptp(wave) / 3, "it moves in steps, not in leaps"
        assert np.abs(np.corrcoef(wave[:-1], wave[1:])[0, 1]) > 0.8


def test_uniform_keys_are_even_and_zipf_keys_follow_zipfs_law() -> None:
    def shares(**options: object) -> list[float]:
        source = Synthetic(100, **options)  # type: ignore[arg-type]
        count = np.bincount([int(key[-2:]) for key in source.take(50_000).keys], minlength=100)
        return [float(share) for share in count / 50_000]

    even, skewed = shares(), shares(draw="zipf", exponent=1.0)

    assert max(even) < 0.015
    harmonic = sum(1 / k for k in range(1, 101))
    for rank in (1, 2, 10):
        assert skewed[rank - 1] == pytest.approx(1 / rank / harmonic, rel=0.1)


def test_keys_are_placed_like_every_producer_places_them() -> None:
    random.seed(1)
    keys = [random.randbytes(random.randrange(40)) for _ in range(500)] + [b"", b"a", b"stream-17"]

    assert partition_of(keys, 7).tolist() == [(murmur2(key) & 0x7FFFFFFF) % 7 for key in keys]


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "weather.csv"
    path.write_text(
        "station,temp,wind,hour,day\n"
        "JFK,1.5,NA,2013-01-01T02:00:00Z,2013-01-02\n"
        "LGA,,4,2013-01-01T01:00:00Z,2013-01-01\n"
        "JFK,-2,3,2013-01-01T01:00:00Z,2013-01-01\n"
    )
    return path


def test_rows_become_events_in_the_order_of_time(csv: Path) -> None:
    table = Table(csv, ["temp", "wind"], key="station", time="hour", features=["t", "w"], partitions=2)

    assert (len(table), table.streams) == (3, 2)
    assert [(key, value) for _, key, value in rows(list(table.batches(2)))] == [
        (b"LGA", b'{"t": null, "w": 4.0, "ts": 1357002000000}'),
        (b"JFK", b'{"t": -2.0, "w": 3.0, "ts": 1357002000000}'),
        (b"JFK", b'{"t": 1.5, "w": null, "ts": 1357005600000}'),
    ]


def test_without_columns_for_them_there_is_one_stream_and_no_time(csv: Path) -> None:
    assert [(key, value) for _, key, value in rows(list(Table(csv, ["wind"]).batches(9)))] == [
        (b"weather", b'{"value": null}'),
        (b"weather", b'{"value": 4.0}'),
        (b"weather", b'{"value": 3.0}'),
    ]


def test_a_time_may_be_a_date_or_epoch_milliseconds(csv: Path, tmp_path: Path) -> None:
    days = [json.loads(value)["ts"] for _, _, value in rows(list(Table(csv, ["wind"], time="day").batches(9)))]
    (tmp_path / "ms.csv").write_text("t,v\n1700000000123,1\n")
    (only,) = rows(list(Table(tmp_path / "ms.csv", ["v"], time="t").batches(9)))

    assert days == [1356998400000, 1356998400000, 1357084800000]
    assert json.loads(only[2])["ts"] == 1700000000123


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (None, {}, "--file .*: cannot be read"),
        ("", {}, "--file .*: is not CSV"),
        ("v,k\n", {}, "--file .*: has no rows"),
        ("a,b\n1,2\n", {}, "--value v: .* has no such column; it has a, b"),
        ("v\n1\n", {"key": "k"}, "--key k: .* has no such column"),
        ("v\n1\n", {"time": "t"}, "--time t: .* has no such column"),
        ("v\n1\nwarm\n", {}, "row 2, column v: 'warm' is not a number"),
        ("v\ninf\n", {}, "row 1, column v: 'inf' is not a number"),
        ("v,k\n1,x\n2,\n", {"key": "k"}, "--key k: row 2 of .* has none"),
        ("v,t\n1,2013-01-01\n1,soon\n", {"time": "t"}, "row 2, column t: 'soon' is not a time"),
        ("v,t\n1,\n", {"time": "t"}, "--time t: row 1 of .* has none"),
        ("v\n1\n", {"features": ["a", "b"]}, "--value v: the model's features are a, b; name one column for each"),
    ],
)
def test_a_bad_csv_is_told_in_one_line(tmp_path: Path, text: str | None, options: dict[str, str], told: str) -> None:
    path = tmp_path / "data.csv"
    if text is not None:
        path.write_text(text)

    with pytest.raises(UsageError, match=told) as caught:
        Table(path, ["v"], **options)  # type: ignore[arg-type]

    assert "\n" not in str(caught.value)
