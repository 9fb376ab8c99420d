"""Two reports side by side: what is better, what differs, and when the comparison means nothing."""

import io
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadtest.compare import compare, differences, figures, warnings
from loadtest.errors import UsageError


def run(**changes: Any) -> dict[str, Any]:
    return {
        "mode": "offer",
        "client": "confluent",
        "events_per_second": 5000.0,
        "offered_per_second": 5000.0,
        "latency_ms": {"p50": 10.0, "p90": 20.0, "p99": 40.0, "p999": 80.0, "max": 100.0},
        "cpu_us_per_event": 8.0,
        "kills": None,
        "passed": True,
        "date": "2026-01-02T03:04:05Z",
        "options": {"input_topic": "a", "rate": 5000.0, "serve": "statecast serve"},
        "versions": {"python": "3.11", "statecast": "0.1.0"},
        "machine": "two cores",
        "timeline": {"memory": [None, 100_000_000, 90_000_000], "lag": [0, 50, 10]},
    } | changes


def written(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_bytes(orjson.dumps(content))
    return path


def told(tmp_path: Path, a: dict[str, Any], b: dict[str, Any]) -> str:
    out = io.StringIO()
    compare(written(tmp_path, "a.json", a), written(tmp_path, "b.json", b), out)
    return out.getvalue()


def verdicts(a: dict[str, Any], b: dict[str, Any]) -> dict[str, str]:
    return {figure.name: figure.verdict for figure in figures(a, b)}


def test_more_throughput_is_better_and_less_of_all_the_rest() -> None:
    other = run(
        events_per_second=10_000.0,
        latency_ms={"p50": 5.0, "p90": 20.1, "p99": 120.0, "p999": None, "max": 0.0},
        cpu_us_per_event=2.0,
        timeline={"memory": [50_000_000], "lag": [None, 100]},
    )

    found = verdicts(run(), other)

    assert found == {
        "arrived": "B 2.00x",
        "offered": "same",
        "latency p50": "B 2.00x",
        "latency p90": "same",
        "latency p99": "A 3.00x",
        "latency p999": "",
        "latency max": "",
        "CPU an event": "B 4.00x",
        "memory at most": "B 2.00x",
        "lag at most": "A 2.00x",
    }


def test_a_figure_that_neither_has_is_left_out() -> None:
    bare = run(cpu_us_per_event=None, timeline=None)

    assert not {"CPU an event", "memory at most", "lag at most"} & verdicts(bare, bare).keys()


def test_the_table_shows_both_figures_their_ratio_and_the_better_one(tmp_path: Path) -> None:
    text = told(tmp_path, run(), run(latency_ms={"p50": 12.5}, passed=False))

    (line,) = [line.split() for line in text.splitlines() if line.startswith("latency p50")]
    assert line == ["latency", "p50,", "ms", "10.0", "12.5", "1.250", "A", "1.25x"]
    assert "passed" in text
    assert "WARNING: B did not pass" in text
    assert "differs" not in text


def test_what_differs_is_named_be_it_option_version_machine_or_kills() -> None:
    other = run(
        options={"input_topic": "b", "rate": 5000.0, "serve": "statecast serve --batch 100"},
        versions={"python": "3.12", "statecast": "0.1.0"},
        kills=3,
    )

    assert differences(run(), other) == {
        "--input-topic": ("a", "b"),
        "--serve": ("statecast serve", "statecast serve --batch 100"),
        "python": ("3.11", "3.12"),
        "kills": (None, 3),
    }


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({}, []),
        ({"options": {"input_topic": "b", "rate": 5000.0, "serve": "other", "delivery": "at_least_once"}}, []),
        ({"options": {"input_topic": "a", "rate": 100.0, "streams": 7}}, ["the load differs (--rate, --streams)"]),
        ({"machine": "four cores"}, ["the machines differ: so do the figures, whatever was changed"]),
        ({"mode": "drain"}, ["A is a run of the mode offer, B of drain: they measure different things"]),
        (
            {"client": "kafka-python"},
            ["the load test sent and read with confluent in A, kafka-python in B: that is measured too"],
        ),
        ({"passed": False}, ["B did not pass: its figures are those of a broken run"]),
    ],
)
def test_runs_that_cannot_be_compared_are_warned_of(changes: dict[str, Any], warned: list[str]) -> None:
    assert warnings(run(), run(**changes)) == warned


def test_what_is_no_report_is_refused_in_one_line(tmp_path: Path) -> None:
    good = written(tmp_path, "good.json", run())
    text = tmp_path / "text.json"
    text.write_text("hello")
    for path, reason in {
        tmp_path / "gone.json": r"cannot be read \(No such file or directory\)",
        text: "is no JSON",
        written(tmp_path, "list.json", [1]): "is no report of a load test",
        written(tmp_path, "old.json", {"mode": "offer"}): "is no report of a load test, events_per_second is missing",
    }.items():
        with pytest.raises(UsageError, match=rf"{path.name}: {reason}.*give a file of `loadtest --json`"):
            compare(good, path, io.StringIO())
