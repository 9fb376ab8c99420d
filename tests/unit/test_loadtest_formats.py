"""The strict reading of the wire formats, and the options and figures around a load test."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import orjson
import pytest

from export.config import Config
from export.sample import sign
from loadtest.alignment import Alignment
from loadtest.checks import check
from loadtest.errors import UsageError
from loadtest.findings import Counts, Example, VerifyResult
from loadtest.follower import Followed
from loadtest.input_format import InputFormat, milliseconds
from loadtest.latency import Arrivals
from loadtest.offer import Offered
from loadtest.options import LoadOptions
from loadtest.output_format import OutputFormat
from loadtest.port import Records
from loadtest.report import check_writable, show, write_json
from loadtest.run import run
from loadtest.summary import Summary


def form(*features: str, **limits: int) -> InputFormat:
    return InputFormat(sign(Config(features, features, 4, 1, "fixed", ())), **limits)


def one(value: bytes | None, key: bytes | None = b"k") -> Records:
    return Records([0], [17], [1234], [key], [value])


@pytest.mark.parametrize(
    ("value", "x", "mask", "time"),
    [
        (b'{"value": 21.4, "ts": 1700000000000}', 21.4, 1, 1700000000000),
        (b' {"ts": 5, "value": 3, "more": {"value": "x"}} ', 3, 1, 5),
        (b'{"value": null}', 0, 0, 1234),
        (b'{"value": -0.0, "ts": null}', 0, 1, 1234),
        (b'{"value": 1e38, "ts": "1970-01-01T00:00:01Z"}', 1e38, 1, 1000),
        (b'{"value": 16777217}', 16777216, 1, 1234),
        (b'{"value": 1e-60}', 0, 1, 1234),
    ],
)
def test_what_is_an_event(value: bytes, x: float, mask: int, time: int) -> None:
    events = form("value").read(one(value))

    assert not events.dead
    assert not events.reset.any()
    assert events.x.tolist() == [[np.float32(x)]]
    assert (events.mask.tolist(), events.time.tolist(), events.offset.tolist()) == ([[mask]], [time], [17])


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"null",
        b"[1]",
        b"21.4",
        b"{}",
        b'{"ts": 1}',
        b'{"value": "21.4"}',
        b'{"value": true}',
        b'{"value": [1]}',
        b'{"value": NaN}',
        b'{"value": Infinity}',
        b'{"value": 1e39}',
        b'{"value": 1e400}',
        b'{"value": 1, "ts": "soon"}',
        b'{"value": 1, "ts": 1.5}',
        b'{"value": 1, "ts": -1}',
        b'{"value": 1, "ts": 1700000000000000000}',
        b'{"value": 1}{"value": 2}',
        b'{"value": 1},{"value": 2}',
        b'{"value": 1, "pad": "' + b"x" * 100 + b'"}',
        b"[" * 100_000,
    ],
)
def test_what_is_a_dead_letter(value: bytes) -> None:
    events = form("value", max_value_bytes=100).read(one(value))

    assert events.dead == [0]
    assert len(events.keys) == 0


def test_a_record_without_a_key_or_with_a_long_one_is_a_dead_letter_and_one_without_a_value_a_reset() -> None:
    for key in (None, b"x" * 9):
        for value in (None, b'{"value": 1}'):
            assert form("value", max_key_bytes=8).read(one(value, key)).dead == [0]
    events = form("value", max_key_bytes=8).read(one(None, b"x" * 8))
    assert (events.reset.tolist(), events.time.tolist(), events.dead) == ([True], [1234], [])


def test_several_features_are_taken_by_name_whatever_they_are_called() -> None:
    events = form("load %", "class", "ts2").read(one(b'{"ts2": 3, "class": null, "load %": 1}'))

    assert events.x.tolist() == [[1, 0, 3]]
    assert events.mask.tolist() == [[1, 0, 1]]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2023-11-14T22:13:20Z", 1700000000000),
        ("2023-11-14T22:13:20", 1700000000000),
        ("2023-11-14T23:13:20.123999+01:00", 1700000000123),
        ("2023-11-14", 1699920000000),
        ("14.11.2023", None),
    ],
)
def test_iso_8601(text: str, time: int | None) -> None:
    assert milliseconds(text) == time


def test_every_float32_survives_the_output_format() -> None:
    bits = np.random.default_rng(1).integers(0, 2**32, 4000, dtype=np.uint32).view(np.float32)
    floats = bits[np.isfinite(bits)][:3000].reshape(-1, 3)
    values: list[bytes | None] = [
        orjson.dumps(
            {
                "offset": i,
                "ts": 1,
                "step": 1,
                "prediction": p,
                "lower": low,
                "upper": up,
                "surprise": None,
                "model": "",
            },
            option=orjson.OPT_SERIALIZE_NUMPY,
        )
        for i, (p, low, up) in enumerate(floats)
    ]
    n = len(values)

    outputs, bad = OutputFormat(sign(Config(("v",), ("v",), 4, 1, "fixed", ()))).read(
        Records([0] * n, list(range(n)), [1] * n, [b"k"] * n, values)
    )

    assert not bad
    assert (outputs.figures[:, :3, 0].view(np.int32) == floats.view(np.int32)).all()
    assert np.isnan(outputs.figures[:, 3]).all()


@dataclasses.dataclass
class Numbers:
    offset: np.ndarray


def test_a_copy_beyond_the_window_is_not_vouched_for_and_memory_stays_bounded() -> None:
    told: list[str] = []
    books = Alignment[Numbers, Numbers](
        lambda _e, i, _s, _j: np.zeros(len(i), np.bool_), lambda kind, *_: told.append(kind), window=100
    )
    for start in range(0, 1000, 50):
        part = Numbers(np.arange(start, start + 50))
        books.expect(part)
        books.see(part, np.arange(50))
        books.settle()
    assert books._size <= 150

    books.see(Numbers(np.array([3, 960, 5000])), np.arange(3))
    books.finish()

    assert (books.missing, books.duplicated, books.different, books.unexpected) == (0, 2, 1, 1)
    assert sorted(told) == ["different", "duplicated", "duplicated", "unexpected"]


GIVEN = {"input_topic": "in", "output_topic": "out"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"input_topic": ""}, "--input-topic: is missing"),
        ({"output_topic": ""}, "--output-topic: is missing"),
        ({"streams": 0}, "--streams 0: must be at least 1"),
        ({"rate": -1.0}, "--rate -1.0: must be at least 0"),
        ({"state_ttl": float("nan")}, "--state-ttl nan: must be seconds"),
        ({"state_ttl": 0.0}, "--state-ttl 0.0: must be seconds, more than 0"),
        ({"missing": 1.5}, "--missing 1.5: must be a share"),
        ({"keys": "pareto"}, "--keys pareto: must be uniform or zipf"),
        ({"verify": True}, "--verify: needs the model"),
        ({"preload": True, "drain": True}, "--preload with --drain"),
        ({"csv": Path("a.csv")}, "--csv a.csv: tells no values"),
        ({"key": "k"}, "--key: names a column of a CSV"),
    ],
)
def test_options_that_make_no_sense_are_told_in_one_line(options: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        check(LoadOptions(**(GIVEN | options)))  # type: ignore[arg-type]


def test_every_option_has_its_line_of_help() -> None:
    check(LoadOptions(**GIVEN))  # type: ignore[arg-type]
    assert all(
        field.metadata["help"] and "\n" not in field.metadata["help"] for field in dataclasses.fields(LoadOptions)
    )


def summary() -> Summary:
    arrivals = Arrivals({0: 0})
    values: list[bytes | None] = [b'{"offset": %d}' % i for i in range(10)]
    arrivals.take(Records([0] * 10, list(range(10)), [1000] * 10, [b"k"] * 10, values), 1_500_000)
    followed = Followed(True, 10, 10, 1_500_000, 1_500_000, arrivals.histogram.encode())
    found = Counts(expected=10, seen=9, missing=1)
    example = Example("missing", 0, 7, b"k", "step 3", "")
    verified = VerifyResult("exactly_once", found, Counts(expected=2, seen=2), 12, 2, 0.5, [example])
    return Summary("offer", "confluent", 100.0, Offered(10, 0.1, 1000, 2.0), followed, verified)


def test_the_figures_are_written_as_json(tmp_path: Path) -> None:
    write_json(summary(), tmp_path / "figures.json")

    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["events"], figures["events_per_second"], figures["passed"]) == (10, 20.0, False)
    assert list(figures["latency_ms"]) == ["p50", "p90", "p99", "p999", "max"]
    assert figures["latency_ms"]["p99"] == pytest.approx(500, rel=1e-3)
    assert [figures["verify"][kind] for kind in ("missing", "duplicated", "reordered", "different")] == [1, 0, 0, 0]
    assert figures["verify"]["dead_letters"]["seen"] == 2
    with pytest.raises(UsageError, match=r"--json .*: cannot be written"):
        write_json(summary(), tmp_path / "no" / "figures.json")


def test_a_file_that_cannot_be_written_is_found_before_the_load(tmp_path: Path) -> None:
    """There is no broker at that address, and nobody asks for it."""
    options = LoadOptions(bootstrap_servers="127.0.0.1:1", input_topic="in", output_topic="out")

    for path in (tmp_path, tmp_path / "no" / "figures.json"):
        with pytest.raises(UsageError, match=r"--json .*: cannot be written"):
            run(dataclasses.replace(options, json=path))

    check_writable(tmp_path / "new.json")
    (tmp_path / "old.json").write_text("old")
    check_writable(tmp_path / "old.json")
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "old"


def test_the_summary_names_figures_verdict_and_examples() -> None:
    out = io.StringIO()

    show(summary(), out)

    told = out.getvalue()
    assert "10 predictions, 20/s" in told
    assert "p99 500" in told
    assert "FAILED" in told
    assert "1 missing" in told
    assert "missing: partition 0, offset 7, key b'k': expected step 3, seen nothing" in told
