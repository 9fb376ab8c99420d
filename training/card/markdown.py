"""The card as Markdown. Knows the card's blocks, and that its pictures are files beside it."""

from training.card.content import sections
from training.card.names import Metrics
from training.card.pictures import Picture
from training.card.tables import Table
from training.card.verdict import verdict

FOLDER = "pictures"


def markdown(metrics: Metrics, drawn: list[Picture], name: str) -> str:
    """The text; its first line is the verdict. name: what the run is called."""
    lines = [f"# {verdict(metrics)}", "", f"Model card of `{name}`."]
    for section in sections(metrics):
        lines += ["", f"## {section.title}"]
        for paragraph in section.paragraphs:
            lines += ["", _text(paragraph)]
        if section.items:
            lines += ["", *(f"- {_text(item)}" for item in section.items)]
        for table in section.tables:
            lines += ["", *_table(table)]
        if section.pictures:
            for picture in drawn:
                caption = f"**{_text(picture.title)}.** {_text(picture.caption)}"
                lines += ["", f"![{_text(picture.title)}]({path_of(picture)})", "", caption]
    return "\n".join(lines) + "\n"


def path_of(picture: Picture) -> str:
    """The picture's file, from the run's folder."""
    return f"{FOLDER}/{picture.name}.svg"


def _table(table: Table) -> list[str]:
    title = [f"**{table.title}**", ""] if table.title else []
    header, *rows = ["| " + " | ".join(_text(cell) for cell in line) + " |" for line in (table.header, *table.rows)]
    return [*title, header, "|---|" + "---:|" * (len(table.header) - 1), *rows]


def _text(text: str) -> str:
    """As it reads: names of streams may hold anything."""
    for mark in "\\|*_`<[":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")
