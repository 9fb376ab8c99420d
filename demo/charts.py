"""The report's charts: figures in, SVG text out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import NDArray

from demo.result import Learned
from demo.weather import hour
from loadtest.drawing import BAND, FIRST, INK, THIRD, svg

MODEL, NAIVE = FIRST, THIRD
WIDTH = 7.6  # inches
STYLE: Any = {
    "font.size": 11,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.fontsize": 10,
}


@dataclass(frozen=True)
class Window:
    """One stream over some days, as columns of equal length, each value beside what was said for it."""

    title: str
    unit: str
    time: NDArray[np.int64]  # [events] milliseconds since the epoch
    actual: NDArray[np.float64]
    said: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


def windows(panels: Sequence[Window]) -> str:
    """Actual against predicted with the interval, one panel under the other on one axis of time."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for number, (ax, panel) in enumerate(zip(axes, panels, strict=True)):
            time = np.array([hour(ms) for ms in panel.time.tolist()])
            ax.fill_between(time, panel.lower, panel.upper, color=BAND, linewidth=0, label="90 % interval")
            ax.plot(time, panel.said, color=MODEL, linewidth=1.3, label="predicted an hour before")
            ax.plot(time, panel.actual, "o", color=INK, markersize=2.4, markeredgewidth=0, label="actual")
            ax.set_title(panel.title, pad=6)
            ax.set_ylabel(panel.unit)
            if number == 0:
                ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0, columnspacing=1.4)
        _dates(axes[-1])
        axes[-1].set_xlim(hour(int(panels[0].time[0])), hour(int(panels[0].time[-1])))

    return svg(draw, "actual against predicted", (WIDTH, 2.0 * len(panels) + 0.5), STYLE)


def learning(curve: Sequence[Learned]) -> str:
    """Loss on the training and on the validation part over the seconds of training."""

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        ax.plot([p.seconds for p in curve], [p.loss for p in curve], color=NAIVE, linewidth=1.6, label="training part")
        checked = [(p.seconds, p.validation) for p in curve]
        ax.plot(*zip(*checked, strict=True), color=MODEL, linewidth=1.6, marker="o", markersize=3, label="validation")
        best = min(checked, key=lambda point: point[1])
        ax.plot(*best, "o", color=MODEL, markersize=8, fillstyle="none")
        ax.annotate(f"{best[1]:.3f}", best, (0, 9), textcoords="offset points", ha="center", color=INK)
        ax.margins(y=0.15)
        ax.set_xlabel("seconds of training")
        ax.set_ylabel("quantile loss")
        ax.legend(loc="upper right")

    return svg(draw, "loss over the training", (WIDTH, 2.9), STYLE)


def histogram(latencies: NDArray[np.float64], marks: dict[str, float]) -> str:
    """How many predictions took how long. marks: names of percentiles with their milliseconds."""

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        end = max(float(np.percentile(latencies, 99.9)) * 1.1, max(marks.values()) * 1.1)
        ax.hist(np.minimum(latencies, end), bins=60, range=(0, end), color=MODEL, rwidth=0.9)
        top = ax.get_ylim()[1]
        for name, value in marks.items():
            ax.axvline(value, color=INK, linewidth=1, linestyle=(0, (3, 2)))
            ax.annotate(
                f"{name} {value:.0f} ms", (value, top * 1.15), (5, 0), textcoords="offset points", va="top", color=INK
            )
        ax.set_ylim(0, top * 1.17)  # room for the marks' names
        ax.set_xlim(0, end)
        ax.grid(visible=False, axis="x")
        ax.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
        ax.set_xlabel("milliseconds from the intended send to the prediction's arrival")
        ax.set_ylabel("predictions")

    return svg(draw, "latencies", (WIDTH, 2.9), STYLE)


def _dates(ax: Axes) -> None:
    locator = AutoDateLocator(  # type: ignore[no-untyped-call]
        minticks=4, maxticks=8
    )
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(
        ConciseDateFormatter(  # type: ignore[no-untyped-call]
            locator,
            formats=["%Y", "%b", "%a %-d %b", "%H:%M", "%H:%M", "%S"],
            zero_formats=["", "%Y", "%a %-d %b", "%a %-d %b", "%H:%M", "%H:%M"],
            offset_formats=["", "%Y", "%Y", "%Y", "%Y", "%Y"],
        )
    )
