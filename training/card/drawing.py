"""matplotlib figures as SVG: for a page, whose colours and font they take, or as files that stand by themselves.

For a page a colour is drawn as a placeholder and then replaced by a CSS variable, so that one drawing serves light and
dark. Knows nothing of what is drawn.
"""

import io
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

WIDTH, HEIGHT = 5.2, 3.1  # inches; on a phone one unit of the drawing is about one pixel
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"


@dataclass(frozen=True)
class Palette:
    """What is drawn in which colour; the names are the page's CSS variables, too."""

    ink: str
    muted: str
    grid: str
    first: str
    second: str
    card: str


PLACEHOLDERS = Palette("#010101", "#020202", "#030303", "#040404", "#050505", "#060606")
LIGHT = Palette(
    ink="#1b1d21", muted="#5d636d", grid="#e4e4e0", first="#1f63c9", second="#b26a00", card="#ffffff"
)  # fmt: skip

Draw = Callable[[Figure, Palette], None]


def svg(draw: Draw, title: str) -> str:
    """A drawing as an <svg> element whose colours are placeholders; title: what it is to those who do not see it."""
    drawn = _saved(draw, PLACEHOLDERS, format="svg", transparent=True, metadata={"Date": None}).decode()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"<g id=\"[^\"]*\"", "<g", drawn)  # the same ids stand in every figure; nothing refers to them
    drawn = re.sub(r"(font: [\d.]+px) [^;\"]*", r"\1 inherit", drawn)
    label = escape(title).replace("\\", r"\\")
    head = rf'<svg xmlns="http://www.w3.org/2000/svg" viewBox=\1 role="img" aria-label="{label}">'
    return re.sub(r"<svg[^>]*viewBox=(\"[^\"]*\")[^>]*>", head, drawn).replace("xlink:href", "href").strip()


def for_page(drawn: str) -> str:
    """The drawing in the page's colours."""
    for name, placeholder in asdict(PLACEHOLDERS).items():
        drawn = drawn.replace(placeholder, f"var(--{name})")
    return drawn


def for_file(drawn: str) -> str:
    """The drawing on a white ground."""
    for name, placeholder in asdict(PLACEHOLDERS).items():
        drawn = drawn.replace(placeholder, getattr(LIGHT, name))
    return drawn.replace(">", f' style="background: {LIGHT.card}; font-family: {FONTS}">', 1) + "\n"


def png(draw: Draw) -> bytes:
    """The drawing as a picture on a white ground."""
    return _saved(draw, LIGHT, format="png", dpi=150)


def _saved(draw: Draw, palette: Palette, **how: Any) -> bytes:
    content = io.BytesIO()
    with mpl.rc_context(_style(palette)):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        draw(figure, palette)
        figure.savefig(content, **how)
    return content.getvalue()


def _style(palette: Palette) -> Any:
    return {
        "text.parse_math": False,  # a stream's name may hold a $
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "statecast",  # the same figures give the same bytes
        "font.size": 11.5,
        "axes.edgecolor": palette.muted,
        "axes.labelcolor": palette.muted,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": palette.grid,
        "grid.linewidth": 0.7,
        "axes.axisbelow": True,
        "xtick.color": palette.muted,
        "ytick.color": palette.muted,
        "text.color": palette.ink,
        "legend.frameon": False,
        "legend.fontsize": 10.5,
        "legend.labelcolor": palette.muted,
    }
