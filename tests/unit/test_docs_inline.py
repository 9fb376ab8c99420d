"""Commands inside of sentences and tables name commands and options that there are."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

import statecast
from tests.service import ROOT

PAGES = [ROOT / "README.md", ROOT / "docker" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def told(page: Path) -> set[str]:
    """Each `statecast ...` of the page that stands in backticks."""
    return set(re.findall(r"`(statecast [a-z][^`]*)`", page.read_text()))


def options(command: Any) -> set[str]:
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}


def test_there_are_such_commands() -> None:
    assert any("deadletter list" in text for page in PAGES for text in told(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_told_in_passing_is_there(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in told(page):
        _, name, *words = text.split()
        monkeypatch.setattr("sys.argv", ["statecast", name])
        statecast.register()
        found: Any = typer.main.get_command(statecast.app).commands.get(name)  # type: ignore[attr-defined]
        assert found is not None, f"{page.name}: `{text}`: there is no such command"
        for word in words:
            inner = getattr(found, "commands", {}).get(word)
            found = inner or found
            if re.match(r"--\w", word):
                flag = re.match(r"--[\w-]+", word)
                assert flag is not None
                assert flag[0] in options(found), f"{page.name}: `{text}`: there is no {flag[0]}"
