"""Two runs side by side, from their JSON files: which is better, by how much, and whether that means anything."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

import orjson
from rich.console import Console
from rich.table import Table

from loadtest.errors import UsageError

Better = Literal["more", "less"]
Run = dict[str, Any]

# Options that say where, not what: two runs that differ in these alone carry the same load.
NAMES = {
    "bootstrap_servers", "input_topic", "output_topic", "dead_letter_topic", "create_topics", "json", "html",
    "serve_log", "serve_ready", "client", "pid", "examples", "verify", "timeout", "watch_interval", "batch",
}  # fmt: skip
# Options of the service: to compare them is what a comparison is for.
SERVICE = {"serve", "delivery", "model", "state_ttl", "poison_policy"}
ALIKE = 0.02  # a ratio nearer to 1 than this is called the same


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of both runs."""

    name: str
    unit: str
    better: Better
    values: tuple[float | None, float | None]

    @property
    def ratio(self) -> float | None:
        """The second over the first."""
        a, b = self.values
        return None if a is None or b is None or a == 0 else b / a

    @property
    def verdict(self) -> str:
        """Which is better, and how many times."""
        if self.ratio is None or self.ratio <= 0:
            return ""
        if abs(self.ratio - 1) < ALIKE:
            return "same"
        factor = max(self.ratio, 1 / self.ratio)
        return f"{'B' if (self.ratio > 1) == (self.better == 'more') else 'A'} {factor:.2f}x"


def compare(first: Path, second: Path, stream: TextIO | None = None) -> None:
    """Print both runs, on standard output by default. Raises UsageError where a file is no report."""
    a, b = read(first), read(second)
    console = Console(file=stream or sys.stdout, highlight=False, markup=False, soft_wrap=True)
    console.print(f"A  {first}  {a.get('date', '')}\nB  {second}  {b.get('date', '')}\n")
    table = Table("", "A", "B", "B/A", "better", box=None, pad_edge=False, header_style="")
    for column in table.columns[1:]:
        column.justify = "right"
    for figure in figures(a, b):
        ratio = "" if figure.ratio is None else f"{figure.ratio:.3f}"
        table.add_row(f"{figure.name}, {figure.unit}", *map(_number, figure.values), ratio, figure.verdict)
    table.add_row("passed", *("yes" if run["passed"] else "NO" for run in (a, b)))
    console.print(table)
    if told := differences(a, b):
        console.print("\ndiffers:")
        for name, (one, other) in told.items():
            console.print(f"  {name}: {_shown(one)} | {_shown(other)}")
    for warning in warnings(a, b):
        console.print(f"\nWARNING: {warning}")


def read(path: Path) -> Run:
    """A run. Raises UsageError where the file cannot be read, or is none."""
    try:
        run = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a file of `loadtest --json`") from None
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path}: is no JSON ({error}); give a file of `loadtest --json`") from None
    wanted = {"mode", "passed", "latency_ms", "events_per_second", "options", "versions", "machine"}
    missing = sorted(wanted - run.keys()) if isinstance(run, dict) else ["its object"]
    if missing:
        raise UsageError(
            f"{path}: is no report of a load test, {missing[0]} is missing; give a file of `loadtest --json`"
        )
    return dict(run)


def figures(a: Run, b: Run) -> list[Figure]:
    """Those that at least one of the runs has."""
    both: list[Figure] = []

    def add(name: str, unit: str, better: Better, of: Any) -> None:
        values = tuple(_float(of(run)) for run in (a, b))
        if values != (None, None):
            both.append(Figure(name, unit, better, (values[0], values[1])))

    add("highest rate", "events/s", "more", lambda run: (run.get("ramp") or {}).get("rate"))
    add("arrived", "events/s", "more", lambda run: run["events_per_second"])
    add("offered", "events/s", "more", lambda run: run.get("offered_per_second"))
    for name in ("p50", "p90", "p99", "p999", "max"):
        add(f"latency {name}", "ms", "less", lambda run, name=name: run["latency_ms"].get(name))
    add("CPU an event", "us", "less", lambda run: run.get("cpu_us_per_event"))
    add("memory at most", "MB", "less", lambda run: _most(run, "memory", 1e-6))
    add("lag at most", "events", "less", lambda run: _most(run, "lag", 1))
    return both


def differences(a: Run, b: Run) -> dict[str, tuple[Any, Any]]:
    """Whatever was not the same, by its name."""
    found = {}
    for group in ("options", "versions"):
        for name in sorted({*a[group], *b[group]} - {"json", "html", "client"}):
            values = a[group].get(name), b[group].get(name)
            if values[0] != values[1]:
                label = f"--{name.replace('_', '-')}" if group == "options" else name
                found[label] = values
    for name in ("mode", "client", "machine", "kills"):
        if a.get(name) != b.get(name):
            found[name] = a.get(name), b.get(name)
    return found


def warnings(a: Run, b: Run) -> list[str]:
    """Why the figures may not be held against each other."""
    told = []
    if a["mode"] != b["mode"]:
        told.append(f"A is a run of the mode {a['mode']}, B of {b['mode']}: they measure different things")
    if a["machine"] != b["machine"]:
        told.append("the machines differ: so do the figures, whatever was changed")
    if a.get("client") != b.get("client"):
        told.append(
            f"the load test sent and read with {a.get('client')} in A, {b.get('client')} in B: that is measured too"
        )
    options = {*a["options"], *b["options"]} - NAMES - SERVICE
    other = sorted(name for name in options if a["options"].get(name) != b["options"].get(name))
    if other:
        told.append(f"the load differs ({', '.join('--' + name.replace('_', '-') for name in other)})")
    told += [f"{name} did not pass: its figures are those of a broken run" for name, run in (("A", a), ("B", b))
             if not run["passed"]]  # fmt: skip
    return told


def _most(run: Run, column: str, scale: float) -> float | None:
    values = [value for value in (run.get("timeline") or {}).get(column, []) if value is not None]
    return max(values) * scale if values else None


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def _shown(value: Any) -> str:
    return "default" if value is None else str(value)
