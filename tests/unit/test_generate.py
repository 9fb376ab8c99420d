"""`statecast generate`: what is drawn from a model of symbols, and how."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from engine.generate import Choice, GenerateError, generate, join, split
from engine.model import Model
from export.config import Config
from export.sample import random_file, random_model
from tests.service import command

SYMBOLS = ("", *"abcdefg")
CONFIG = Config(("symbol",), ("symbol",), 12, task="symbol", outcomes=len(SYMBOLS), embedding=4)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    random_file(path, CONFIG, seed=1, symbols=SYMBOLS, text="characters")
    return path


@pytest.fixture(scope="module")
def model(path: Path) -> Model:
    return Model(path)


def drawn(model: Model, prompt: str, choice: Choice, seed: int = 0, length: int = 50) -> str:
    return "".join(islice(generate(model, list(prompt), choice, np.random.default_rng(seed)), length))


def test_the_same_seed_draws_the_same_text(model: Model) -> None:
    assert drawn(model, "abc", Choice()) == drawn(model, "abc", Choice())
    assert drawn(model, "abc", Choice(), seed=1) != drawn(model, "abc", Choice(), seed=2)


def test_without_temperature_each_symbol_is_the_likeliest_after_all_before_it(model: Model) -> None:
    text = "abc" + drawn(model, "abc", Choice(temperature=0), length=20)
    x = np.array([SYMBOLS.index(letter) for letter in text], np.float32).reshape(-1, 1, 1)
    _, probabilities, _ = model.step(np.zeros((1, model.row_width), np.float32), x, np.ones_like(x))
    likeliest = probabilities[2:-1, 0, 0, 1:].argmax(-1) + 1
    assert text[3:] == "".join(SYMBOLS[i] for i in likeliest)


def test_a_long_prompt_is_read_in_several_calls_to_the_same_text(tmp_path: Path) -> None:
    path = tmp_path / "looked-up.onnx"
    random_file(path, replace(CONFIG, recall=16), seed=1, symbols=SYMBOLS, text="characters")
    model, prompt = Model(path), "abcdefggfedcba" * 10
    whole = drawn(model, prompt, Choice())
    model.most_events = 9
    assert drawn(model, prompt, Choice()) == whole


CHANCES = np.array([0.3, 0.05, 0.35, 0.1, 0.2], np.float32)  # the first is the unknown symbol's


def often(choice: Choice) -> np.ndarray:
    random = np.random.default_rng(0)
    return np.bincount([choice.draw(CHANCES, random) for _ in range(4000)], minlength=5) / 4000


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(), [0, 0.05, 0.35, 0.1, 0.2]),
        (Choice(temperature=0.5), [0, 0.05**2, 0.35**2, 0.1**2, 0.2**2]),
        (Choice(temperature=0), [0, 0, 1, 0, 0]),
        (Choice(temperature=1e-6), [0, 0, 1, 0, 0]),
        (Choice(top_k=2), [0, 0, 0.35, 0, 0.2]),
        (Choice(top_k=99), [0, 0.05, 0.35, 0.1, 0.2]),
        (Choice(top_p=0.7), [0, 0, 0.35, 0, 0.2]),
        (Choice(top_p=1e-9), [0, 0, 1, 0, 0]),
    ],
)
def test_symbols_are_drawn_as_often_as_they_should_be(choice: Choice, expected: list[float]) -> None:
    np.testing.assert_allclose(often(choice), np.array(expected) / sum(expected), atol=0.03)


def test_probabilities_of_nothing_are_not_drawn() -> None:
    sure = np.array([0, 0, 1, 0], np.float32)
    assert Choice().draw(sure, np.random.default_rng(0)) == 2


@pytest.mark.parametrize(
    ("unit", "text", "symbols", "joined"),
    [
        ("characters", "ab c", ["a", "b", " ", "c"], b"ab c"),
        ("words", " to  be\n", ["to", "be"], b"to be"),
        ("bytes", "é\n", ["c3", "a9", "0a"], "é\n".encode()),
        ("", "disk full\nreboot", ["disk full", "reboot"], b"disk full\nreboot"),
    ],
)
def test_a_text_is_cut_into_symbols_and_joined_again(unit: str, text: str, symbols: list[str], joined: bytes) -> None:
    assert split(text, unit) == symbols
    assert join(symbols, unit) == joined


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (Choice(temperature=-1), "--temperature -1: must be at least 0"),
        (Choice(top_k=0), "--top-k 0: must be at least 1"),
        (Choice(top_p=1.5), "--top-p 1.5: must be greater than 0 and at most 1"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(model: Model, choice: Choice, told: str) -> None:
    with pytest.raises(GenerateError, match=told):
        generate(model, ["a"], choice, np.random.default_rng(0))


def test_the_command_writes_prompt_and_continuation_and_the_same_seed_the_same(path: Path) -> None:
    given = ("generate", "--model", str(path), "--prompt", "gab", "--length", "30", "--seed", "7", "--top-p", "0.9")
    first, second = command(*given), command(*given)
    assert first.returncode == 0
    assert first.stdout == second.stdout
    assert first.stdout.startswith("gab")
    assert len(first.stdout) == 34
    assert set(first.stdout[:-1]) <= set(SYMBOLS[1:])


def test_other_models_are_refused_in_one_line(tmp_path: Path) -> None:
    random_model(tmp_path / "number.onnx", hidden=4)
    result = command("generate", "--model", str(tmp_path / "number.onnx"), "--prompt", "a")
    assert result.returncode == 2
    assert result.stderr == "statecast: --model: its task is number; only a model of task symbol generates\n"


def test_an_empty_prompt_and_a_clock_are_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(GenerateError, match="--prompt: is empty"):
        generate(model, [], Choice(), np.random.default_rng(0))
    clocked = Config(("symbol",), ("symbol",), 4, task="symbol", outcomes=8, embedding=4, calendar=("hour",))
    random_file(tmp_path / "clock.onnx", clocked, symbols=SYMBOLS)
    with pytest.raises(GenerateError, match="goes by the time of events"):
        generate(Model(tmp_path / "clock.onnx"), ["a"], Choice(), np.random.default_rng(0))
