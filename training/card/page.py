"""The card as one HTML file, pictures and all. Knows the card's blocks; light and dark by the reader's preference."""

from html import escape

from training.card.content import Section, sections, tiles
from training.card.drawing import for_page
from training.card.names import Metrics, no_worse
from training.card.pictures import Picture
from training.card.tables import Table
from training.card.verdict import verdict
from training.scores.evaluate import JUDGED

CSS = """
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #ffffff; --line: #e4e4e0; --ink: #1b1d21; --muted: #5d636d; --grid: #ececea;
  --first: #1f63c9; --second: #b26a00; --good: #16724a; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #121417; --card: #1a1d21; --line: #2c3138; --ink: #eceef1; --muted: #a3abb6; --grid: #282d33;
    --first: #6fa8ff; --second: #e0a44a; --good: #5fd39b; --bad: #ff8f86;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
}
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 .5rem; max-width: 54rem; overflow-wrap: anywhere; }
h1.good { border-left: .3rem solid var(--good); padding-left: .8rem; }
h1.bad { border-left: .3rem solid var(--bad); padding-left: .8rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: 1rem; margin: 0 0 .3rem .4rem; overflow-wrap: anywhere; }
h4 { font-size: .95rem; margin: 1.2rem 0 .4rem; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
p { margin: .3rem 0 .9rem; }
ul { padding-left: 1.2rem; }
.muted, figcaption { color: var(--muted); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; margin: 1.4rem 0; }
.tile, figure, .table { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
.tile { padding: .9rem 1rem; }
.tile b { display: block; font-size: 1.6rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { display: block; color: var(--muted); font-size: .9rem; line-height: 1.4; }
.pictures { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; }
figure { margin: 0; padding: .8rem .6rem .7rem; min-width: 0; }
figcaption { padding: .3rem .4rem 0; font-size: .88rem; line-height: 1.45; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; font-family: inherit; }
.table { overflow-x: auto; width: fit-content; max-width: 100%; margin: .8rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .75rem; text-align: right; white-space: nowrap; border-top: 1px solid var(--line); }
th:first-child { text-align: left; font-weight: 500; }
thead th { border-top: 0; color: var(--muted); font-size: .88rem; font-weight: 600; }
code { font: .92em ui-monospace, "SF Mono", Menlo, "Liberation Mono", monospace; overflow-wrap: anywhere; }
@media (max-width: 48rem) {
  .pictures { grid-template-columns: 1fr; }
}
@media (max-width: 36rem) {
  main { padding: 1.5rem .9rem 3rem; }
  h1 { font-size: 1.25rem; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tile { padding: .7rem .75rem; }
  .tile b { font-size: 1.3rem; }
  figure { padding: .7rem .3rem .6rem; }
  th, td { padding: .4rem .5rem; }
  th:first-child { white-space: normal; min-width: 7rem; overflow-wrap: anywhere; }
}
"""


def page(metrics: Metrics, drawn: list[tuple[Picture, str]], name: str) -> str:
    """The page; its first line is the verdict. drawn: the pictures, each with its <svg>; name: of the run."""
    body = [
        f'<h1 class="{_mood(metrics)}">{escape(verdict(metrics))}</h1>',
        f'<p class="muted">Model card of <code>{escape(name)}</code></p>',
        _tiles(metrics),
        *(_section(section, drawn) for section in sections(metrics)),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Model card of {escape(name)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _mood(metrics: Metrics) -> str:
    """Whether the verdict is one of a model that beats all baselines."""
    measure, total = JUDGED[metrics["task"]], metrics["all"]
    if not total["events"] or total["model"][measure] is None:
        return "bad"
    return "bad" if no_worse(metrics, measure) else "good"


def _tiles(metrics: Metrics) -> str:
    each = [
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(what)}</span></div>' for value, what in tiles(metrics)
    ]
    return f'<div class="tiles">{"".join(each)}</div>' if each else ""


def _section(section: Section, drawn: list[tuple[Picture, str]]) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>", *(f"<p>{escape(text)}</p>" for text in section.paragraphs)]
    if section.items:
        parts.append("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in section.items) + "</ul>")
    parts += [_table(table) for table in section.tables]
    if section.pictures:
        parts.append('<div class="pictures">' + "\n".join(_figure(*picture) for picture in drawn) + "</div>")
    return "\n".join(parts)


def _figure(picture: Picture, svg: str) -> str:
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>"
    return f"<figure><h3>{escape(picture.title)}</h3>\n{for_page(svg)}\n{caption}</figure>"


def _table(table: Table) -> str:
    title = f"<h4>{escape(table.title)}</h4>" if table.title else ""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    rows = "\n".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in table.rows
    )
    table_ = f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>"
    return f'{title}<div class="table" tabindex="0">{table_}</div>'
