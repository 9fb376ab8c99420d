"""The pages say what the code says: options of `train`, commands, messages, state, and links that lead somewhere."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
import typer

import statecast
from engine.columns import Columns, Outcome
from export.config import Config
from export.file import sign
from export.signature import Task
from stream.codec import Codec
from stream.formats import find
from tests.pages import table_of
from tests.service import ROOT
from training.options import TrainOptions

TRAINING, MESSAGES, MODEL = (ROOT / "docs" / f"{name}.md" for name in ("training", "messages", "model"))
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
    assert table_of(TRAINING, HEAD) == table(), f"{TRAINING}: put this in place of the table of options:\n\n{table()}\n"


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


def test_every_link_of_the_pages_leads_to_a_file() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    links = [(page, link) for page in pages for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())]
    assert (ROOT / "README.md", "docs/training.md") in links
    missing = [f"{link} ({page.name})" for page, link in links if not (page.parent / link).exists()]
    assert not missing, f"not there: {', '.join(missing)}"


def examples(page: Path) -> list[dict[str, Any]]:
    """The JSON objects of the page's indented blocks that are predictions."""
    found = re.findall(r"^ {4}(\{.*\})$", page.read_text(), re.MULTILINE)
    return [told for told in map(json.loads, found) if "prediction" in told]


@pytest.mark.parametrize("task", get_args(Task))
def test_the_example_of_each_task_has_the_fields_that_are_written(task: Task) -> None:
    outcomes = () if task == "number" else ("", "a", "b", "c", "d", "e")
    size = {"outcomes": len(outcomes), "embedding": 2 * (task == "symbol")}
    signature = sign(
        Config(hidden=4, task=task, **size),
        **{"symbol": {"symbols": outcomes}, "class": {"classes": outcomes}}.get(task, {}),
    )
    columns = Columns([(0, 0, 1)], [b"k"], *np.zeros((3, 1), np.int64), *np.zeros((2, 1, 1), np.float32))
    predicted = np.full((1, *signature.output_shape), 0.1, np.float32)
    outcome = Outcome(np.ones(1, np.int64), predicted, np.ones((1, 1), np.float32), np.ones(1, np.bool_))
    codec = Codec(find("json"), signature, "0" * 64, max_key_bytes=9, max_value_bytes=99)
    written = json.loads(codec.encode(columns, outcome, 0, 1)[1][0])
    assert [list(told) for told in examples(MESSAGES)][get_args(Task).index(task)] == list(written)


def test_every_state_tensor_stands_in_the_page_of_the_model() -> None:
    whole = Config(lags=(1, 24), experts=8, since_last=True, reach=True)
    symbols = Config(task="symbol", outcomes=9, embedding=8, recall=16)
    described = re.findall(r"^\| (`\w+`.*?) \| ", MODEL.read_text(), re.MULTILINE)
    missing = [t.input for t in (*whole.state, *symbols.state) if not any(f"`{t.input}`" in row for row in described)]
    assert not missing, f"{MODEL} says nothing of {', '.join(missing)}"
