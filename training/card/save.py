"""Writes the card into a run's folder: card.md, card.html, the pictures, and the learning curve for itself."""

from pathlib import Path

from export.file import write
from training.card.drawing import for_file, png, svg
from training.card.markdown import FOLDER, markdown, path_of
from training.card.names import Metrics
from training.card.page import page
from training.card.pictures import History, learning_curve, pictures
from training.scores.evaluate import Stretch


def save(folder: Path, metrics: Metrics, history: History, stretches: list[Stretch]) -> None:
    """metrics: as metrics.json; history: the rows of metrics.jsonl."""
    name = folder.resolve().name
    drawn = [(picture, svg(picture.draw, picture.title)) for picture in pictures(metrics, history, stretches)]
    (folder / FOLDER).mkdir(exist_ok=True)
    for picture, text in drawn:
        write(folder / path_of(picture), for_file(text).encode())
    if history:
        curve = learning_curve(metrics, history)
        write(folder / "curves.svg", for_file(svg(curve.draw, curve.title)).encode())
        write(folder / "curves.png", png(curve.draw))
    write(folder / "card.md", markdown(metrics, [picture for picture, _ in drawn], name).encode())
    write(folder / "card.html", page(metrics, drawn, name).encode())
