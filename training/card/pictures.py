"""The card's pictures: what each one shows. Knows metrics.json and matplotlib, not where they are put."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import dates, ticker
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from training.card.drawing import Draw, Palette
from training.card.names import LOSSES, NAMES, best_rival
from training.scores.evaluate import Stretch
from training.scores.numbers import intervals

Metrics = dict[str, Any]
History = list[dict[str, Any]]
WRITTEN = 12  # classes whose counts are written into the confusion matrix
NAMED = 30  # classes whose names are written beside it


@dataclass(frozen=True)
class Picture:
    """name: of its file, and its place in the page; title and caption: plain text."""

    name: str
    title: str
    caption: str
    draw: Draw


def pictures(metrics: Metrics, history: History, stretches: list[Stretch]) -> list[Picture]:
    """All that there is something to draw for, the learning curve first."""
    found = [learning_curve(metrics, history)] if history else []
    total = metrics["all"]
    if not total["events"]:
        return found
    if metrics["task"] == "number":
        found += [_stretch(metrics, stretch) for stretch in stretches]
        found.append(_calibration(total))
        if total["scaled"] > 1:
            found.append(_by_stream(metrics))
    if metrics["task"] == "symbol" and len(total["positions"]) > 1:
        found.append(_positions(total))
    if metrics["task"] == "class":
        found.append(_confusion(total))
    return found


def learning_curve(metrics: Metrics, history: History) -> Picture:
    """Loss by epoch on the training and on the validation part."""

    def draw(axes: Axes, palette: Palette) -> None:
        epochs = [row["epoch"] for row in history]
        for part, colour in (("train", palette.second), ("valid", palette.first)):
            label = {"train": "training part", "valid": "validation part"}[part]
            losses = [row[f"{part}_loss"] for row in history]
            axes.plot(epochs, losses, color=colour, marker="o", markersize=3, label=label)
        axes.axvline(history[-1]["best_epoch"], color=palette.muted, linestyle=":", label="kept")
        axes.set(xlabel="epoch", ylabel=LOSSES[metrics["task"]])
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        axes.legend()

    caption = "The loss after each epoch; kept are the weights with the smallest one on the validation part."
    return Picture("curves", "Learning curve", caption, _one(draw))


def _stretch(metrics: Metrics, stretch: Stretch) -> Picture:
    levels = metrics["model"]["levels"]
    share, (low, high) = max(intervals(levels).items(), default=(0, (0, 0)))

    def draw(axes: Axes, palette: Palette) -> None:
        when = stretch.time.astype("datetime64[ms]") if stretch.timed else stretch.time
        axes.fill_between(
            when, stretch.said[:, low], stretch.said[:, high], color=palette.first, alpha=0.2, linewidth=0,
            label=f"{share} % interval",
        )  # fmt: skip
        axes.plot(when, stretch.actual, color=palette.ink, linewidth=1, label="value")
        axes.plot(when, stretch.said[:, levels.index(0.5)], color=palette.first, linewidth=1.3, label="prediction")
        if stretch.timed:
            locator = dates.AutoDateLocator(maxticks=6)  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        axes.set(xlabel="" if stretch.timed else "event")
        _legend_above(axes)

    by = "" if stretch.rank == "only" else f", the {stretch.rank} of the streams by MASE"
    caption = f"The last events of the test part of {_short(stretch.name)}{by}. Each prediction is one event old."
    return Picture(f"stretch-{stretch.rank}", f"The {stretch.rank} stream: {_short(stretch.name)}", caption, _one(draw))


def _calibration(total: Metrics) -> Picture:
    def draw(axes: Axes, palette: Palette) -> None:
        nominal = [row["level"] for row in total["calibration"]]
        axes.plot([0, 1], [0, 1], color=palette.muted, linestyle=":", label="as promised")
        observed = [row["observed"] for row in total["calibration"]]
        axes.plot(nominal, observed, color=palette.first, marker="o", markersize=5, label="observed")
        axes.set(xlabel="quantile's level", ylabel="share of values at or below", xlim=(0, 1), ylim=(0, 1))
        axes.legend()

    caption = "How many values of the test part lie at or below each predicted quantile, against what it promises."
    return Picture("calibration", "Calibration", caption, _one(draw))


def _by_stream(metrics: Metrics) -> Picture:
    rival = best_rival(metrics)
    scored = [s for s in metrics["streams"].values() if s["model"]["mase"] is not None]
    scored.sort(key=lambda s: s["model"]["mase"])

    def draw(axes: Axes, palette: Palette) -> None:
        place = np.arange(1, len(scored) + 1)
        size = 5 if len(scored) <= 50 else 2
        for name, colour in ((rival, palette.second), ("model", palette.first)):
            mases = [s[name]["mase"] for s in scored]
            axes.plot(place, mases, "o", markersize=size, color=colour, label=NAMES[name])
        axes.set(xlabel="stream, by the model's MASE", ylabel="MASE")
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        if max(s["model"]["mase"] for s in scored) > 20:
            axes.set_yscale("log")
        _legend_above(axes)

    caption = f"Each stream's MASE: the model's, and that of the best baseline, {NAMES[rival]}."
    return Picture("streams", "MASE by stream", caption, _one(draw))


def _positions(total: Metrics) -> Picture:
    def draw(axes: Axes, palette: Palette) -> None:
        begin = [row["from"] for row in total["positions"]]
        for name, colour in (("ngram", palette.second), ("model", palette.first)):
            axes.step(begin, [row[name] for row in total["positions"]], where="post", color=colour, label=NAMES[name])
        axes.set(xlabel="symbol of its stream", ylabel="nats a symbol")
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
        _legend_above(axes)

    caption = "Nats by the symbol's place in its stream, over stretches with equally many symbols of the test part."
    return Picture("positions", "Nats by position", caption, _one(draw))


def _confusion(total: Metrics) -> Picture:
    counts, names = np.array(total["confusion"]), total["classes"]

    def draw(axes: Axes, palette: Palette) -> None:
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axes.grid(False)
        size = len(names)
        for i in range(size):
            for j in np.flatnonzero(counts[i]).tolist():
                axes.add_patch(_cell(j, i, palette.first, float(share[i, j])))
                if size <= WRITTEN:
                    ink = palette.card if share[i, j] > 0.5 else palette.ink
                    axes.text(j, i, str(counts[i, j]), ha="center", va="center", color=ink, fontsize=10)
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), xlabel="the model said", ylabel="it was")
        if size <= NAMED:
            labels = [_short(name, 14) for name in names]
            axes.set_xticks(range(size), labels, rotation=90 if size > 4 else 0)
            axes.set_yticks(range(size), labels)

    caption = "Counts of the test part; a darker cell holds more of its row."
    return Picture("confusion", "Confusion matrix", caption, _one(draw))


def _cell(column: int, row: int, colour: str, share: float) -> Rectangle:
    return Rectangle((column - 0.5, row - 0.5), 1, 1, color=colour, alpha=0.1 + 0.9 * share, linewidth=0)


def _one(draw: Callable[[Axes, Palette], None]) -> Draw:
    """On a single pair of axes."""
    return lambda figure, palette: draw(figure.add_subplot(), palette)


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, handlelength=1.4)


def _short(name: str, most: int = 40) -> str:
    return name if len(name) <= most else name[: most - 3] + "..."
