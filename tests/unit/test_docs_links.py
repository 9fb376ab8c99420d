"""The pages' links lead somewhere: to a file that is there, and in it to a heading; tests that they name are there."""

import re
from pathlib import Path

import pytest

from tests.service import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docker/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


def anchors(page: Path) -> set[str]:
    """What a link may name behind its #, as GitHub makes it of headings; the second of one name ends with -1."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S), re.M):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(next(n for n in (name, *(f"{name}-{i}" for i in range(1, 99))) if n not in found))
    return found


def links(page: Path) -> list[str]:
    """The page's links to what lies in the project, images too."""
    return re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text())


def test_there_are_links_to_look_at() -> None:
    assert "docs/training.md" in links(ROOT / "README.md")
    assert any("#" in link for page in PAGES for link in links(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name}: {link}: there is no such file"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{page.name}: {link}: there is no such heading"


def test_every_page_stands_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    missing = {page.name for page in (ROOT / "docs").glob("*.md")} - {index.name} - set(links(index))
    assert not missing, f"{index} does not name {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    for name, test in re.findall(r"\b(tests/[\w/]+\.py)(?:::(\w+))?", page.read_text()):
        assert (ROOT / name).is_file(), f"{page.name}: {name} is not there"
        assert not test or f"def {test}(" in (ROOT / name).read_text(), f"{page.name}: {name} has no {test}"


def test_every_page_and_section_that_code_and_settings_name_is_there() -> None:
    files = [
        path
        for folder in ("stream", "engine", "export", "training", "loadtest", "localbroker", "docker", "benchmarks")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".yml", ".yaml", ".env", ".json", ".mk")
    ]
    named = {
        (path, *found) for path in files for found in re.findall(r"\b(docs/[\w-]+\.md)(#[\w-]+)?", path.read_text())
    }
    assert any(anchor for _, _, anchor in named)
    for path, page, anchor in named:
        assert (ROOT / page).is_file(), f"{path}: {page} is not there"
        assert not anchor or anchor[1:] in anchors(ROOT / page), f"{path}: {page}{anchor} is not there"
