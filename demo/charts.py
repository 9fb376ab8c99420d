"""The report's charts: matplotlib figures as SVG text that takes its colours and its font from the page.

A colour is drawn as a placeholder and then replaced by one of the page's CSS variables, so that one drawing serves
light and dark. Knows nothing of the page but the names of those variables.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import NDArray

from demo.result import Learned
from demo.weather import hour

COLOURS = {  # placeholder -> CSS variable
    "#010101": "--ink",
    "#020202": "--muted",
    "#030303": "--grid",
    "#040404": "--model",
    "#050505": "--band",
    "#060606": "--naive",
}
INK, MUTED, GRID, MODEL, BAND, NAIVE = COLOURS
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text, in the page's font
    "font.size": 11,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.labelcolor": MUTED,
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

    return _svg(draw, 2.0 * len(panels) + 0.5, "actual")


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

    return _svg(draw, 2.9, "curve")


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

    return _svg(draw, 2.9, "latency")


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


def _svg(draw: Callable[[Figure], None], height: float, name: str) -> str:
    """A drawing of 7.6 inches' width as an <svg> element."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(7.6, height), layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<g id=\"[^\"]*\"", "<g", svg)  # the same ids stand in every figure; nothing refers to them
    svg = re.sub(r" ?font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r"<svg[^>]*viewBox=(\"[^\"]*\")[^>]*>", r'<svg viewBox=\1 role="img">', svg)
    svg = svg.replace("xlink:href", "href")
    for placeholder, variable in COLOURS.items():
        svg = svg.replace(placeholder, f"var({variable})")
    return svg
