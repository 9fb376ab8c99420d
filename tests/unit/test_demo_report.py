"""The report and the summary: everything that was promised stands in them, and nothing is fetched from elsewhere."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from demo import judge, page, score, weather
from demo.compare import Track, Verdict
from demo.result import Learned, Result, Throughput
from demo.weather import Events


@pytest.fixture(scope="module")
def events() -> Events:
    return weather.read(weather.installed_file(), hours=600)


@pytest.fixture(scope="module")
def result(events: Events) -> Result:
    """A run whose predictions are the last value, give or take a little."""
    boundaries = events.moment(0.7), events.moment(0.8)
    random = np.random.default_rng(0)
    tracks, ar24 = {}, {}
    for key, places in events.streams().items():
        seen = score.before(np.append(events.value[places], np.nan))[1:]  # the last value, this event's included
        said = np.nan_to_num(seen) + random.normal(0, 0.1, len(places))
        figures = np.column_stack([said, said - 2, said + 2, random.exponential(0.4, len(places))])
        tracks[key] = Track(events.time[places], np.arange(1, len(places) + 1), figures.astype(np.float32))
        ar24[key] = score.before(events.value[places]) + 0.5
    streams = judge.streams(events, tracks, ar24, boundaries)
    scores = {key: score.score(stream) for key, stream in streams.items()}
    return Result(
        verdict=Verdict(len(events), len(events)),
        streams=streams,
        times={key: events.time[places] for key, places in events.streams().items()},
        scores=scores,
        variables=score.by_variable(scores, weather.VARIABLES),
        overall=score.together(list(scores.values()), same_unit=False),
        ar24_plausible=0.9,
        throughput=Throughput(7000, 0.5),
        rate=1000.0,
        latencies=random.gamma(4, 15, 1800),
        curve=[Learned(float(s), 1 / s, 1.1 / s) for s in range(1, 9)],
        surprising=judge.surprising(events, tracks, streams),
        boundaries=boundaries,
        facts={"machine": "one with <two> cores"},
    )


class Reader(HTMLParser):
    """Collects headings, and checks that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.charts = 0

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self.charts += tag == "svg"
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


def test_the_page_has_its_sections_and_its_charts(result: Result) -> None:
    reader = Reader()
    reader.feed(page.render(result))
    assert reader.open == []
    assert reader.headings[1:] == [
        "Errors",
        "Actual against predicted",
        "The most surprising events",
        "Learning curve",
        "Latency",
        "What was run",
    ]
    assert reader.charts == 3


def test_the_page_asks_nothing_of_a_network(result: Result) -> None:
    html = page.render(result)
    assert not re.search(r"<script|<link|<img|@import|url\((?!#)", html)
    assert not re.search(r"(?:src|href)=\"(?!#)", html)


def test_every_colour_is_the_pages_own(result: Result) -> None:
    html = page.render(result)
    for number in range(1, 10):
        assert f"#0{number}0{number}0{number}" not in html
    used = set(re.findall(r"var\((--[\w-]+)\)", html))
    assert used <= set(re.findall(r"(--[\w-]+):", html))


def test_what_was_run_is_told_as_text(result: Result) -> None:
    assert "one with &lt;two&gt; cores" in page.render(result)


def test_the_verdict_stands_on_top(result: Result) -> None:
    assert "each with exactly one prediction, bit-identical" in page.render(result)
    wrong = Result(**{**vars(result), "verdict": Verdict(9, 9, different=2, examples=["different: EWR.temp"])})
    html = page.render(wrong)
    assert "NOT verified: of 9 events and 9 predictions 2 different" in html
    assert "bit-identical to the offline replay" not in html


def test_the_summary_has_its_keys(result: Result, tmp_path: Path) -> None:
    result.write(tmp_path / "summary.json")
    told = json.loads((tmp_path / "summary.json").read_text())
    assert told["verified"] is True
    assert told["events"] == told["predictions"] == len(result.verdict.examples) + result.verdict.events
    assert set(told["scaled_mae"]) == {"model", "persistence", "ar24"}
    assert 0.5 < told["coverage_90"] <= 1
    assert told["events_per_second"] == 14_000
    assert told["latency_ms"]["p50"] < told["latency_ms"]["p99"]
    assert set(told["variables"]) == set(weather.VARIABLES)


def test_the_most_surprising_events_are_the_scored_ones_with_the_highest_surprise(
    result: Result, events: Events
) -> None:
    found = result.surprising
    assert [s.surprise for s in found] == sorted((s.surprise for s in found), reverse=True)
    assert all(s.time >= result.boundaries[1] for s in found)
    assert len(found) == judge.MOST_SURPRISING
    first = found[0]
    places = events.streams()[first.key]
    assert first.actual == pytest.approx(events.value[places][events.time[places] == first.time].item(), rel=1e-6)


def test_predictions_that_are_not_there_are_no_targets(events: Events) -> None:
    key = "EWR.temp"
    places = events.streams()[key]
    half = events.time[places][::2]
    track = Track(half, np.arange(1, len(half) + 1), np.ones((len(half), 4), np.float32))
    figures = judge.beside(events.time[places], track)
    assert np.isnan(figures[1::2]).all()
    assert (figures[::2] == 1).all()
