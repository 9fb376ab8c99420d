"""Whose the events are, when they are due, and what is bad about some: each has its property, whatever the batches."""

import gc
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

from engine.columns import Ints
from export.config import Config
from export.sample import sign
from loadtest.chance import chance
from loadtest.codecs import CODECS, Codec
from loadtest.errors import UsageError
from loadtest.events import Batch
from loadtest.input_format import InputFormat
from loadtest.latency import Arrivals
from loadtest.offer import offer
from loadtest.options import LoadOptions
from loadtest.pace import Pace, schedule
from loadtest.port import Records
from loadtest.sources import schedule_of, source_of
from loadtest.spoil import Spoiler
from loadtest.synthetic import Synthetic
from loadtest.table import Table

DRAWS = ["uniform", "zipf", "hot", "growing"]
LIMITS = {"max_key_bytes": 100, "max_value_bytes": 6000}
Event = tuple[int, int, bytes | None, bytes | None]  # number, partition, key, value


def events(batches: list[Batch]) -> list[Event]:
    found: list[Event] = []
    for batch in batches:
        assert batch.index is not None
        found += zip(batch.index.tolist(), batch.partitions, batch.keys, batch.values, strict=True)
    return found


def streams(source: Synthetic, size: int) -> Ints:
    """Whose the next events are."""
    return np.array([int((key or b"").split(b"-")[1]) for key in source.take(size).keys])


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_make_the_events_of_one_each_stream_by_one_of_them(draw: Any, processes: int) -> None:
    def made(share: tuple[int, int], size: int) -> list[Event]:
        source = Synthetic(500, ("a", "b"), partitions=5, draw=draw, missing=0.1, seed=3, share=share)
        spoiler = Spoiler(("a", "b"), 0.1, 0.05, **LIMITS, seed=3)
        return events(list(map(spoiler.spoil, islice(source.batches(size), 1200 // size))))

    whole = made((0, 1), 1200)
    shares = [made((k, processes), 48) for k in range(processes)]

    assert sorted(chain(*shares), key=lambda event: event[0]) == whole
    assert [event[0] for event in whole] == list(range(1200))
    for k, share in enumerate(shares):
        assert [event[0] for event in share] == sorted(event[0] for event in share)
        assert {event[1] % processes for event in share} == {k}, "each has partitions of its own"


def test_a_hot_stream_has_its_share_and_the_others_share_the_rest_evenly() -> None:
    who = streams(Synthetic(101, draw="hot", hot_share=0.5, seed=1), 40_000)

    count = np.bincount(who, minlength=101)
    assert count[0] / 40_000 == pytest.approx(0.5, abs=0.01)
    assert count[1:].min() > 140
    assert count[1:].max() < 260
    assert set(streams(Synthetic(1, draw="hot"), 100)) == {0}
    assert set(streams(Synthetic(9, draw="hot", hot_share=1.0), 100)) == {0}
    assert 0 not in streams(Synthetic(9, draw="hot", hot_share=0.0), 1000)


def test_streams_grow_in_number_through_the_test_and_none_comes_before_its_time() -> None:
    source = Synthetic(10, draw="growing", new_streams=0.02, seed=1)

    who = np.concatenate([streams(source, size) for size in (1, 99, 900, 9000)])

    there = 10 + np.floor(np.arange(1, 10_001) * 0.02)
    assert (who < there).all()
    new = np.flatnonzero(np.diff(there) > 0) + 1
    assert (who[new] == there[new] - 1).all(), "a stream that is new speaks"
    assert len(np.unique(who[:1000])) < len(np.unique(who)) > 190
    assert set(streams(Synthetic(3, draw="growing", new_streams=0.0), 500)) == {0, 1, 2}
    assert streams(Synthetic(1, draw="growing", new_streams=1.0), 5).tolist() == [1, 2, 3, 4, 5]


def test_the_number_of_streams_that_have_spoken_takes_no_memory() -> None:
    source = Synthetic(4_000_000_000, draw="growing", new_streams=0.5)

    batch = source.take(100)

    assert len({len(key or b"") for key in batch.keys}) == 1
    assert sum(array.nbytes for array in vars(source).values() if isinstance(array, np.ndarray)) < 1_000_000


class Nowhere:
    """A broker that forgets, and a clock that runs as fast as one waits."""

    at = 0.0

    def now(self) -> float:
        return self.at

    def wait(self, until: float) -> None:
        self.at = until

    def send(self, topic: str, partitions: Any, keys: Any, values: Any, timestamps: Any) -> None:
        pass

    def flush(self, timeout: float) -> None:
        pass


def test_a_test_of_hours_takes_the_memory_of_one_of_minutes() -> None:
    """Growing streams, in bursts, bad input among them; five minutes at 10 a second, then an hour and a half."""
    nowhere = Nowhere()
    source = Synthetic(10, draw="growing", new_streams=0.3, missing=0.1)
    spoiler = Spoiler(("value",), 0.05, 0.05, **LIMITS)
    arrivals = Arrivals({0: 0})

    def load(seconds: float, first: int) -> int:
        """Its memory, in bytes; what is offered comes back at once."""
        batches = map(spoiler.spoil, source.batches(2000))
        due = schedule(10.0, "bursty")
        offered = offer(batches, nowhere, "t", schedule=due, first=first, seconds=seconds, clock=nowhere)
        assert offered.events == pytest.approx(10 * seconds, rel=0.1)
        for start in range(first, first + offered.events, 2000):
            offsets = list(range(start, start + 2000))
            values: list[bytes | None] = [b'{"offset": %d}' % offset for offset in offsets]
            arrivals.take(Records([0] * 2000, offsets, [start] * 2000, [None] * 2000, values), start * 1000)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        short = load(300.0, 0)
        assert load(5400.0, source._count) < short + 200_000
    finally:
        tracemalloc.stop()


def rates(due: Ints, every: int) -> Ints:
    """Events in each `every` milliseconds."""
    return np.bincount(due // every)


@pytest.mark.parametrize("pace", ["steady", "bursty", "day"])
@pytest.mark.parametrize("period", [None, 7.0])
def test_a_pace_keeps_the_mean_rate_and_the_order_whatever_the_batches(pace: Pace, period: float | None) -> None:
    due = schedule(1000.0, pace, period=period, seed=4)
    numbers = np.arange(120_000)

    whole = due(numbers)

    assert (np.diff(whole) >= 0).all()
    assert whole[0] == 0
    cycle = int((period or 60.0) * 1000)
    assert np.abs(rates(whole, cycle)[:-1] - cycle).max() <= 1, "a period has the events of the rate"
    assert np.concatenate([due(part) for part in np.array_split(numbers, 17)]).tolist() == whole.tolist()
    assert schedule(1000.0, pace, period=period, seed=4)(numbers).tolist() == whole.tolist()


def test_half_of_the_events_come_in_bursts_at_the_peak_at_moments_that_a_seed_tells() -> None:
    def bursts(seed: int) -> list[int]:
        found = rates(schedule(1000.0, "bursty", period=10.0, peak=5.0, seed=seed)(np.arange(100_000)), 100)
        busy = np.flatnonzero(found > 300)
        assert found.max() <= 560, "five times 100, and the rest's share of the edge"
        assert 0.4 < found[busy].sum() / 100_000 < 0.6
        assert len(np.unique(busy // 100)) == 10, "one in each period"
        return [int(b) for b in busy]

    assert bursts(1) == bursts(1) != bursts(2)
    assert len(np.unique(np.array(bursts(1)) % 100)) > 20, "not always at the same moment of the period"


def test_a_day_has_its_night_and_its_noon() -> None:
    found = rates(schedule(1000.0, "day", period=24.0, peak=1.8)(np.arange(48_000)), 1000)

    assert found[12] == pytest.approx(1800, rel=0.03)
    assert found[0] == pytest.approx(200, rel=0.2)
    assert found[6] == pytest.approx(1000, rel=0.15)
    assert np.abs(found[:24] - found[24:]).max() <= 2, "the next day is like this one"


def table(folder: Path, moments: list[int]) -> Path:
    path = folder / "rows.parquet"
    polars.DataFrame(
        {"v": [float(i) for i in range(len(moments))], "t": moments, "k": [7] * len(moments)}
    ).write_parquet(path)
    return path


def test_a_file_is_due_by_its_own_time_so_many_times_as_fast(tmp_path: Path) -> None:
    path = table(tmp_path, [5000, 1000, 1000, 2500])
    options = LoadOptions(file=path, value=("v",), time="t", key="k", speed=10.0)
    source = source_of(options, None, 1)

    due, size = schedule_of(options, source, 0.0)

    assert due is not None
    assert due(np.arange(4)).tolist() == [0, 0, 150, 400]
    assert due(np.array([4])).tolist() == [400], "past the last row"
    assert size == 1, "few are made ahead"
    assert [(key, json.loads(value or b"")["ts"]) for _, _, key, value in events(list(source.batches(9)))] == [
        (b"7", 1000), (b"7", 1000), (b"7", 2500), (b"7", 5000),
    ]  # fmt: skip


def test_a_parquet_file_may_hold_times_dates_and_whole_numbers(tmp_path: Path) -> None:
    path = tmp_path / "own.pq"
    frame = polars.DataFrame({"v": [1, None], "day": ["2013-01-02", "2013-01-01"], "k": ["b", "a"]})
    frame = frame.with_columns(polars.col("day").str.to_date(), moment=polars.col("day").str.to_datetime())
    frame.write_parquet(path)

    for column in ("day", "moment"):
        rows = events(list(Table(path, ["v"], key="k", time=column).batches(9)))
        assert [(key, value) for _, _, key, value in rows] == [
            (b"a", b'{"value": null, "ts": 1356998400000}'),
            (b"b", b'{"value": 1.0, "ts": 1357084800000}'),
        ]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"values": ["when"]}, "--value when: .* has Datetime.* there; name a column of numbers"),
        ({"values": ["list"]}, "--value list: .* has List.* there; name a column of numbers"),
        ({"values": ["v"], "key": "list"}, "--key list: .* has List.* there; name a column of texts"),
        ({"values": ["v"], "time": "v"}, "--time v: .* has Float64 there; name a column of times"),
    ],
)
def test_a_parquet_column_of_another_kind_is_told_in_one_line(
    tmp_path: Path, columns: dict[str, Any], told: str
) -> None:
    path = tmp_path / "odd.parquet"
    frame = polars.DataFrame({"v": [1.5], "list": [[1]], "when": ["2013-01-02"]})
    frame.with_columns(polars.col("when").str.to_datetime()).write_parquet(path)

    with pytest.raises(UsageError, match=told):
        Table(path, **columns)


def test_a_file_that_is_no_parquet_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "text.parquet"
    path.write_text("v\n1\n")

    with pytest.raises(UsageError, match=r"--file .*: is not Parquet") as caught:
        Table(path, ["v"])

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_each_form_of_bad_input_has_its_code(codec: Codec) -> None:
    form = InputFormat(sign(Config(("a", "b %"), ("a",), 4, 1, "fixed", ())), **LIMITS, codec=codec)
    values = Spoiler(("a", "b %"), 1.0, 0.0, **LIMITS, codec=codec).values

    for code, forms in values.items():
        size = len(forms)
        assert size > 1
        assert form.read(Records([0] * size, list(range(size)), [1] * size, [b"k"] * size, list(forms))).dead == (
            dict.fromkeys(range(size), code)
        )


def spoiled(bad: float, resets: float, size: int = 6000) -> tuple[Spoiler, Batch, Batch]:
    spoiler = Spoiler(("a", "b %"), bad, resets, **LIMITS, seed=5)
    good = Synthetic(50, ("a", "b %"), seed=5).take(size)
    return spoiler, good, spoiler.spoil(good)


def test_every_kind_of_bad_input_is_what_the_strict_reading_calls_it() -> None:
    spoiler, _, batch = spoiled(0.2, 0.1)
    signature = sign(Config(("a", "b %"), ("a",), 4, 1, "fixed", ()))
    size = len(batch)

    read = InputFormat(signature, **LIMITS).read(
        Records([0] * size, list(range(size)), [1_700_000_000_000] * size, list(batch.keys), list(batch.values))
    )

    assert set(read.dead.values()) == set(spoiler.kinds)
    assert batch.silent is not None
    assert sorted([*read.dead, *read.offset[read.reset]]) == batch.silent.nonzero()[0].tolist()
    count = [list(read.dead.values()).count(kind) for kind in spoiler.kinds]
    assert min(count) > 0.7 * 0.2 * size / len(spoiler.kinds), "of every kind about the same"
    assert read.reset.sum() == pytest.approx(0.1 * size, rel=0.15)


def test_what_is_spoiled_is_told_by_the_number_alone_and_the_rest_is_left_as_it_is() -> None:
    spoiler, good, batch = spoiled(0.1, 0.1)

    assert batch.silent is not None
    assert batch.silent.tolist() == spoiler.silent(np.arange(len(good))).tolist()
    for i in np.flatnonzero(~batch.silent):
        assert (batch.keys[i], batch.values[i]) == (good.keys[i], good.values[i])
    assert spoiled(0.0, 0.0)[2].silent is None
    whole = replace(good, index=None)
    assert spoiler.spoil(whole) is whole, "whose numbers are not known is left alone"


def test_what_no_topic_takes_by_default_is_left_out_and_named() -> None:
    spoiler = Spoiler(("a",), 1.0, 0.0, max_key_bytes=4096, max_value_bytes=1 << 20)

    assert spoiler.left_out == ["value_too_long"]
    assert "value_too_long" not in spoiler.kinds
    assert "key_too_long" in spoiler.kinds


@pytest.mark.parametrize("even", [lambda draws: draws, lambda draws: (draws * 97) % 1.0])
def test_chance_is_even_and_differs_by_seed_and_purpose(even: Callable[[Any], Any]) -> None:
    numbers = np.arange(50_000)

    draws = chance(1, 2, numbers)

    assert np.histogram(even(draws), 10, (0, 1))[0].min() > 4750
    assert np.abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.02
    for other in (chance(2, 2, numbers), chance(1, 3, numbers)):
        assert np.abs(np.corrcoef(draws, other)[0, 1]) < 0.02
