"""`statecast deadletter`: the commands, and nothing of what they do."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.ops.access import Config, Servers, identity_of, settings_of

if TYPE_CHECKING:
    from stream.ops.letters import Selection
    from stream.settings import Settings

app = typer.Typer(help="Look at events that have no prediction, and put them back after a mend.", rich_markup_mode=None)

Topic = Annotated[
    str | None, typer.Option("--dead-letter-topic", help="the topic of dead letters [OUTPUT_TOPIC.dead-letters]")
]
Output = Annotated[str | None, typer.Option("--output-topic", help="of `serve`: its dead letters", metavar="TOPIC")]
Input = Annotated[
    str | None, typer.Option("--input-topic", help="letters of this input only [those of all]", metavar="TOPIC")
]
Codes = Annotated[
    list[str] | None, typer.Option("--code", help="letters with this code; may be given several times", metavar="CODE")
]
Partitions = Annotated[
    list[int] | None, typer.Option("--partition", help="of this partition; may be given several times", min=0)
]
Since = Annotated[
    str | None,
    typer.Option("--since", help="of records from this time on: seconds before now, or ISO 8601", metavar="WHEN"),
]
Key = Annotated[str | None, typer.Option("--key", help="of this stream; %XX stands for a byte", metavar="KEY")]
Prefix = Annotated[str | None, typer.Option("--key-prefix", help="of streams whose key begins so", metavar="KEY")]
Json = Annotated[bool, typer.Option("--json", help="JSON, one object a line")]


@app.callback()
def _deadletter() -> None:
    """Look at events that have no prediction, and put them back after a mend."""


@app.command("list")
def list_(
    dead_letter_topic: Topic = None,
    output_topic: Output = None,
    input_topic: Input = None,
    bootstrap_servers: Servers = None,
    code: Codes = None,
    partition: Partitions = None,
    key: Key = None,
    key_prefix: Prefix = None,
    since: Since = None,
    summary: Annotated[bool, typer.Option("--summary", help="only how many there are, by code")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="show the last so many", metavar="N")] = 100,
    json: Json = False,
    config: Config = None,
) -> None:
    """What lies in the dead-letter topic: place, time, code, key, where it came from, whether it was put back, why."""
    from stream.ops.deadletters import show_all, survey

    wanted = _selection((), code, partition, key, key_prefix, since, input_topic)
    settings = _settings(config, dead_letter_topic, output_topic, input_topic, bootstrap_servers)
    letters = survey(identity_of(settings, "deadletters"), settings.dead_letter_topic, wanted)
    show_all(letters, print, limit=limit, json=json, summary=summary)


@app.command()
def show(
    letter: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="as `list` tells it")],
    dead_letter_topic: Topic = None,
    output_topic: Output = None,
    input_topic: Input = None,
    bootstrap_servers: Servers = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="bytes of the value that are shown")] = 2000,
    out: Annotated[Path | None, typer.Option("--out", help="a file for the value's bytes", metavar="FILE")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """One dead letter: its headers, why it is one, where it came from, and its value."""
    from stream.ops import deadletters
    from stream.ops.letters import places

    (place,) = places([letter])
    settings = _settings(config, dead_letter_topic, output_topic, input_topic, bootstrap_servers)
    topic = settings.dead_letter_topic
    deadletters.show(identity_of(settings, "deadletters"), topic, place, print, limit=limit, out=out, json=json)


@app.command()
def retry(
    letters: Annotated[list[str] | None, typer.Argument(metavar="[PARTITION:OFFSET]...", help="these letters")] = None,
    dead_letter_topic: Topic = None,
    output_topic: Output = None,
    input_topic: Input = None,
    bootstrap_servers: Servers = None,
    code: Codes = None,
    partition: Partitions = None,
    key: Key = None,
    key_prefix: Prefix = None,
    since: Since = None,
    all: Annotated[bool, typer.Option("--all", help="every letter that was not put back yet")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="put them back; without it, only look")] = False,
    config: Config = None,
) -> None:
    """Put dead letters back at the end of the input that they came from, each once."""
    from stream.broker.clients import choose
    from stream.errors import UsageError
    from stream.ops.retry import retry

    chosen = letters or code or partition or key is not None or key_prefix or since
    if bool(chosen) == all:
        raise UsageError(
            "--all: goes with no choice of letters; leave out one of them"
            if all
            else "PARTITION:OFFSET: is missing; say which letters: by place, --code, --partition, --key, --key-prefix, "
            "--since, or --all"
        )
    wanted = _selection(letters or (), code, partition, key, key_prefix, since, input_topic)
    settings = _settings(config, dead_letter_topic, output_topic, input_topic, bootstrap_servers)
    identity = identity_of(settings, "deadletters")
    retry(choose(settings.kafka.client), identity, settings.dead_letter_topic, wanted, print, yes=yes)


def _settings(
    config: Path | None, topic: str | None, output: str | None, input: str | None, servers: str | None
) -> "Settings":
    from stream.errors import UsageError

    settings = settings_of(
        config, dead_letter_topic=topic, output_topic=output, input_topic=input, bootstrap_servers=servers
    )
    if not (settings.kafka.dead_letter_topic or settings.kafka.output_topic):
        raise UsageError("--dead-letter-topic: is missing; give its name, or that of the output topic (--output-topic)")
    return settings


def _selection(
    places: "list[str] | tuple[str, ...]",
    codes: list[str] | None,
    partitions: list[int] | None,
    key: str | None,
    prefix: str | None,
    since: str | None,
    topic: str | None,
) -> "Selection":
    from stream.ops import letters

    return letters.Selection(
        frozenset(codes or ()),
        frozenset(partitions or ()),
        letters.places(places),
        None if key is None else letters.key_of(key),
        letters.key_of(prefix or ""),
        letters.since(since, time.time()),
        topic or "",
    )
