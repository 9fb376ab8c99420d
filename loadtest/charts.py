"""The report's charts: the run over time, and the percentile curve. Figures in, SVG text out."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from loadtest.drawing import BAD, FIRST, FOURTH, SECOND, THIRD, svg
from loadtest.timeline import Mark, Timeline

Column = Sequence[float | None]
DOTS = 40  # points up to which each is shown: a line through few of them says too much
MANY = 300  # points beyond which lines are thin, for they go up and down within a pixel or two
STEPS = {1: 120, 60: 3 * 3600, 3600: math.inf}  # unit of the time axis, seconds -> the longest run that it is for
UNITS = {1: "seconds", 60: "minutes", 3600: "hours"}
LINES = (FIRST, SECOND, THIRD, FOURTH)
NINES = (50, 90, 99, 99.9, 99.99, 99.999, 99.9999)


def over_time(
    name: str,
    timeline: Timeline,
    lines: Mapping[str, Column],
    unit: str,
    *,
    scale: float = 1.0,
    log: bool = False,
    whole: bool = False,
) -> str:
    """Columns of the timeline on one axis of time, and what was done to the service; "" where nothing was measured.

    lines: legend -> column. unit: of the other axis, after multiplying by `scale`. whole: its ticks are whole numbers.
    """
    lines = {label: column for label, column in lines.items() if any(value is not None for value in column)}
    if not lines:
        return ""

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        span = timeline.at[-1]
        step = next(step for step, longest in STEPS.items() if span <= longest)
        time = np.array(timeline.at) / step
        width = 1.4 if len(time) <= MANY else 0.8
        for number, ((label, column), colour) in enumerate(zip(lines.items(), LINES, strict=False)):
            values = np.array([math.nan if value is None else value * scale for value in column])
            dots = None if len(time) <= DOTS else _alone(values)
            drawn = ax.plot(time, values, color=colour, linewidth=width, marker="o", markersize=2.6, markevery=dots)
            # The first line lies above the others: the highest percentile would hide those that are often beside it.
            drawn[0].set(label=label, zorder=9 - number)
        _marks(ax, timeline.marks, step)
        ax.set_xlim(0, span / step * 1.02)
        ax.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        ax.set_xlabel(f"{UNITS[step]} since the start")
        ax.set_ylabel(unit)
        if log:
            _log(ax)
        else:
            ax.set_ylim(0, max(ax.get_ylim()[1], 1 if whole else 0))
            ax.yaxis.set_major_locator(MaxNLocator(5, integer=whole))
            ax.yaxis.set_major_formatter(lambda value, _: _text(value))
        if len(lines) > 1 or timeline.marks:
            ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, borderaxespad=0, columnspacing=1.1,
                      handlelength=1.2)  # fmt: skip

    return svg(draw, name)


def percentiles(name: str, curve: Sequence[tuple[float, float]]) -> str:
    """Latency by percentile, each further nine as wide as the one before; "" where none was measured."""
    inner = [(percentile, value) for percentile, value in curve if percentile < 100]
    if not inner:
        return ""

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        x = [1 / (1 - percentile / 100) for percentile, _ in inner]
        x.append(x[-1] * 2)  # the largest value, which is at 100 %: the axis never gets there
        y = [value for _, value in inner] + [curve[-1][1]]
        ax.plot(x, y, color=FIRST, linewidth=1.6, drawstyle="steps-post" if len(x) < DOTS else "default")
        ax.set_xscale("log")
        ax.set_xlim(1, max(x[-1], 10))
        ticks = {1 / (1 - p / 100): f"{p:g}" for p in NINES if 1 / (1 - p / 100) <= max(x[-1], 10)}
        ax.xaxis.set_major_locator(FixedLocator(list(ticks)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(lambda value, _: min(ticks.items(), key=lambda tick: abs(tick[0] - value))[1])
        ax.set_xlabel("percent of the outputs were seen within")
        ax.set_ylabel("milliseconds")
        if y[-1] > 30 * max(y[0], 1e-3):
            _log(ax)
        else:
            ax.set_ylim(0, None)
            ax.yaxis.set_major_formatter(lambda value, _: _text(value))

    return svg(draw, name)


def _alone(values: NDArray[np.float64]) -> list[int]:
    """Which points have no neighbour that a line could lead to."""
    there = np.pad(~np.isnan(values), 1)
    found: list[int] = np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:]).tolist()
    return found


def _marks(ax: Axes, marks: Sequence[Mark], step: int) -> None:
    for what in dict.fromkeys(mark.what for mark in marks):
        for number, mark in enumerate(mark for mark in marks if mark.what == what):
            label = what if number == 0 else None
            ax.axvline(mark.at / step, color=BAD, linewidth=0.9, linestyle=(0, (2, 2)), label=label, zorder=1)


def _log(ax: Axes) -> None:
    low, high = ax.dataLim.intervaly
    ax.set_yscale("log")
    ax.set_ylim(max(low, 1e-3) / 1.3, max(high, 1e-3) * 1.3)
    narrow = high < 300 * max(low, 1e-3)  # one tick a decade would be too few
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    ax.yaxis.set_major_formatter(lambda value, _: _text(value))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _text(value: float) -> str:
    if value and abs(value) < 10:
        return f"{value:.3g}"
    return f"{value:,.0f}"
