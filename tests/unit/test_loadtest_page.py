"""The report's page: one file, everything in it, nothing of the data taken for markup."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hdrh.histogram import HdrHistogram

from loadtest import page, report
from loadtest.errors import UsageError
from loadtest.findings import Counts, Example, VerifyResult
from loadtest.follower import Followed
from loadtest.latency import LONGEST, Arrived
from loadtest.offer import Offered
from loadtest.ramp import Ramp, Step
from loadtest.series import Series
from loadtest.summary import Summary
from loadtest.timeline import Mark, Timeline

VOID = {"meta", "br", "link", "img"}
EVIL = "<script>alert('x')</script>&"


def followed(latencies_ms: list[float], *, complete: bool = True) -> Followed:
    histogram = HdrHistogram(1, LONGEST, 3)
    for latency in latencies_ms:
        histogram.record_value(round(latency * 1000))
    count = len(latencies_ms)
    return Followed(complete, count, 1, 1_000_000, 61_000_000, histogram.encode(), Series(1000, Arrived))


def timeline(points: int, *, watched: bool = True) -> Timeline:
    """A steady run that stands still for a while in its middle."""
    rising = [float(n) for n in range(points)]
    still = [None if points // 2 <= n < points // 2 + 3 else 5.0 + n / 10 for n in range(points)]
    return Timeline(
        interval=1.0,
        started=1_700_000_000.0,
        at=[n + 1 for n in rising],
        offered=[5000.0] * points,
        arrived=[4990.0 + n for n in rising],
        lag=[10 * n for n in range(points)],
        **{
            name: [None if v is None else v * k for v in still]
            for k, name in enumerate(("p50", "p90", "p99", "max"), 1)
        },  # type: ignore[arg-type]
        cpu=[0.5 if watched else None] * points,
        memory=[100_000_000 + n if watched else None for n in range(points)],
        marks=[Mark(2.5, "kill -9"), Mark(4.5, "kill -9")] if watched else [],
        cpu_seconds=1.25 if watched else None,
    )


def summary(**changes: object) -> Summary:
    verified = VerifyResult("exactly_once", Counts(expected=1000, seen=1000), events=1000)
    made: dict[str, object] = {
        "mode": "offer",
        "client": "confluent",
        "rate": 5000.0,
        "offered": Offered(1000, 60.0, 1000, 3.5),
        "followed": followed([float(n % 50 + 5) for n in range(1000)]),
        "verified": verified,
        "timeline": timeline(60),
        "kills": 2,
        "facts": {
            "command": "statecast loadtest",
            "options": {"input_topic": "in", "output_topic": "out"},
            "versions": {"python": "3.11"},
            "machine": "a machine",
            "date": "2026-01-02T03:04:05Z",
        },
    }
    return Summary(**(made | changes))  # type: ignore[arg-type]


class Reading(HTMLParser):
    """Checks that every element is closed, and keeps the text and the attributes that could load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def charts(text: str) -> dict[str, ElementTree.Element]:
    found = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    return {svg.attrib["aria-label"]: svg for svg in found}


def words(svg: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()).strip() for element in svg.iter() if element.tag.endswith("text")]


@pytest.fixture(scope="module")
def text() -> str:
    return page.render(summary())


def test_the_page_holds_everything_and_asks_nobody(text: str) -> None:
    read = Reading(text)

    assert set(charts(text)) == {
        "Latency over time", "Latency by percentile", "Throughput", "Lag", "CPU", "Memory",
    }  # fmt: skip
    assert "script" not in read.tags
    assert all(link.startswith("#") for link in read.links), "references inside the page"
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", text)
    for said in ("in to out", "1,000 outputs, each exactly once", "2 kills", "a machine", "python 3.11", "03:04:05"):
        assert said in read.text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_each_chart_tells_its_axes_its_lines_and_the_kills(text: str) -> None:
    drawn = charts(text)

    latency = words(drawn["Latency over time"])
    assert {"p50", "p90", "p99", "max", "kill -9", "milliseconds", "seconds since the start"} <= set(latency)
    assert {"offered", "arrived", "events a second"} <= set(words(drawn["Throughput"]))
    assert {"50", "90", "99", "milliseconds"} <= set(words(drawn["Latency by percentile"]))
    assert "MB" in words(drawn["Memory"])
    assert "cores" in words(drawn["CPU"])
    marks = ElementTree.tostring(drawn["Lag"], encoding="unicode").count("var(--bad)")
    assert marks == 3, "two kills, and their sign in the legend"


def test_colours_are_the_pages_own_so_that_the_dark_serves_too(text: str) -> None:
    for svg in charts(text).values():
        drawn = ElementTree.tostring(svg, encoding="unicode")
        assert not re.search(r"#0[0-9]0[0-9]0[0-9]", drawn)
        assert "var(--first)" in drawn


def test_what_comes_from_data_is_text_and_never_markup() -> None:
    example = Example("different", 0, 7, EVIL.encode(), EVIL, EVIL)
    verified = VerifyResult("exactly_once", Counts(expected=10, seen=9, different=1), Counts(), examples=[example])
    facts = {"command": EVIL, "options": {"input_topic": EVIL}, "versions": {EVIL: EVIL}, "date": EVIL}

    read = Reading(page.render(summary(verified=verified, client=EVIL, facts=facts, timeline=None)))

    assert "script" not in read.tags
    assert read.text.count("alert('x')") >= 7


def test_a_failed_verification_is_told_with_its_examples() -> None:
    example = Example("missing", 3, 41, b"boiler-1", "prediction '1.5'", "")
    verified = VerifyResult("exactly_once", Counts(expected=10, seen=9, missing=1), examples=[example])

    text = page.render(summary(verified=verified, timeline=None))

    assert "✗ Verification FAILED, over 2 kills" in text
    assert '<div class="verdict bad">' in text
    assert '<td class="bad">1</td>' in text
    assert "partition 3, offset 41" in text


def test_a_ramp_shows_every_rate_that_was_tried() -> None:
    ramp = Ramp(20.0, [Step(1000, 5.0, 0.1, True), Step(2000, 30.0, 0.1, True), Step(2000, None, 0.1, False)])

    made = summary(mode="ramp", ramp=ramp, verified=None, kills=None, timeline=timeline(30))

    read = Reading(page.render(made))
    assert "✓ 1,000/s (p99 5.0 ms); 2,000/s is too much" in read.text
    assert "The rates that were tried" in read.text
    assert (read.text.count("yes"), read.text.count("nothing arrived")) == (1, 1)
    assert made.cpu_us_per_event is None, "CPU of all rates over the outputs of one says nothing"


def test_what_was_not_measured_is_said_and_not_drawn() -> None:
    text = page.render(
        summary(verified=None, kills=None, timeline=timeline(5, watched=False), followed=followed([], complete=False))
    )

    assert set(charts(text)) == {"Latency over time", "Throughput", "Lag"}
    assert text.count("no process of the service was named (--pid) or started here (--serve)") == 2
    assert "✗ NOT ALL ARRIVED" in text


def test_a_run_of_hours_and_one_of_a_moment_can_be_drawn() -> None:
    hours = timeline(1200)
    hours.at = [n * 32.0 for n in range(1200)]

    assert "hours since the start" in words(charts(page.render(summary(timeline=hours)))["Lag"])
    assert "minutes since the start" in words(charts(page.render(summary(timeline=timeline(600))))["Lag"])
    assert charts(page.render(summary(timeline=timeline(1), followed=followed([3.0]))))
    assert not charts(page.render(summary(timeline=None)))
    assert "Preload" in page.render(summary(mode="preload", followed=None, verified=None, timeline=timeline(3)))


def test_a_file_that_cannot_be_written_is_told_by_its_option(tmp_path: Path) -> None:
    told = r"--html .*: cannot be written \(.*\); give another path"
    with pytest.raises(UsageError, match=told):
        report.check_writable("html", tmp_path)
    with pytest.raises(UsageError, match=told):
        report.write("html", tmp_path / "no" / "report.html", b"")


def test_the_json_tells_the_same_figures_and_the_whole_timeline() -> None:
    told = summary().as_dict()

    assert told["kills"] == 2
    assert told["cpu_us_per_event"] == 1250.0
    timeline = told["timeline"]
    assert isinstance(timeline, dict)
    assert len(timeline["p99"]) == len(timeline["at"]) == 60
    assert timeline["marks"][0] == {"at": 2.5, "what": "kill -9"}
    curve = told["percentiles_ms"]
    assert isinstance(curve, list)
    assert curve[-1][0] == 100
    assert curve == sorted(curve)
    assert told["machine"] == "a machine"
    assert b'"options"' in report.as_json(summary())
