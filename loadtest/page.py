"""The report as one HTML page that carries everything in itself and asks no network for anything."""

from html import escape

from loadtest import charts
from loadtest.findings import KINDS, Counts, VerifyResult
from loadtest.page_style import CSS
from loadtest.ramp import Ramp
from loadtest.summary import Summary
from loadtest.timeline import Timeline

TITLES = {"offer": "Load test", "preload": "Preload", "drain": "Drain", "verify": "Verification", "ramp": "Ramp"}


def render(summary: Summary) -> str:
    """The whole page."""
    body = [_head(summary), _tiles(summary)]
    if summary.timeline is not None and summary.timeline.at:
        body.append(_charts(summary, summary.timeline))
    if summary.ramp is not None:
        body.append(_ramp(summary.ramp))
    if summary.verified is not None:
        body.append(_verified(summary.verified))
    body.append(_facts(summary))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_title(summary)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _title(summary: Summary) -> str:
    options = summary.facts.get("options")
    options = options if isinstance(options, dict) else {}
    topics = [options[name] for name in ("input_topic", "output_topic") if name in options]
    return escape(": ".join([TITLES.get(summary.mode, "Load test"), " to ".join(map(str, topics))]))


def _head(summary: Summary) -> str:
    kind = "verdict" if summary.passed else "verdict bad"
    return (
        f"<header>\n<h1>{_title(summary)}</h1>\n"
        f'<p class="muted">{escape(str(summary.facts.get("date", "")))} · {escape(summary.client)}</p>\n'
        f'<div class="{kind}">{escape(verdict(summary))}</div>\n</header>'
    )


def verdict(summary: Summary) -> str:
    """What came of it, in a sentence."""
    kills = f", over {summary.killed}" if summary.kills else ""
    if summary.ramp is not None and (summary.verified is None or summary.verified.passed):
        return f"{'✗' if summary.ramp.best is None else '✓'} {summary.ramp.verdict}"
    if summary.verified is not None:
        if not summary.passed:
            return f"✗ Verification FAILED{kills}"
        outputs = summary.verified.outputs
        once = "exactly once" if not outputs.duplicated else "at least once"
        return f"✓ {outputs.expected:,} outputs, each {once} and bit-identical to the offline replay{kills}"
    if summary.followed is None:
        return "✓ Offered; nothing was followed"
    return f"✓ All arrived{kills}; not verified" if summary.passed else f"✗ NOT ALL ARRIVED{kills}"


def _tiles(summary: Summary) -> str:
    tiles: list[tuple[str, str, str, str]] = []
    latency, timeline, offered = summary.latency_ms, summary.timeline, summary.offered
    if offered is not None:
        asked = f"{summary.rate:,.0f}/s asked" if summary.rate else "as fast as possible"
        tiles.append((_number(summary.offered_per_second), "events/s", f"offered, {offered.events:,} in all", asked))
    if summary.followed is not None:
        tiles.append(
            (_number(summary.events_per_second), "events/s", f"arrived, {summary.followed.events:,} in all", "")
        )
    if latency:
        others = ", ".join(f"{name} {_number(latency[name])}" for name in ("p90", "p999", "max"))
        tiles.append((_number(latency["p50"]), "ms", "median latency", f"99 % within {_number(latency['p99'])} ms"))
        tiles.append((_number(latency["p99"]), "ms", "p99 latency", others))
    if timeline is not None:
        lag = [value for value in timeline.lag if value is not None]
        memory = [value for value in timeline.memory if value is not None]
        if lag:
            tiles.append((f"{max(lag):,}", "events", "lag at most", f"{lag[-1]:,} at the end"))
        if summary.cpu_us_per_event is not None and timeline.cpu_seconds is not None:
            tiles.append(
                (_number(summary.cpu_us_per_event), "us", "CPU an event", f"{timeline.cpu_seconds:.1f} s of CPU in all")
            )
        if memory:
            tiles.append((_number(max(memory) / 1e6), "MB", "memory at most", f"{memory[-1] / 1e6:,.0f} at the end"))
    if summary.kills is not None:
        tiles.append((f"{summary.kills}", "kill" if summary.kills == 1 else "kills", "kill -9 and a restart", ""))
    cells = [
        f'<div class="tile"><b>{figure} <small>{unit}</small></b><span>{what}</span><span>{more}</span></div>'
        for figure, unit, what, more in tiles
    ]
    return f'<section class="tiles">\n{"".join(cells)}\n</section>'


def _charts(summary: Summary, timeline: Timeline) -> str:
    every = f"{timeline.interval:g} s"
    latencies = {name: getattr(timeline, name) for name in ("p50", "p90", "p99", "max")}
    rates = {"offered": timeline.offered, "arrived": timeline.arrived}
    unwatched = "Not measured: no process of the service was named (--pid) or started here (--serve)."
    drawn = [
        (
            "Latency over time",
            charts.over_time("Latency over time", timeline, latencies, "milliseconds", log=True),
            f"From an event's intended time to the reading of its output, of what arrived in each {every}.",
            "Not measured: what waits in a topic before the test has no latency.",
        ),
        (
            "Latency by percentile",
            charts.percentiles("Latency by percentile", summary.percentiles_ms),
            "Of the whole run. A service or a sender that stalls is charged for every event that was due meanwhile.",
            "Not measured.",
        ),
        (
            "Throughput",
            charts.over_time("Throughput", timeline, rates, "events a second"),
            "Offered: what the broker took. Arrived: outputs that a read_committed reader saw first.",
            "Not measured.",
        ),
        (
            "Lag",
            charts.over_time("Lag", timeline, {"lag": timeline.lag}, "events", whole=True),
            "Events in the input topic whose output was not seen yet.",
            "Not measured: nothing was followed.",
        ),
        (
            "CPU",
            charts.over_time("CPU", timeline, {"CPU": timeline.cpu}, "cores"),
            "User and system time of the service's processes.",
            unwatched,
        ),
        (
            "Memory",
            charts.over_time("Memory", timeline, {"memory": timeline.memory}, "MB", scale=1e-6),
            "Resident memory of the service's processes together.",
            unwatched,
        ),
    ]
    figures = [
        f"<figure><h3>{name}</h3>{chart}<figcaption>{caption if chart else otherwise}</figcaption></figure>"
        for name, chart, caption, otherwise in drawn
    ]
    return f'<h2>Over the run</h2>\n<section class="charts">\n{"".join(figures)}\n</section>'


def _ramp(ramp: Ramp) -> str:
    rows = []
    for step in ramp.steps:
        p99 = "nothing arrived" if step.p99_ms is None else f"{step.p99_ms:,.1f}"
        borne = "<td>yes</td>" if ramp.passes(step) else '<td class="bad">no</td>'
        rows.append(f"<tr><td>{step.rate:,.0f}</td><td>{p99}</td><td>{step.late_ms:,.1f}</td>{borne}</tr>")
    heads = "".join(f"<th>{name}</th>" for name in ("events/s", "p99, ms", "sender late, ms", "borne"))
    return (
        f"<h2>The rates that were tried</h2>\n<p>A rate is borne if all arrives and the p99 stays below "
        f"{ramp.limit_ms:,.0f} ms. The figures above are those of the highest such rate; the charts show all.</p>\n"
        f'<div class="table"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _verified(result: VerifyResult) -> str:
    topics = {"outputs": result.outputs} | ({"dead letters": result.letters} if result.letters is not None else {})
    heads = "".join(f"<th>{name}</th>" for name in ("", *topics))
    lines = "".join(_line(kind, list(topics.values())) for kind in ("expected", "seen", *KINDS))
    examples = "".join(f"<li><code>{escape(str(example))}</code></li>" for example in result.examples)
    unseen = ""
    if result.letters is None and result.dead:
        unseen = f" {result.dead:,} dead letters were expected and not looked for: no --dead-letter-topic."
    return (
        f"<h2>Verification</h2>\n<p>{result.events:,} input records, from the topic's beginning, were stepped offline "
        f"in {result.seconds:.1f} s and held against what stands in the output topic ({escape(result.delivery)})."
        f"{unseen}"
        f'</p>\n<div class="table"><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>\n'
        + (f"<ul>{examples}</ul>" if examples else "")
    )


def _line(kind: str, topics: list[Counts]) -> str:
    figures = [getattr(counts, kind) for counts in topics]
    cells = [f'<td class="bad">{n:,}</td>' if n and kind in KINDS else f"<td>{n:,}</td>" for n in figures]
    return f"<tr><td>{kind}</td>{''.join(cells)}</tr>"


def _facts(summary: Summary) -> str:
    told = []
    for name, value in summary.facts.items():
        if name == "options":
            continue  # the command says the same
        text = ", ".join(f"{n} {v}" for n, v in value.items()) if isinstance(value, dict) else str(value)
        shown = f"<code>{escape(text)}</code>" if name == "command" else escape(text)
        told.append(f"<dt>{escape(name)}</dt><dd>{shown}</dd>")
    if summary.offered is not None and summary.rate:
        told.append(
            f"<dt>schedule</dt><dd>an event was sent at most {summary.offered.late:.1f} ms after its time, "
            "and that is part of the latencies</dd>"
        )
    return f"<h2>What was run</h2>\n<dl>{''.join(told)}</dl>"


def _number(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"
