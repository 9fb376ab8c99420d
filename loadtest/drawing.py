"""matplotlib figures as SVG text that takes its colours and its font from the page it stands in.

A colour is drawn as a placeholder and then replaced by one of the page's CSS variables, so that one drawing serves
light and dark. Knows nothing of the page but the names of those variables, and nothing of what is drawn.
"""

import io
import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

COLOURS = {  # placeholder -> CSS variable
    "#010101": "--ink",
    "#020202": "--muted",
    "#030303": "--grid",
    "#040404": "--first",
    "#050505": "--second",
    "#060606": "--third",
    "#070707": "--fourth",
    "#080808": "--bad",
    "#090909": "--band",
}
INK, MUTED, GRID, FIRST, SECOND, THIRD, FOURTH, BAD, BAND = COLOURS
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text, in the page's font
    "font.size": 11.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "ytick.minor.size": 0,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "legend.labelcolor": MUTED,
}
WIDTH, HEIGHT = 5.2, 2.9  # inches; on a phone one unit of the drawing is about one pixel


def svg(
    draw: Callable[[Figure], None],
    name: str,
    size: tuple[float, float] = (WIDTH, HEIGHT),
    style: Any = MappingProxyType({}),
) -> str:
    """A drawing as an <svg> element. name: what it is to those who do not see it; size: inches; style: what differs
    from STYLE."""
    with mpl.rc_context({**STYLE, **style, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    drawn = text.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"<g id=\"[^\"]*\"", "<g", drawn)  # the same ids stand in every figure; nothing refers to them
    drawn = re.sub(r" ?font-family: [^;\"]*;?", "", drawn)
    drawn = re.sub(r"<svg[^>]*viewBox=(\"[^\"]*\")[^>]*>", rf'<svg viewBox=\1 role="img" aria-label="{name}">', drawn)
    drawn = drawn.replace("xlink:href", "href")
    for placeholder, variable in COLOURS.items():
        drawn = drawn.replace(placeholder, f"var({variable})")
    return drawn
