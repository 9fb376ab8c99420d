"""The strict reading of the wire formats, and the options and figures around a load test."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.config import Config
from export.sample import sign
from loadtest.alignment import Alignment
from loadtest.checks import check
from loadtest.codecs import CODECS
from loadtest.errors import UsageError
from loadtest.findings import Counts, Example, VerifyResult
from loadtest.follower import Followed
from loadtest.input_format import InputFormat, milliseconds
from loadtest.latency import Arrivals
from loadtest.offer import Offered
from loadtest.options import LoadOptions
from loadtest.output_format import OutputFormat
from loadtest.port import Records
from loadtest.report import as_json, check_writable, show, write
from loadtest.run import run
from loadtest.summary import Summary


def form(*features: str, **limits: int) -> InputFormat:
    return InputFormat(sign(Config(features, features, 4, 1, "fixed", ())), **limits)


def one(value: bytes | None, key: bytes | None = b"k") -> Records:
    return Records([0], [17], [1234], [key], [value])


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(width=32, allow_nan=False, allow_infinity=False)), st.integers(0, 2**40)
        )
    ),
    st.booleans(),
)
def test_what_is_offered_reads_the_same_in_every_codec(events: list[tuple[float | None, int]], timed: bool) -> None:
    x = np.array([[np.nan if value is None else value] for value, _ in events]).reshape(-1, 1)
    time = np.array([t for _, t in events], np.int64) if timed else None
    n = len(events)
    read = []
    for codec in CODECS.values():
        made = InputFormat(sign(Config(("value",), ("value",), 4, 1, "fixed", ())), codec=codec)
        values = codec.values(("value",), x, time)
        read.append(made.read(Records([0] * n, list(range(n)), list(range(n)), [b"k"] * n, list(values))))
    one, other = read
    assert one.dead == other.dead == {}
    for name in ("offset", "time", "x", "mask"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    assert one.time.tolist() == (list(range(n)) if time is None else time.tolist())


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
    ("value", "code"),
    [
        (b"", "not_json"),
        (b"\xff", "not_json"),
        (b"null", "wrong_field"),
        (b"[1]", "wrong_field"),
        (b"21.4", "wrong_field"),
        (b"{}", "wrong_field"),
        (b'{"ts": 1}', "wrong_field"),
        (b'{"value": "21.4"}', "wrong_field"),
        (b'{"value": true}', "wrong_field"),
        (b'{"value": [1]}', "wrong_field"),
        (b'{"value": NaN}', "not_json"),
        (b'{"value": Infinity}', "not_json"),
        (b'{"value": 1e39}', "not_finite"),
        (b'{"value": 1e400}', "wrong_field"),
        (b'{"value": 1, "ts": "soon"}', "bad_time"),
        (b'{"value": 1, "ts": 1.5}', "wrong_field"),
        (b'{"value": 1, "ts": -1}', "bad_time"),
        (b'{"value": null, "ts": -1}', "bad_time"),
        (b'{"value": 1e39, "ts": -1}', "not_finite"),
        (b'{"value": 1, "ts": 1700000000000000000}', "bad_time"),
        (b'{"value": 1}{"value": 2}', "not_json"),
        (b'{"value": 1},{"value": 2}', "not_json"),
        (b'{"value": 1, "pad": "' + b"x" * 100 + b'"}', "value_too_long"),
        (b"[" * 100_000, "value_too_long"),
    ],
)
def test_what_is_a_dead_letter_and_why(value: bytes, code: str) -> None:
    events = form("value", max_value_bytes=100).read(one(value))

    assert events.dead == {0: code}
    assert len(events.keys) == 0


def test_a_record_without_a_key_or_with_a_long_one_is_a_dead_letter_and_one_without_a_value_a_reset() -> None:
    for key, code in {None: "no_key", b"x" * 9: "key_too_long"}.items():
        for value in (None, b'{"value": 1}'):
            assert form("value", max_key_bytes=8).read(one(value, key)).dead == {0: code}
    events = form("value", max_key_bytes=8).read(one(None, b"x" * 8))
    assert (events.reset.tolist(), events.time.tolist(), events.dead) == ([True], [1234], {})


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


FILE = {"file": Path("a.csv"), "value": ("v",)}
GIVEN = {"input_topic": "in", "output_topic": "out"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"input_topic": ""}, "--input-topic: is missing"),
        ({"output_topic": ""}, "--output-topic: is missing"),
        ({"streams": 0}, "--streams 0: must be a number, at least 1"),
        ({"rate": -1.0}, "--rate -1.0: must be a number, at least 0"),
        ({"state_ttl": float("nan")}, "--state-ttl nan: must be seconds"),
        ({"state_ttl": 0.0}, "--state-ttl 0.0: must be seconds, more than 0"),
        ({"missing": 1.5}, "--missing 1.5: must be a share"),
        ({"keys": "pareto"}, "--keys pareto: must be uniform, zipf, hot or growing"),
        ({"client": "telnet"}, "--client telnet: must be auto, confluent or kafka-python"),
        ({"hot_share": 0.2}, "--hot-share: changes nothing with --keys uniform; give --keys hot too"),
        ({"keys": "hot", "hot_share": 2.0}, "--hot-share 2.0: must be a share"),
        ({"keys": "growing", "new_streams": -0.1}, "--new-streams -0.1: must be a share"),
        ({"keys": "zipf", "zipf_exponent": float("inf")}, "--zipf-exponent inf: must be"),
        ({"streams": 10**12}, r"--streams 1e\+12: must be at most 4,000,000,000"),
        ({"keys": "zipf", "streams": 10**9}, "--streams 1000000000: must be at most 100,000,000 with --keys zipf"),
        ({"seed": -1}, "--seed -1: must be a number, at least 0"),
        ({"rate": 1e-300}, "--rate 1e-300: must be at least 0.001, or 0"),
        ({"rate": 1e300}, r"--rate 1e\+300: must be at most 1,000,000,000"),
        ({"bad": float("nan")}, "--bad nan: must be a share"),
        ({"bad": 0.7, "resets": 0.7}, "--bad 0.7 with --resets 0.7: are more than all events"),
        ({"processes": 0}, "--processes 0: must be a number, at least 1"),
        ({"pace": "hectic", "rate": 1.0}, "--pace hectic: must be steady, bursty or day"),
        ({"pace": "bursty"}, "--pace bursty: bends a rate, and there is none"),
        ({"peak": 3.0}, "--peak 3.0: changes nothing at a steady pace"),
        ({"pace": "day", "rate": 1.0, "peak": 3.0}, "--peak 3.0: must be 1 to 2 with --pace day"),
        ({"pace": "bursty", "rate": 1.0, "peak": 0.5}, "--peak 0.5: must be 1 to 1000 with --pace bursty"),
        ({"pace": "bursty", "rate": 1.0, "period": 0.0}, "--period 0.0: must be seconds, at least 0.1"),
        ({"rate": float("inf")}, "--rate inf: must be"),
        ({"seconds": float("nan")}, "--seconds nan: must be"),
        ({"ramp": True}, "--ramp: knows no limit; give --p99-below SECONDS"),
        ({"p99_below": 0.1}, "--p99-below: is the limit of a ramp; give --ramp too"),
        ({"ramp": True, "p99_below": 0.0}, "--p99-below 0.0: must be seconds, more than 0"),
        ({"ramp": True, "p99_below": 0.1, "events": 5}, "--ramp with --events"),
        ({"ramp": True, "p99_below": 0.1, "drain": True}, "--ramp with --drain"),
        ({"ramp": True, "p99_below": 0.1, "seconds": 0.0}, "--seconds 0.0: of a step of a ramp"),
        ({"speed": 2.0}, "--speed: is for the rows of a file; give --file FILE too"),
        ({**FILE, "speed": 2.0}, "--speed: runs the file's own time, and no column tells it; give --time COLUMN"),
        ({**FILE, "speed": -2.0, "time": "t"}, "--speed -2: must be 1e-06 to 1e.09; 1 is real time"),
        ({**FILE, "speed": 2.0, "time": "t", "rate": 9.0}, "--speed with --rate 9"),
        ({**FILE, "keys": "hot"}, "--keys hot with --file: the file tells the streams"),
        ({"verify": True}, "--verify: needs the model"),
        ({"preload": True, "drain": True}, "--preload with --drain"),
        ({"file": Path("a.csv")}, "--file a.csv: tells no values"),
        ({"key": "k"}, "--key: is for the rows of a file"),
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
    followed = Followed(True, 10, 10, 1_500_000, 1_500_000, arrivals.histogram.encode(), arrivals.sealed())
    found = Counts(expected=10, seen=9, missing=1)
    example = Example("missing", 0, 7, b"k", "step 3", "")
    verified = VerifyResult("exactly_once", found, Counts(expected=2, seen=2), 12, 2, 0.5, [example])
    return Summary("offer", "confluent", 100.0, Offered(10, 0.1, 1000, 2.0), followed, verified)


def test_the_figures_are_written_as_json(tmp_path: Path) -> None:
    write("json", tmp_path / "figures.json", as_json(summary()))

    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["events"], figures["events_per_second"], figures["passed"]) == (10, 20.0, False)
    assert list(figures["latency_ms"]) == ["p50", "p90", "p99", "p999", "max"]
    assert figures["latency_ms"]["p99"] == pytest.approx(500, rel=1e-3)
    assert [figures["verify"][kind] for kind in ("missing", "duplicated", "reordered", "different")] == [1, 0, 0, 0]
    assert figures["verify"]["dead_letters"]["seen"] == 2
    with pytest.raises(UsageError, match=r"--json .*: cannot be written"):
        write("json", tmp_path / "no" / "figures.json", b"")


def test_a_file_that_cannot_be_written_is_found_before_the_load(tmp_path: Path) -> None:
    """There is no broker at that address, and nobody asks for it."""
    options = LoadOptions(bootstrap_servers="127.0.0.1:1", input_topic="in", output_topic="out")

    for path in (tmp_path, tmp_path / "no" / "figures.json"):
        with pytest.raises(UsageError, match=r"--json .*: cannot be written"):
            run(dataclasses.replace(options, json=path))

    check_writable("json", tmp_path / "new.json")
    (tmp_path / "old.json").write_text("old")
    check_writable("json", tmp_path / "old.json")
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
