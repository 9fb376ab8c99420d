"""The pages say what the code says: every option of `train`, and commands that can be typed as they stand."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import typer

import statecast
from tests.service import ROOT
from training.options import TrainOptions

TRAINING = ROOT / "docs" / "training.md"
PAGES = (ROOT / "README.md", TRAINING)
HEAD = "| option | default | meaning |"


def choices(declared: Any) -> tuple[Any, ...]:
    """What an option is one of, however deep its type says so."""
    if get_origin(declared) is Literal:
        return get_args(declared)
    return tuple(choice for part in get_args(declared) for choice in choices(part))


def table() -> str:
    """What docs/training.md has to say of the options."""
    lines = [HEAD, "|---|---|---|"]
    for flag in statecast.declared(TrainOptions):
        told = ", ".join(f"`{choice}`" for choice in choices(flag.type))
        default = {"False": "off"}.get(flag.default, flag.default)
        lines.append(f"| `--{flag.flag}` | {default} | {flag.help}{f': {told}' if told else ''} |")
    return "\n".join(lines)


def test_the_table_of_options_is_what_training_declares() -> None:
    found = re.search(rf"^{re.escape(HEAD)}\n(\|.*\n)*", TRAINING.read_text(), re.MULTILINE)
    there = "" if found is None else found[0].rstrip("\n")
    assert there == table(), f"{TRAINING}: put this in place of the table of options:\n\n{table()}\n"


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of each `statecast ...` in the page's indented blocks."""
    text = page.read_text().replace("\\\n", " ")
    for line in re.findall(r"^ {4}(statecast .*)$", text, re.MULTILINE):
        words = shlex.split(line, comments=True)
        yield words[1:-1] if words[-1] == "&" else words[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_can_be_typed(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [words for words in commands(page) if "..." not in words]
    assert any(words[0] == "train" for words in found)
    for words in found:
        monkeypatch.setattr("sys.argv", ["statecast", *words])
        statecast.register()
        asked: Any = typer.main.get_command(statecast.app)
        context = asked.make_context("statecast", list(words))
        name, command, rest = asked.resolve_command(context, list(words))
        given = command.make_context(name, rest, parent=context).params
        if name == "train":
            told = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k != "data" and v}
            TrainOptions(**told).check()
