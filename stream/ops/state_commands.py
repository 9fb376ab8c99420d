"""`statecast state`: the commands, and nothing of what they do."""

from pathlib import Path
from typing import Annotated

import typer

from stream.ops.access import ApplicationId, Config, Servers, identity_of, settings_of

app = typer.Typer(help="Look at the durable state of an application, and tidy it up.", rich_markup_mode=None)


@app.callback()
def _state() -> None:
    """Look at the durable state of an application, and tidy it up."""


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
