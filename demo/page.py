"""The report: one HTML page that carries everything in itself and asks no network for anything."""

from collections.abc import Iterable
from html import escape

import numpy as np

from demo import charts
from demo.page_style import CSS
from demo.result import Result
from demo.score import PREDICTORS, Score, shifted
from demo.weather import NAMES, UNITS, VARIABLES, hour, title, variable

SHOWN = ("EWR.temp", "JFK.dewp", "LGA.humid", "JFK.wind_speed", "EWR.pressure")
DAYS = 5
Row = list[str | tuple[str, str]]  # cells: the text, or (text, CSS class)
TITLES = {"model": "LSTM", "persistence": "persistence", "ar24": "AR(24)"}


def render(result: Result) -> str:
    """The whole page."""
    body = [_head(result), _tiles(result), _errors(result), _windows(result), _surprising(result)]
    body += [_curve(result), _latency(result), _facts(result)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>statecast: the demo's report</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _head(result: Result) -> str:
    verdict = result.verdict
    if verdict.verified:
        words = f"✓ {verdict.events:,} events, each with exactly one prediction, bit-identical to the offline replay"
        told = f'<div class="verdict">{words}</div>'
    else:
        examples = escape("; ".join(verdict.examples))
        told = f'<div class="verdict bad">✗ NOT verified: {verdict.told} ({examples})</div>'
    first, last = (hour(min(int(f(t)) for t in result.times.values())) for f in (np.min, np.max))
    return (
        "<header>\n<h1>The next hour's weather, predicted event by event</h1>\n"
        f'<p class="muted">{len(result.streams)} streams of hourly weather at New York\'s airports, '
        f"{first:%-d %B %Y} to {last:%-d %B %Y}, went through Apache Kafka and an LSTM that keeps one state per "
        f"stream. It was trained on the time before {hour(result.boundaries[0]):%-d %B} and is scored on the "
        f"{result.overall.targets:,} values from {hour(result.boundaries[1]):%-d %B} on.</p>\n{told}\n</header>"
    )


def _tiles(result: Result) -> str:
    scaled, latency = result.overall.scaled, result.latency_ms
    rivals = f"persistence {_figure(scaled['persistence'], 3)}, AR(24) {_figure(scaled['ar24'], 3)}"
    tiles = [
        (_figure(scaled["model"], 3), "", "scaled error; lower is better", rivals),
        (_figure(100 * result.overall.coverage, 1), "%", "of the values were inside the 90 % interval", ""),
        (f"{result.throughput.per_second:,.0f}", "events/s", "from send to committed prediction, exactly once", ""),
        (
            _figure(latency.get("p50"), 0),
            "ms",
            f"median latency at {result.rate:,.0f} events/s",
            f"99 % within {_figure(latency.get('p99'), 0)} ms",
        ),
    ]
    cells = [
        f"<div class='tile'><b>{figure} <small>{unit}</small></b><span>{what}</span><span>{more}</span></div>"
        for figure, unit, what, more in tiles
    ]
    return f'<section class="tiles">\n{"".join(cells)}\n</section>'


def _errors(result: Result) -> str:
    rows: list[Row] = []
    for name in VARIABLES:
        score = result.variables[name]
        rows.append(
            [f"{NAMES[name]}, {UNITS[name]}", *_compared(score.mae, 3), *_compared(score.scaled, 3), _inside(score)]
        )
    overall = result.overall
    rows.append(["all, scaled", "", "", "", *_compared(overall.scaled, 3), _inside(overall)])
    heads = ["variable", *(TITLES[p] for p in PREDICTORS), *(TITLES[p] for p in PREDICTORS), "interval"]
    groups = [("", 1), ("mean absolute error", 3), ("scaled error", 3), ("in 90 %", 1)]
    return (
        "<h2>Errors</h2>\n<p>Mean absolute error of the prediction of the next event, on the same values for all. "
        "Persistence repeats the last value; AR(24) is a linear regression on the stream's last 24 values, fitted per "
        "stream on the same training part. Scaled errors are divided by the error of persistence on the training part, "
        "so that units can be averaged. ● marks the best.</p>\n" + _table(heads, rows, groups) + _note(result)
    )


def _note(result: Result) -> str:
    """What the data's one impossible value does to the comparison."""
    if round(result.ar24_plausible, 3) == round(result.overall.scaled["ar24"], 3):
        return ""
    model = _figure(result.overall.scaled["model"], 3)
    return (
        '<p class="muted note">The training part holds a wind of 1048 mph at Newark, and it was left there. '
        "It spoils the least squares of AR(24) for that one stream. Fitted without it, AR(24) has "
        f"{_figure(result.ar24_plausible, 3)} in all, against the LSTM's {model}.</p>"
    )


def _windows(result: Result) -> str:
    start = sum((result.boundaries[1], max(int(t[-1]) for t in result.times.values()))) // 2
    panels = []
    for key in SHOWN:
        if key not in result.streams:
            continue
        stream, time = result.streams[key], result.times[key]
        part = (time >= start) & (time <= start + DAYS * 86_400_000)
        if part.sum() < 2:
            continue
        columns = [
            c[part] for c in (stream.value, shifted(stream.prediction), shifted(stream.lower), shifted(stream.upper))
        ]
        panels.append(charts.Window(title(key), UNITS[variable(key)], time[part], *columns))
    caption = (
        f"The {DAYS} days from the middle of the scored part, times in UTC. What is drawn at an hour was said an hour "
        "before, when the stream's last event had been stepped. A gap is an hour or a value that the data lacks."
    )
    return _figure_of("Actual against predicted", charts.windows(panels) if panels else "", caption)


def _surprising(result: Result) -> str:
    rows: list[Row] = [
        [
            f"{title(s.key)}",
            f"{hour(s.time):%-d %b, %H:%M}",
            f"{s.actual:.1f} {UNITS[variable(s.key)]}",
            f"{s.said:.1f}",
            f"{s.lower:.1f} to {s.upper:.1f}",
            f"{s.surprise:.1f}",
            str(s.unseen) if s.unseen else "",
        ]
        for s in result.surprising
    ]
    heads = ["stream", "hour (UTC)", "actual", "predicted", "90 % interval", "surprise", "unseen"]
    return (
        "<h2>The most surprising events</h2>\n<p>A surprise of 3 is an event that the prediction before it held for "
        "one in a thousand, 4 for one in ten thousand. Unseen: how many hours just before had no value.</p>\n"
        + _table(heads, rows)
    )


def _curve(result: Result) -> str:
    drawn = charts.learning(result.curve) if result.curve else ""
    return _figure_of(
        "Learning curve",
        drawn,
        "The ring marks the weights that were kept and exported. Only the training part's loss is with dropout.",
    )


def _latency(result: Result) -> str:
    marks = {name: value for name, value in result.latency_ms.items() if name in ("p50", "p99")}
    drawn = charts.histogram(result.latencies, marks) if marks else ""
    caption = (
        f"The scored part was sent at a fixed {result.rate:,.0f} events/s, whatever the service did. Each prediction's "
        "time runs from the moment when its event was due until a read_committed reader had it. A commit at least "
        "every 0.1 s makes predictions visible."
    )
    return _figure_of("Latency", drawn, caption)


def _facts(result: Result) -> str:
    told = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in result.facts.items())
    return f"<h2>What was run</h2>\n<dl>{told}</dl>"


def _figure_of(heading: str, svg: str, caption: str) -> str:
    drawn = svg or "<p class='muted'>Nothing to draw.</p>"
    return f'<h2>{heading}</h2>\n<figure><div class="scroll">{drawn}</div><figcaption>{caption}</figcaption></figure>'


def _table(heads: Iterable[str], rows: list[Row], groups: Iterable[tuple[str, int]] = ()) -> str:
    """groups: a line above the heads, (text, columns) each."""
    lines = []
    for row in rows:
        pairs = [cell if isinstance(cell, tuple) else (cell, "") for cell in row]
        cells = "".join(f'<td class="{kind}">{text}</td>' if kind else f"<td>{text}</td>" for text, kind in pairs)
        lines.append(f'<tr class="sum">{cells}</tr>' if pairs[0][0].startswith("all,") else f"<tr>{cells}</tr>")
    above = "".join(f'<th colspan="{columns}">{text}</th>' for text, columns in groups)
    head = (f"<tr>{above}</tr>" if above else "") + f"<tr>{''.join(f'<th>{text}</th>' for text in heads)}</tr>"
    return f'<div class="table"><table><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table></div>'


def _compared(figures: dict[str, float], digits: int) -> Row:
    best = min(figures[name] for name in PREDICTORS)
    return [(_figure(figures[name], digits), "best" if figures[name] == best else "") for name in PREDICTORS]


def _inside(score: Score) -> str:
    return f"{_figure(100 * score.coverage, 1)} %"


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:,.{digits}f}"
