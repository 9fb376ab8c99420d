"""The live table: each stream's last event beside its prediction, and how it goes so far. Pictures only."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from demo.screen import bar, stacked
from demo.tally import Line
from demo.weather import UNITS, hour, variable

STRIKING = 3.0  # a surprise from here on, one event in a thousand, is shown in red


@dataclass(frozen=True)
class Flow:
    """How far a phase is."""

    what: str
    done: int
    total: int
    seconds: float  # since its beginning
    gain: float | None  # see Tally

    @property
    def rate(self) -> float:
        """Predictions a second so far."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def words(self) -> str:
        """All of it in one line."""
        gain = "" if self.gain is None else f", error {self.gain:.2f} of persistence's so far"
        return f"{self.what}: {self.done:,} of {self.total:,} predictions, {self.rate:,.0f}/s{gain}"

    @property
    def short(self) -> str:
        """What stands behind the bar."""
        gain = "" if self.gain is None else f", {self.gain:.2f} of naive's error"
        return f"{self.done:,} ({self.rate:,.0f}/s){gain}"


def picture(lines: Mapping[str, Line], flow: Flow) -> RenderableType:
    """The table over a bar; it fits into 80 columns."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for name in ("stream", "actual", "predicted", "surpr.", "next, 90 % interval", "error", "naive"):
        table.add_column(name, justify="left" if name == "stream" else "right", no_wrap=True)
    for key, line in lines.items():
        mae = line.mae
        table.add_row(
            key,
            f"{_number(line.actual)} {UNITS[variable(key)]:<3}",
            _number(line.said),
            _surprise(line.surprise),
            _next(line),
            "" if mae is None else Text(f"{mae[0]:.2f}", style="green" if mae[0] < mae[1] else "yellow"),
            "" if mae is None else f"{mae[1]:.2f}",
        )
    now = max((line.time for line in lines.values()), default=0)
    when = f"{hour(now):%d %B %Y, %H:%M} UTC" if now else "before the first event"
    return stacked(Text(when, style="bold"), table, bar(flow.done, flow.total, flow.short))


def _number(figure: float | None) -> str:
    return "-" if figure is None or np.isnan(figure) else f"{figure:.1f}"


def _next(line: Line) -> str:
    if line.prediction is None or line.lower is None or line.upper is None:
        return ""
    return f"{line.prediction:.1f} ({line.lower:.1f}..{line.upper:.1f})"


def _surprise(surprise: float | None) -> Text:
    if surprise is None:
        return Text("-")
    return Text(f"{surprise:.1f}", style="bold red" if surprise >= STRIKING else "")
