"""What the user sees while the demo runs: a live picture at a terminal, plain lines elsewhere. Knows no figures."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PLAIN_INTERVAL = 5.0  # seconds between two plain lines of one step
REFRESH = 0.25  # seconds between two pictures


class Screen:
    """One console for the whole run."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)

    def head(self, text: str) -> None:
        """The beginning of a step."""
        self.console.print(Text(f"▸ {text}", style="bold"))

    def say(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self.console.print(Text(f"  {text}", style=style))

    def show(self, what: RenderableType) -> None:
        """Something larger that stays."""
        self.console.print(what, soft_wrap=False)

    @contextmanager
    def live(
        self, line: Callable[[], str], picture: Callable[[], RenderableType] | None = None, *, stays: bool = False
    ) -> Iterator[Callable[[], None]]:
        """Yields a function that is called often; now and then it shows the picture, or where there is no terminal the
        line. stays: the last picture."""
        last = time.monotonic()
        if not self.console.is_terminal:

            def tell() -> None:
                nonlocal last
                if time.monotonic() - last >= PLAIN_INTERVAL:
                    last = time.monotonic()
                    self.say(line())

            yield tell
            return
        draw = picture or (lambda: Text(f"  {line()}", style="dim"))
        with Live(console=self.console, auto_refresh=False, transient=not stays) as screen:

            def refresh() -> None:
                nonlocal last
                if time.monotonic() - last >= REFRESH:
                    last = time.monotonic()
                    screen.update(draw(), refresh=True)

            yield refresh
            screen.update(draw(), refresh=True)


def bar(done: float, total: float, words: str) -> RenderableType:
    """A bar with words behind it."""
    row = Table.grid(padding=(0, 1))
    row.add_column(width=36)
    row.add_column(no_wrap=True)
    row.add_row(ProgressBar(total=max(total, 1e-9), completed=min(done, total), width=36), words)
    return row


def stacked(*parts: RenderableType) -> RenderableType:
    """One under the other."""
    return Group(*parts)
