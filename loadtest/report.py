"""What the user sees: progress while it runs, the summary at the end, the JSON file. Knows only figures."""

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from loadtest.errors import UsageError
from loadtest.findings import KINDS, VerifyResult
from loadtest.summary import Summary

PLAIN_INTERVAL = 2.0  # seconds between two plain lines of one thing


class Told:
    """Progress: bars on a terminal, else a plain line every two seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """stream: standard error by default."""
        self._stream = stream or sys.stderr
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, tuple[float, int]] = {}
        if self._stream.isatty():
            columns = (TextColumn("{task.description:>9}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bars = Progress(*columns, console=Console(file=self._stream), transient=True)

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def note(self, line: str) -> None:
        """One line that stays."""
        if self._bars is not None:
            self._bars.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=self._stream, flush=True)

    def count(self, what: str, done: int, total: int | None = None) -> None:
        """How far `what` (offered, arrived, verified) is."""
        if self._bars is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=total)
            self._bars.update(self._tasks[what], completed=done, total=total)
            return
        now = time.monotonic()
        then, before = self._said.setdefault(what, (now, 0))
        if now - then >= PLAIN_INTERVAL:
            of = "" if total is None else f" of {total:,}"
            self.note(f"{what}: {done:,}{of} ({(done - before) / (now - then):,.0f}/s)")
            self._said[what] = now, done


def show(summary: Summary, stream: TextIO | None = None) -> None:
    """The summary, a line per figure; on standard output by default."""
    console = Console(file=stream or sys.stdout, highlight=False, markup=False, soft_wrap=True)
    for name, text in _lines(summary):
        console.print(f"{name:<13} {text}", style=None if summary.passed or name != "verified" else "bold red")
    if summary.verified is not None:
        for example in summary.verified.examples:
            console.print(f"  {example}")


def check_writable(option: str, path: Path) -> None:
    """Raises UsageError where `write` could not write; leaves no file behind."""
    there = path.exists()
    try:
        path.open("ab").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise _not_writable(option, path, error) from None


def write(option: str, path: Path, content: bytes) -> None:
    """A file of the report. Raises UsageError where it cannot be written."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise _not_writable(option, path, error) from None


def as_json(summary: Summary) -> bytes:
    """The figures as the JSON file has them."""
    return orjson.dumps(summary.as_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _not_writable(option: str, path: Path, error: OSError) -> UsageError:
    return UsageError(f"--{option} {path}: cannot be written ({error.strerror}); give another path")


def _lines(summary: Summary) -> list[tuple[str, str]]:
    lines = []
    offered, followed = summary.offered, summary.followed
    if summary.ramp is not None:
        lines.append(("ramp", summary.ramp.verdict))
    if offered is not None:
        asked = f"{summary.rate:,.0f}/s asked" if summary.rate else "as fast as possible"
        lines.append(("offered", f"{offered.events:,} events, {_number(summary.offered_per_second)}/s ({asked})"))
        if summary.rate:
            lines.append(("", f"at most {offered.late:.1f} ms behind the schedule; that is part of the latencies"))
    if followed is not None:
        rest = "" if followed.complete else "; NOT ALL ARRIVED"
        lines.append(("arrived", f"{followed.events:,} predictions, {_number(summary.events_per_second)}/s{rest}"))
    latency = summary.latency_ms
    if latency:
        figures = "  ".join(f"{name} {value:,.1f}" for name, value in latency.items())
        backlog = "" if summary.rate else " (of a backlog: there was no schedule)"
        lines.append(("latency ms", f"{figures}{backlog}"))
    if (used := service_line(summary)) is not None:
        lines.append(("service", used))
    if summary.verified is not None:
        lines += _verified(summary.verified)
    return lines


def service_line(summary: Summary) -> str | None:
    """What the service took, and what was done to it; None where neither is known."""
    told = [] if summary.kills is None else [f"{summary.killed or 'no kill'} with -9"]
    timeline = summary.timeline
    if timeline is not None and timeline.cpu_seconds is not None:
        each = summary.cpu_us_per_event
        told.append(f"CPU {timeline.cpu_seconds:.1f} s" + ("" if each is None else f", {each:.1f} us an event"))
    memory = [] if timeline is None else [m for m in timeline.memory if m is not None]
    if memory:
        told.append(f"memory {memory[-1] / 1e6:,.0f} MB at the end, {max(memory) / 1e6:,.0f} MB at most")
    return "; ".join(told) or None


def _verified(result: VerifyResult) -> list[tuple[str, str]]:
    counts = {"": result.outputs} | ({"dead letters": result.letters} if result.letters else {})
    lines = []
    for name, of in counts.items():
        found = ", ".join(f"{getattr(of, kind):,} {kind}" for kind in KINDS)
        lines.append((name, f"{of.expected:,} expected, {of.seen:,} seen: {found}"))
    verdict = "every event has exactly its outcome" if result.passed else "FAILED"
    if result.passed and result.outputs.duplicated:
        verdict = "every event has its outcome, some more than once, as at_least_once allows"
    if result.letters is None and result.dead:
        lines.append(("", f"{result.dead:,} dead letters expected, not looked for: no --dead-letter-topic"))
    return [("verified", f"{verdict} ({result.events:,} records in {result.seconds:.1f} s)"), *lines]


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"
