"""`statecast state`: the commands, and nothing of what they do."""

from pathlib import Path
from typing import Annotated

import typer

from stream.ops.access import ApplicationId, Config, Servers, identity_of, settings_of

app = typer.Typer(help="Look at the durable state of an application, mend, move and tidy it up.", rich_markup_mode=None)

KEY = "the stream's key; %XX stands for a byte"
Model = Annotated[
    Path | None, typer.Option("--model", help="whose changelog [the only one of the application]", metavar="MODEL.onnx")
]
Input = Annotated[str | None, typer.Option("--input-topic", help="of `serve` [the group's]", metavar="TOPIC")]
Partition = Annotated[int | None, typer.Option("--partition", help="of this one only", min=0, metavar="N")]
Json = Annotated[bool, typer.Option("--json", help="JSON, one object a line")]


@app.callback()
def _state() -> None:
    """Look at the durable state of an application, mend, move and tidy it up."""


@app.command()
def get(
    key: Annotated[str, typer.Argument(metavar="KEY", help=KEY)],
    application_id: ApplicationId,
    bootstrap_servers: Servers = None,
    model: Model = None,
    input_topic: Annotated[
        str | None,
        typer.Option("--input-topic", help="of `serve`: tell what the row lacks of it, too", metavar="TOPIC"),
    ] = None,
    partition: Partition = None,
    values: Annotated[bool, typer.Option("--values", help="the row's numbers, too, as JSON")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """One stream: its last event, its steps, how old what the changelog has of it is. The service may run."""
    from stream.ops.letters import key_of
    from stream.ops.look import get

    settings = settings_of(
        config, application_id=application_id, bootstrap_servers=bootstrap_servers, input_topic=input_topic
    )
    identity = identity_of(settings, "get")
    get(settings, identity, key_of(key), model=model, partition=partition, values=values, json=json, say=print)


@app.command("list")
def list_(
    application_id: ApplicationId,
    bootstrap_servers: Servers = None,
    model: Model = None,
    prefix: Annotated[str, typer.Option("--prefix", help="streams whose key begins so", metavar="KEY")] = "",
    partition: Partition = None,
    limit: Annotated[int, typer.Option("--limit", help="at most so many", min=1, metavar="N")] = 1000,
    json: Json = False,
    config: Config = None,
) -> None:
    """Streams, by partition and key, as the changelog has them. The service may run."""
    from stream.ops.letters import key_of
    from stream.ops.look import listing

    settings = settings_of(config, application_id=application_id, bootstrap_servers=bootstrap_servers)
    identity, start = identity_of(settings, "list"), key_of(prefix)
    listing(settings, identity, model=model, prefix=start, partition=partition, limit=limit, json=json, say=print)


@app.command()
def export(
    application_id: ApplicationId,
    out: Annotated[Path, typer.Option("--out", help="where to write; nothing may be there", metavar="FILE")],
    bootstrap_servers: Servers = None,
    model: Model = None,
    input_topic: Input = None,
    config: Config = None,
) -> None:
    """All rows of a stopped application, and where it stood, into one file."""
    from stream.ops.exporting import export

    settings = settings_of(
        config, application_id=application_id, bootstrap_servers=bootstrap_servers, input_topic=input_topic
    )
    export(settings, identity_of(settings, "export"), out, model=model, say=print)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="of `state export`")],
    application_id: ApplicationId,
    model: Annotated[Path, typer.Option("--model", help="the model that wrote the rows", metavar="MODEL.onnx")],
    bootstrap_servers: Servers = None,
    input_topic: Annotated[
        str | None, typer.Option("--input-topic", help="the topic to go on with [the file's]", metavar="TOPIC")
    ] = None,
    position: Annotated[
        list[str] | None,
        typer.Option("--position", help="of another topic: where a partition goes on", metavar="PARTITION=OFFSET"),
    ] = None,
    same_offsets: Annotated[
        bool, typer.Option("--same-offsets", help="of another topic: its offsets are those of the first one")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="delete the state that the application has")] = False,
    config: Config = None,
) -> None:
    """The state in a file becomes that of an application that is stopped, or new. Then it is read back."""
    from stream.ops.importing import import_
    from stream.ops.placing import positions_of

    settings = settings_of(
        config, application_id=application_id, bootstrap_servers=bootstrap_servers, input_topic=input_topic
    )
    import_(
        settings,
        identity_of(settings, "import"),
        file,
        model=model,
        same_offsets=same_offsets,
        positions=positions_of(position or []),
        replace=replace,
        say=print,
    )


@app.command()
def reset(
    application_id: ApplicationId,
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", help=KEY)] = None,
    bootstrap_servers: Servers = None,
    model: Model = None,
    input_topic: Input = None,
    all: Annotated[bool, typer.Option("--all", help="every stream that the changelog has")] = False,
    prefix: Annotated[str, typer.Option("--prefix", help="with --all: whose key begins so", metavar="KEY")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="with --all: do it; without it, only count")] = False,
    config: Config = None,
) -> None:
    """Streams begin anew, by a null record in the input topic. The service may run."""
    from stream.ops.letters import key_of
    from stream.ops.resetting import reset

    settings = settings_of(
        config, application_id=application_id, bootstrap_servers=bootstrap_servers, input_topic=input_topic
    )
    identity, names = identity_of(settings, "reset"), [key_of(key) for key in keys or []]
    reset(settings, identity, names, model=model, all=all, prefix=key_of(prefix), yes=yes, say=print)


@app.command()
def prune(
    application_id: ApplicationId,
    bootstrap_servers: Servers = None,
    keep: Annotated[
        list[Path] | None, typer.Option("--keep", help="a model whose changelog stays, may be given several times")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="delete what is not kept; without it, only look")] = False,
    all: Annotated[bool, typer.Option("--all", help="delete even if no changelog is left")] = False,
    config: Config = None,
) -> None:
    """List the changelogs of an application, and delete those of models that are no longer served."""
    from stream.ops.prune import prune

    settings = settings_of(config, application_id=application_id, bootstrap_servers=bootstrap_servers)
    prune(identity_of(settings, "prune"), keep or [], yes=yes, all=all, say=print)
