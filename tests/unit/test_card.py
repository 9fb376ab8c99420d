"""The model card: its first line, that each of its figures is in metrics.json, and that it stands by itself."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from export.config import Config
from export.sample import random_file
from training.card.facts import facts
from training.card.page import page
from training.card.save import save
from training.card.tables import printed
from training.card.verdict import verdict
from training.data import Events
from training.scores.evaluate import evaluate
from training.splits import TEST, TRAIN, VALID, Split

PROSE = {"90", "50"}  # what an interval is called
CHOICES = [
    {"name": "with lags", "valid_loss": 0.25, "chosen": True, "why": "It was the best on the validation part."},
    {"name": "without lags", "valid_loss": 0.375, "chosen": False, "why": ""},
]
HISTORY = [
    {"epoch": 1, "train_loss": 0.6, "valid_loss": 0.5, "best_epoch": 1},
    {"epoch": 2, "train_loss": 0.4, "valid_loss": 0.25, "best_epoch": 2},
]


@dataclass(frozen=True)
class Made:
    """A card and what it was made of."""

    folder: Path
    metrics: dict[str, Any]

    @property
    def text(self) -> str:
        return (self.folder / "card.md").read_text()

    @property
    def html(self) -> str:
        return (self.folder / "card.html").read_text()


def of_numbers() -> tuple[Events, Config, dict[str, Any]]:
    random = np.random.default_rng(0)
    names = ["oil", "gas", '<b>$x_1$ & "y"</b>|`z`']
    values = random.normal(size=(200, 3)).cumsum(0).reshape(-1, 1)
    keys = [name.encode() for name in names]
    events = Events(keys, np.tile(np.arange(3), 200), np.repeat(np.arange(200) * 3_600_000, 3), values, ("v",), True)
    return events, Config(("v",), ("v",), hidden=4, scaling="stream", lags=(1, 2)), {}


def of_symbols() -> tuple[Events, Config, dict[str, Any]]:
    values = np.array([0, 1, 2, 1, 0] * 40, float)[:, None]
    events = Events([b"text"], np.zeros(200, int), np.arange(200), values, ("v",), False, symbols=("a", "b", "c"))
    config = Config(("v",), ("v",), hidden=4, task="symbol", outcomes=4, embedding=2)
    return events, config, {"symbols": ("", "a", "b", "c"), "text": "characters"}


def of_classes() -> tuple[Events, Config, dict[str, Any]]:
    random = np.random.default_rng(0)
    label = np.repeat([0, 1], 100)
    values = (label + random.normal(size=200))[:, None]
    events = Events(
        [b"s0", b"s1"], label, np.tile(np.arange(100), 2), values, ("v",), False, label=label, classes=("no", "yes")
    )
    config = Config(("v",), ("class",), hidden=4, task="class", outcomes=2)
    return events, config, {"classes": ("no", "yes"), "per": "event"}


@pytest.fixture(scope="module", params=[of_numbers, of_symbols, of_classes])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    events, config, more = request.param()
    folder = tmp_path_factory.mktemp("card")
    signature = random_file(folder / "m.onnx", config, parity=1.5e-6, **more)
    place = np.arange(len(events)) % 100 if events.classes else np.arange(len(events)) * 100 // len(events)
    part = np.where(place < 70, TRAIN, np.where(place < 80, VALID, TEST)).astype(np.int8)
    found = evaluate(folder / "m.onnx", events, Split(part, None, None), 2)
    metrics = {
        **found.scores,
        "model": facts(signature),
        "choices": CHOICES,
        "notes": ["3 events came twice and were left out."],
        "training": {"epochs": 2, "best_epoch": 2, "stopped": "patience", "message": ""},
        "seconds": {"train": 12.3},
    }
    save(folder, metrics, HISTORY, found.stretches)
    return Made(folder, json.loads(msgspec.json.encode(metrics)))


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    else:
        yield value


def test_every_figure_of_the_card_is_in_the_metrics(made: Made) -> None:
    known = set(PROSE)
    text = made.text
    for value in leaves(made.metrics):
        if isinstance(value, str):
            known |= set(re.findall(r"\d[\d.,]*", value))
        elif value is not None and not isinstance(value, bool):
            known |= {f"{value:,}", f"{value:.4g}", f"{value:g}", f"{value:.1e}", f"{value:.1%}"[:-1], f"{value:.0f}"}
    for name in [*made.metrics["streams"], made.folder.name]:
        text = text.replace(re.sub(r"([\\|*_`<[])", r"\\\1", name), "").replace(name, "")
    shown = re.findall(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]\d+)?", re.sub(r"!\[.*", "", text))
    assert len(shown) > 15
    assert set(shown) <= known


def test_the_first_line_is_the_verdict_in_text_and_page(made: Made) -> None:
    assert made.text.splitlines()[0] == f"# {verdict(made.metrics)}"
    found = re.search(r"<body>.*?>(?P<first>[^<>\n]+)<", made.html, re.DOTALL)
    assert found is not None
    assert found["first"] == verdict(made.metrics)


def test_the_card_tells_what_was_chosen_and_what_the_data_was_like(made: Made) -> None:
    for text in (made.text, made.html):
        for told in ("with lags. It was the best", "0.375", "3 events came twice", "epoch 2", "12 s", "1.5e-06"):
            assert told in text, told


def test_the_page_needs_no_other_file_and_is_well_formed(made: Made) -> None:
    assert not re.search(r"(src|href)=\"(?!#)", made.html)
    assert "url(http" not in made.html
    assert "prefers-color-scheme: dark" in made.html
    assert 'name="viewport"' in made.html
    assert not re.search(r"#0[1-6]0[1-6]0[1-6]", made.html)  # no colour that was only a placeholder
    parser = Balance()
    parser.feed(made.html)
    assert parser.open == []


def test_the_pictures_stand_beside_the_text_and_in_the_page(made: Made) -> None:
    shown = re.findall(r"!\[.*\]\((.*?)\)", made.text)
    expected = {
        "number": ["curves", "stretch-best", "stretch-median", "stretch-worst", "calibration", "streams"],
        "symbol": ["curves", "positions"],
        "class": ["curves", "confusion"],
    }[made.metrics["task"]]
    assert shown == [f"pictures/{name}.svg" for name in expected]
    for path in shown:
        drawn = (made.folder / path).read_text()
        assert drawn.startswith("<svg")
        assert "#ffffff" in drawn
    assert made.html.count("<svg") == len(expected)
    assert (made.folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_run_gives_the_same_bytes(made: Made, tmp_path: Path) -> None:
    for folder in (tmp_path / "a" / "RUN", tmp_path / "b" / "RUN"):
        folder.mkdir(parents=True)
        save(folder, made.metrics, HISTORY, [])
    for name in ("card.md", "card.html", "curves.svg", "curves.png"):
        assert (tmp_path / "a" / "RUN" / name).read_bytes() == (tmp_path / "b" / "RUN" / name).read_bytes(), name


def scored(task: str = "number", **figures: Any) -> dict[str, Any]:
    own = {"mae": 1.0, "mase": 0.9, "nats": 1.5, "accuracy": 0.95}
    rivals = {
        "number": ("persistence", "seasonal", "ar", "mlp"),
        "symbol": ("unigram", "ngram"),
        "class": ("majority",),
    }
    worse = {"mae": 2.0, "mase": 1.1, "nats": 2.0, "accuracy": 0.5}
    total = {"events": 10, "model": own, **{name: dict(worse) for name in rivals[task]}}
    for name, more in figures.items():
        total[name] = {**total.get(name, worse), **more}
    return {"task": task, "all": total}


def test_a_model_that_beats_all_baselines_is_said_to_and_the_best_of_them_is_named() -> None:
    told = verdict(scored(mlp={"mase": 0.95}))
    assert told.startswith("On the test part the model beats persistence, the seasonal naive forecast, ")
    assert told.endswith("MASE 0.9 against 0.95 of the best of them, the window MLP.")


def test_a_baseline_that_wins_is_named_first_and_a_tie_is_no_win() -> None:
    told = verdict(scored(ar={"mase": 0.8}, mlp={"mase": 0.9}))
    assert told == (
        "On the test part the model does not beat the linear autoregression (MASE 0.8) and the window MLP (MASE 0.9): "
        "its own MASE is 0.9; it beats persistence and the seasonal naive forecast."
    )


def test_a_baseline_that_wins_in_mae_alone_is_named_too() -> None:
    assert verdict(scored(ar={"mae": 0.7})).endswith(
        "In MAE it does not beat the linear autoregression (MAE 0.7): its own is 1."
    )


def test_symbols_are_judged_by_nats_and_classes_by_accuracy() -> None:
    assert "does not beat the n-gram (nats 1.4): its own nats is 1.5" in verdict(scored("symbol", ngram={"nats": 1.4}))
    told = verdict(scored("class", logistic={"accuracy": 0.98}))
    assert "does not beat the logistic regression (accuracy 98.0%): its own accuracy is 95.0%" in told


def test_nothing_scored_is_said_so() -> None:
    nothing = scored()
    nothing["all"]["events"] = 0
    assert verdict(nothing).startswith("Nothing was scored")
    assert verdict(scored(model={"mase": None})).startswith("There is no scaled error")


def test_a_card_of_an_empty_test_part_can_be_written(tmp_path: Path) -> None:
    events, config, _ = of_numbers()
    events.values[300:] = np.nan
    signature = random_file(tmp_path / "m.onnx", config)
    part = np.repeat([TRAIN, VALID, TEST], 200).astype(np.int8)
    found = evaluate(tmp_path / "m.onnx", events, Split(part, None, None), 2)
    metrics = {**found.scores, "model": facts(signature), "choices": [], "notes": [], "seconds": {"train": 1.0}}
    save(
        tmp_path,
        metrics | {"training": {"epochs": 1, "best_epoch": 1, "stopped": "time", "message": ""}},
        HISTORY,
        found.stretches,
    )
    assert (tmp_path / "card.md").read_text().startswith("# Nothing was scored")


def test_a_card_of_many_streams_lists_the_best_and_the_worst(made: Made) -> None:
    if made.metrics["task"] != "number":
        return
    own = next(iter(made.metrics["streams"].values()))
    streams = {f"stream {i}": {**own, "model": {**own["model"], "mase": float(i)}} for i in range(100)}
    html = page({**made.metrics, "streams": streams}, [], "RUN")
    listed = [int(i) for i in re.findall(r">stream (\d+)<", html)]
    assert listed == [*range(20), *range(80, 100)]
    assert "Of 100 streams" in html


def test_the_printed_table_has_a_line_for_the_model_and_each_rival(made: Made) -> None:
    lines = printed(made.metrics).splitlines()
    assert lines[1].startswith("model")
    assert len(lines) == {"number": 6, "symbol": 4, "class": 4}[made.metrics["task"]]
    assert max(map(len, lines)) <= 100


class Balance(HTMLParser):
    """The tags that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - its parent's
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
