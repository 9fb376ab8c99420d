"""What a run tells of itself while it goes on, for the one who watches. Knows neither torch nor files."""

import sys
from collections.abc import Callable
from typing import Any, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

Row = dict[str, float | int | str]  # an epoch, as metrics.jsonl has it; within an epoch what is known of it
Progress = Callable[[Row], None]


def silent(_: Any) -> None:
    """For who does not watch."""


class Watch:
    """Shows progress: on a terminal one line that changes, else one line for each epoch."""

    def __init__(self, file: TextIO | None = None, terminal: bool | None = None) -> None:
        """terminal: None finds out."""
        self.console = Console(file=file or sys.stderr, force_terminal=terminal, highlight=False, soft_wrap=True)
        self.live = Live(console=self.console, auto_refresh=True) if self.console.is_terminal else None
        self.last: Row = {}

    def __enter__(self) -> Self:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def epoch(self, row: Row) -> None:
        """An epoch is over."""
        self.last = row
        self._show(line(row))

    def within(self, row: Row) -> None:
        """An epoch goes on; nothing where there is no line that can change."""
        if self.live:
            shown = {name: self.last[name] for name in ("valid_loss", "best_epoch", "best_loss") if name in self.last}
            self._show(line(shown | row))

    def say(self, words: str) -> None:
        """Something beside the epochs, in one line that stays."""
        self.console.print(words, markup=False)

    def _show(self, words: str) -> None:
        if self.live:
            self.live.update(Text(words, no_wrap=True, overflow="ellipsis"))
        else:
            self.console.print(words, markup=False)


def line(row: Row) -> str:
    """A row in words, what matters most first: the end may be cut off where a terminal is narrow."""
    share = f" {row['share']:4.0%}" if "share" in row else ""
    left = f"at most {_duration(row['left_seconds'])} left" if row["left_seconds"] else "training is over"
    parts = [
        f"epoch {row['epoch']:>3}/{row['epochs']}{share}",
        f"{_duration(row['seconds'])}, {left}",
        f"training {row['train_loss']:.4f}",
    ]
    if "valid_loss" in row:
        parts.append(f"validation {row['valid_loss']:.4f}")
        parts.append(f"best {row['best_loss']:.4f} in epoch {row['best_epoch']}")
    return "  ".join([*parts, f"{row['events_per_second']:,.0f} events/s"])


def _duration(seconds: float | int | str) -> str:
    minutes, rest = divmod(round(float(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
