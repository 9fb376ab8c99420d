"""The run from the broker to the report: the only file that knows the order of things."""

from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from demo import judge, page, score, topics, weather
from demo.broker import kafka
from demo.children import started
from demo.flow import Flowed, flow, serving
from demo.learn import Model, boundaries, learn
from demo.machine import facts
from demo.result import Result
from demo.rivals import ar24
from demo.screen import Screen
from demo.topics import Names, Output
from demo.weather import Events
from demo.workspace import Options, Workspace
from loadtest.kafka import connect


def run(options: Options, workspace: Workspace, screen: Screen) -> bool:
    """The whole demo; whether the output topic was verified. Raises what errors.py draws, and the packages' own."""
    events = _events(options, workspace, screen)
    cut = boundaries(workspace.data)
    with ExitStack() as stack:
        broker = stack.enter_context(kafka(options, screen, workspace))
        cluster = stack.enter_context(closing(connect(broker.bootstrap_servers)))
        model = learn(events, workspace, options.train_seconds, screen)
        names = Names()
        stack.enter_context(topics.temporary(broker.bootstrap_servers, cluster, names))
        screen.head("statecast serve, exactly once")
        with serving(broker, names, workspace, screen) as service:
            flowed = flow(cluster, names, events, cut[1], options.rate, service, screen)
        screen.head("reading the output topic, and holding it against statecast replay")
        found = topics.read_all(cluster, names.output)
        replayed = _replay(workspace)
    result = _judge(events, cut, found, replayed, flowed, model, options)
    result.facts = facts(broker.told, model, options, flowed)
    result.write(workspace.summary)
    workspace.page.write_text(page.render(result))
    _tell(result, workspace, screen)
    return result.verdict.verified


def _events(options: Options, workspace: Workspace, screen: Screen) -> Events:
    events = weather.read(weather.installed_file(), options.hours)
    weather.write_csv(events, workspace.data)
    missing = int((events.value != events.value).sum())
    screen.head(f"{len(events):,} events of {len(events.streams())} streams: {weather.source()}")
    first, last = weather.hour(int(events.time[0])), weather.hour(int(events.time[-1]))
    screen.say(f"{first:%-d %B %Y} to {last:%-d %B %Y}; {missing:,} values are missing, and stay so")
    return events


def _replay(workspace: Workspace) -> list[tuple[str, Output]]:
    arguments = ["replay", "--model", str(workspace.model), "--input", str(workspace.data)]
    arguments += ["--key", "key", "--value", "value", "--time", "time", "--output", str(workspace.replayed)]
    with started("statecast replay", arguments, workspace.log("replay")) as child:
        child.finish()
    return read_lines(workspace.replayed)


def read_lines(path: Path) -> list[tuple[str, Output]]:
    """What `statecast replay` wrote, as (key, message)."""
    with path.open("rb") as lines:
        outputs = [topics.decode(line) for line in lines]
    return [(output.key, output) for output in outputs]


def _judge(
    events: Events,
    cut: tuple[int, int],
    found: list[tuple[str, Output]],
    replayed: list[tuple[str, Output]],
    flowed: Flowed,
    model: Model,
    options: Options,
) -> Result:
    verdict, tracks = judge.verify(events, replayed, found)
    streams = judge.streams(events, tracks, ar24(events, cut[0]), cut)
    scores = {key: score.score(stream) for key, stream in streams.items()}
    fitted = ar24(weather.plausible(events), cut[0])
    others = [score.score(replace(stream, ar24=fitted[key])) for key, stream in streams.items()]
    return Result(
        verdict=verdict,
        streams=streams,
        times={key: events.time[places] for key, places in events.streams().items()},
        scores=scores,
        variables=score.by_variable(scores, weather.VARIABLES),
        overall=score.together(list(scores.values()), same_unit=False),
        ar24_plausible=score.together(others, same_unit=False).scaled["ar24"],
        throughput=flowed.throughput,
        rate=options.rate,
        latencies=flowed.latencies,
        curve=model.curve,
        surprising=judge.surprising(events, tracks, streams),
        boundaries=cut,
    )


def _tell(result: Result, workspace: Workspace, screen: Screen) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("mean absolute error", "LSTM", "persistence", "AR(24)", "in 90 %"):
        table.add_column(name, justify="left" if name.startswith("mean") else "right")
    for name in weather.VARIABLES:
        part = result.variables[name]
        table.add_row(f"  {weather.NAMES[name]}, {weather.UNITS[name]}", *_figures(part.mae), f"{part.coverage:.1%}")
    table.add_row("  all, scaled", *_figures(result.overall.scaled), f"{result.overall.coverage:.1%}", style="bold")
    screen.head(f"what the output topic says about {result.overall.targets:,} scored values")
    screen.show(table)
    latency = result.latency_ms
    screen.say(f"{result.throughput.per_second:,.0f} events/s as fast as the service followed")
    screen.say(f"latency at {result.rate:,.0f} events/s: p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms")
    verdict = result.verdict
    if verdict.verified:
        words = f"every one of {verdict.events:,} events has exactly one prediction, bit-identical to statecast replay"
        screen.say(f"verified: {words}", "bold green")
    else:
        screen.say(f"NOT VERIFIED: {verdict.told}", "bold red")
        for example in verdict.examples:
            screen.say(f"  {example}", "red")
    screen.head(f"report: {workspace.page}")


def _figures(figures: dict[str, float]) -> list[str]:
    best = min(figures.values())
    return [f"{'* ' if figures[name] == best else ''}{figures[name]:.3f}" for name in score.PREDICTORS]
