"""The run over time: bounded however long it is, and the two processes' views side by side."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadtest.errors import EnvironmentFault
from loadtest.latency import Arrivals, Arrived, figures_ms
from loadtest.port import Records
from loadtest.series import Series
from loadtest.timeline import Mark, Reading, Watch, timeline
from loadtest.usage import Usage, alive
from tests.service import eventually

START = 1_700_000_000_000  # ms


def arrived(series: Series[Arrived], second: float, latency_ms: float, count: int, seen: int = 0) -> None:
    cell = series.at(START + round(second * 1000))
    cell.record(round(latency_ms * 1000), count)
    cell.seen = seen


def test_a_long_run_is_told_in_fewer_and_wider_cells_and_loses_nothing() -> None:
    series = Series(1000, Arrived, most=16)

    for second in range(500):
        arrived(series, second, 5.0 if second < 250 else 50.0, 3, seen=second)

    assert len(series.cells) <= 16
    assert series.width == 32_000, "500 s in at most 16 cells"
    assert sum(cell.count for cell in series.cells.values()) == 1500
    assert [cell.seen for cell in series.cells.values()][-1] == 499
    first, *_, last = series.cells.values()
    assert figures_ms(first.latencies())["max"] == pytest.approx(5, rel=0.01)
    assert figures_ms(last.latencies())["p50"] == pytest.approx(50, rel=0.01)
    assert sum(cell.latencies().get_total_count() for cell in series.cells.values()) == 1500


def test_a_gap_takes_no_cells() -> None:
    series = Series(1000, Arrived, most=4)

    arrived(series, 0, 1, 1)
    arrived(series, 100_000, 1, 1)

    assert (len(series.cells), series.width) == (2, 1000)


def test_a_follower_of_hours_keeps_small_cells_only() -> None:
    arrivals = Arrivals({0: 0})
    arrivals.series = Series(1000, Arrived, most=64)

    for second in range(700):
        now = START + second * 1000
        arrivals.take(Records([0], [second], [now - 20], [b"k"], [b'{"offset": %d}' % second]), now * 1000)

    cells = list(arrivals.series.cells.values())
    assert len(cells) <= 64
    assert [cell.count for cell in cells[:-1]] == [16] * (len(cells) - 1)
    loose = [len(cell.parts) for cell in cells if len(cell.parts) > 1]
    assert sum(loose) <= 700 // 16, "what was merged is made small while time goes on, one cell a second"
    assert all(len(cell.parts) == 1 for cell in arrivals.sealed().cells.values())
    assert sum(cell.latencies().get_total_count() for cell in cells) == 700


class Topic:
    """A cluster that knows how far one topic goes, or does not answer."""

    client = "none"

    def __init__(self) -> None:
        self.end: int | None = 0
        self.closed = False

    def watermarks(self, topic: str) -> dict[int, tuple[int, int]]:  # noqa: ARG002
        if self.end is None:
            raise EnvironmentFault("nobody answers")
        return {0: (0, self.end), 1: (0, 5)}

    def close(self) -> None:
        self.closed = True


def watched(readings: dict[int, Reading], first: Reading, ended: float) -> Watch:
    """A watch that has already read: second -> reading."""
    watch = Watch(Topic(), "t", Usage(lambda: ()), 1.0)  # type: ignore[arg-type]
    watch.started, watch.ended, watch.first = START / 1000, START / 1000 + ended, first
    for second, reading in readings.items():
        watch.readings.at(START + second * 1000).merge(reading)
    return watch


def reading(second: float, end: int | None, cpu: float | None = None, memory: int | None = None) -> Reading:
    return Reading(START / 1000 + second, end, cpu, memory)


def test_rates_lag_latencies_and_costs_stand_side_by_side() -> None:
    watch = watched(
        {0: reading(1, 110, 0.5, 100), 1: reading(2, 300, 0.75, 300), 2: reading(3, 300, 1.75, 200)},
        reading(0, 10, 0.0, 50),
        ended=3.0,
    )
    arrivals = Series(1000, Arrived)
    arrivals.at(START).seen = 10
    arrived(arrivals, 0.5, 4, 60, seen=70)
    arrived(arrivals, 2.5, 400, 230, seen=300)

    told = timeline(watch, arrivals, [Mark(START / 1000 + 1.5, "kill -9")])

    assert told.at[:3] == [1, 2, 3]
    assert told.offered[:3] == [100, 190, 0]
    assert told.arrived[:3] == [60, 0, 230]
    assert told.lag[:3] == [40, 230, 0], "while nothing arrives, the lag grows"
    assert told.p99[:3] == [pytest.approx(4, rel=0.01), None, pytest.approx(400, rel=0.01)]
    assert told.cpu[:3] == [0.5, 0.25, 1.0]
    assert told.memory[:3] == [100, 300, 200]
    assert told.marks == [Mark(1.5, "kill -9")]
    assert told.cpu_seconds == 1.75
    assert {len(getattr(told, name)) for name in ("at", "offered", "arrived", "lag", "p50", "max", "cpu")} == {4}


def test_what_was_not_measured_is_none() -> None:
    watch = watched({0: reading(1, None), 1: reading(2, 7)}, reading(0, 5), ended=1.99)

    told = timeline(watch, None, [])

    assert told.offered == [None, 1.0], "a broker that did not answer leaves a gap, not a zero"
    assert told.arrived == told.lag == told.p50 == told.cpu == told.memory == [None, None]


def test_two_views_of_different_widths_are_brought_to_the_wider_one() -> None:
    watch = watched({n: reading(n + 1, 10 * (n + 1)) for n in range(8)}, reading(0, 0), ended=8.0)
    arrivals = Series(1000, Arrived, most=3)
    for second in range(8):
        arrived(arrivals, second, 1, 10, seen=10 * (second + 1))

    told = timeline(watch, arrivals, [])

    assert told.interval == arrivals.width / 1000 == 4.0
    assert told.offered[:2] == told.arrived[:2] == [10, 10]
    assert told.lag[:2] == [0, 0]


def test_the_watch_reads_in_every_interval_and_lets_go_at_the_end() -> None:
    topic = Topic()
    watch = Watch(topic, "t", Usage(lambda: ()), 0.1)  # type: ignore[arg-type]

    with watch:
        topic.end = 20
        eventually("three readings", lambda: len(watch.readings.cells) >= 3)
        topic.end = None
        eventually("two more", lambda: len(watch.readings.cells) >= 5)

    ends = [cell.end for cell in watch.readings.cells.values()]
    assert watch.first.end == 5
    assert 25 in ends
    assert ends[-1] is None
    assert topic.closed


@contextmanager
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A process that burns CPU, and says so once it has burnt a tenth of a second."""
    code = "import time\nwhile time.process_time() < 0.1: pass\nprint(1, flush=True)\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_cpu_goes_on_over_a_restart_and_memory_is_of_those_alive() -> None:
    pids: list[int] = []
    usage = Usage(lambda: pids)
    assert usage.read() == (None, None)
    with busy() as one:
        pids.append(one.pid)
        first, memory = usage.read()
    between, nothing = usage.read()
    with busy() as two:
        pids[:] = [two.pid]
        second, _ = usage.read()

    assert first is not None
    assert first >= 0.05
    assert memory is not None
    assert memory > 1_000_000
    assert (between, nothing) == (first, None)
    assert second is not None
    assert second >= first + 0.05


def test_cpu_that_was_used_before_the_test_does_not_count() -> None:
    with busy() as process:
        usage = Usage(lambda: [process.pid])
        before, _ = usage.read()
        deadline = time.monotonic() + 0.2
        eventually("it has worked on", lambda: time.monotonic() > deadline)
        after, _ = usage.read()

    assert before == 0
    assert after is not None
    assert 0 < after < 5
    assert not alive(process.pid)
