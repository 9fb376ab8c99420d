"""The run over time: what was in the topic, what arrived how late, what the service took. Bounded, hours or not.

Two processes watch. The follower's counts and latencies come as cells of a series; a thread here reads the input
topic's ends and the service's processes at the end of every cell. Both share the clock, and so the cells' numbers.
"""

import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from loadtest.errors import EnvironmentFault
from loadtest.latency import Arrived, figures_ms
from loadtest.port import Cluster
from loadtest.series import Series
from loadtest.usage import Usage

SHORTEST = 0.25  # share of a cell below which its rate would say nothing


@dataclass(slots=True)
class Reading:
    """A cell of the watch: the last reading in it."""

    moment: float = 0.0  # seconds since the epoch
    end: int | None = None  # sum of the input partitions' ends; None where no broker answered
    cpu: float | None = None  # seconds since the first reading
    memory: int | None = None  # bytes; the most in the cell

    def merge(self, later: Self) -> None:
        """See Cell."""
        memory = [m for m in (self.memory, later.memory) if m is not None]
        self.moment, self.end, self.cpu = later.moment, later.end, later.cpu
        self.memory = max(memory, default=None)


@dataclass(slots=True)
class Mark:
    """Something that was done to the service."""

    at: float  # seconds since the epoch; in a timeline since its start
    what: str


@dataclass(slots=True)
class Timeline:
    """Columns of equal length; None where something was not measured."""

    interval: float  # seconds that a point stands for
    started: float  # seconds since the epoch
    at: list[float] = field(default_factory=list)  # seconds since the start: a point's end
    offered: list[float | None] = field(default_factory=list)  # events a second, as the broker took them
    arrived: list[float | None] = field(default_factory=list)  # outputs a second
    lag: list[int | None] = field(default_factory=list)  # events in the topic whose output was not seen yet
    p50: list[float | None] = field(default_factory=list)  # milliseconds, of what arrived in the interval
    p90: list[float | None] = field(default_factory=list)
    p99: list[float | None] = field(default_factory=list)
    max: list[float | None] = field(default_factory=list)
    cpu: list[float | None] = field(default_factory=list)  # cores
    memory: list[int | None] = field(default_factory=list)  # bytes
    marks: list[Mark] = field(default_factory=list)
    cpu_seconds: float | None = None  # in all


class Watch:
    """Reads at the end of every interval, in a thread of its own, until the block is left."""

    def __init__(self, cluster: Cluster, topic: str, usage: Usage, interval: float) -> None:
        """cluster: closed at the end. interval: seconds."""
        self.readings = Series(round(interval * 1000), Reading)
        self.started = self.ended = 0.0
        self.first = Reading()
        self._cluster, self._topic, self._usage = cluster, topic, usage
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self.started = time.time()
        self.first = self._reading()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if kind is None:
            self._thread.join()

    def _watch(self) -> None:
        with closing(self._cluster):
            over = False
            while not over:
                width = self.readings.width
                due = (int(time.time() * 1000) // width + 1) * width
                over = self._stop.wait(max(0.0, due / 1000 - time.time()))
                # What is read at the end of a cell speaks of that cell, though the next one has begun.
                moment = int(time.time() * 1000) if over else due - 1
                reading = self._reading()
                self.readings.at(moment).merge(reading)
            self.ended = time.time()

    def _reading(self) -> Reading:
        used = self._usage.read()
        asked = time.time()
        try:
            end = sum(high for _, high in self._cluster.watermarks(self._topic).values())
        except EnvironmentFault:
            end = None
        return Reading((asked + time.time()) / 2, end, *used)  # the answer is of a moment in between


def timeline(watch: Watch, arrivals: Series[Arrived] | None, marks: list[Mark], *, latencies: bool = True) -> Timeline:
    """What both have seen, side by side. latencies: whether an output's time on the way says anything."""
    readings = watch.readings
    if arrivals is not None:
        width = max(readings.width, arrivals.width)
        readings.coarsen(width)
        arrivals.coarsen(width)
    result = Timeline(readings.width / 1000, watch.started)
    result.marks = [Mark(round(mark.at - watch.started, 3), mark.what) for mark in marks]
    first, last = (round(moment * 1000) // readings.width for moment in (watch.started, watch.ended))
    before = {"end": watch.first, "cpu": watch.first}  # the last reading that has it
    seen = 0 if arrivals is None else next(iter(arrivals.cells.values())).seen
    for number in range(first, last + 1):
        reading, arrived = readings.cells.get(number), None if arrivals is None else arrivals.cells.get(number)
        begin, end = max(watch.started, number * result.interval), min(watch.ended, (number + 1) * result.interval)
        whole = end - begin >= SHORTEST * result.interval
        seen = seen if arrived is None else arrived.seen
        figures = figures_ms(arrived.latencies()) if arrived is not None and latencies else {}
        result.at.append(round(end - watch.started, 3))
        result.offered.append(_rate(before, reading, "end") if whole else None)
        result.arrived.append(_count(arrived, end - begin) if whole and arrivals is not None else None)
        ended = None if reading is None or arrivals is None else reading.end
        result.lag.append(None if ended is None else max(0, ended - seen))
        for name in ("p50", "p90", "p99", "max"):
            getattr(result, name).append(figures.get(name))
        result.cpu.append(_rate(before, reading, "cpu") if whole else None)
        result.memory.append(None if reading is None else reading.memory)
        if reading is not None:
            before |= {name: reading for name in before if getattr(reading, name) is not None}
    result.cpu_seconds = before["cpu"].cpu
    return result


def _count(arrived: Arrived | None, seconds: float) -> float:
    return 0.0 if arrived is None else round(arrived.count / seconds, 1)


def _rate(before: dict[str, Reading], reading: Reading | None, name: str) -> float | None:
    if reading is None or reading.moment <= before[name].moment:
        return None
    old, new = getattr(before[name], name), getattr(reading, name)
    return None if old is None or new is None else round((new - old) / (reading.moment - before[name].moment), 3)
