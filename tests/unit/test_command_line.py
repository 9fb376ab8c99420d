"""What a user gets wrong is told in one line that names the thing, the value seen and the mend; no traceback."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from export.sample import random_model
from tests.service import ROOT, command

COMMANDS = ["serve", "loadtest", "train", "export", "replay", "inspect", "broker"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = command(name, "--help")
    assert result.returncode == 0
    assert f"Usage: statecast {name}" in result.stdout


def test_without_a_command_the_help_is_shown() -> None:
    result = command()
    assert result.returncode == 0
    assert all(name in result.stdout for name in COMMANDS)


def told(code: int, *arguments: str, **environment: str) -> str:
    result = command(*arguments, **environment)
    assert result.returncode == code, result.stderr
    assert result.stderr.startswith("statecast: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    return result.stderr


def test_an_unknown_option_is_told_with_where_to_look() -> None:
    line = told(2, "serve", "--nonsense")
    assert "--nonsense" in line
    assert "statecast serve --help" in line


def test_an_unknown_command_is_told() -> None:
    assert "nonsense" in told(2, "nonsense")


def a_folder(path: Path) -> None:
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("this is no model")


def unsigned(path: Path) -> None:
    random_model(path, hidden=4)
    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.save(model, str(path))


def from_the_future(path: Path) -> None:
    random_model(path, hidden=4)
    model = onnx.load(str(path))
    for entry in model.metadata_props:
        entry.value = entry.value.replace('"format":1', '"format":99')
    onnx.save(model, str(path))


def absent(path: Path) -> None: ...


NO_MODELS: dict[Callable[[Path], None], str] = {
    absent: "No such file",
    a_folder: "Is a directory",
    text: "is not an ONNX file",
    unsigned: "no statecast signature",
    from_the_future: "format 99",
}


@pytest.mark.parametrize("make", NO_MODELS, ids=lambda make: make.__name__)
def test_a_file_that_is_no_model_is_told(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    make(path)
    line = told(2, "inspect", str(path))
    assert NO_MODELS[make] in line
    assert str(path) in line


@pytest.mark.parametrize("name", ["serve", "replay", "loadtest"])
def test_every_command_that_takes_a_model_tells_what_is_none(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    unsigned(path)
    more = {
        "serve": ["--input-topic", "a", "--output-topic", "b"],
        "replay": ["--input", str(path), "--output", str(tmp_path / "out")],
        "loadtest": ["--input-topic", "a", "--output-topic", "b", "--verify", "--bootstrap-servers", "127.0.0.1:1"],
    }
    assert "no statecast signature" in told(2, name, "--model", str(path), *more[name])


DATA: dict[str, tuple[str, list[str], list[str]]] = {
    "empty": ("", ["--value", "v"], ["data.csv", "empty"]),
    "only a header": ("k,v\n", ["--value", "v"], ["data.csv"]),
    "no such column": ("k,v\na,1\n", ["--value", "w"], ["data.csv", "--value w", "k, v"]),
    "text in a number column": ("k,v\na,1\na,warm\n", ["--key", "k", "--value", "v"], ["data.csv", "line 3", "warm"]),
    "a time that is none": ("t,v\nsoon,1\n", ["--time", "t", "--value", "v"], ["data.csv", "line 2", "soon"]),
}


@pytest.mark.parametrize("name", DATA)
def test_data_that_cannot_be_read_is_told_with_its_place(name: str, tmp_path: Path) -> None:
    content, arguments, parts = DATA[name]
    path = tmp_path / "data.csv"
    path.write_text(content)
    line = told(2, "train", str(path), *arguments, "--out", str(tmp_path / "run"))
    assert all(part in line for part in parts), line


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "nowhere.csv" in told(2, "train", str(tmp_path / "nowhere.csv"), "--value", "v")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--commit-interval", "-1"], "--commit-interval"),
        (["--delivery", "twice"], "'exactly_once' or 'at_least_once'"),
        (["--memory-limit", "plenty"], "--memory-limit"),
        (["--http", "nowhere"], "must be HOST:PORT"),
        (["--http", "127.0.0.1:²"], "must be HOST:PORT"),
        (["--output-topic", "a"], "must be three topics"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_an_option_of_serve_with_a_wrong_value_is_told(arguments: list[str], says: str, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    random_model(model, hidden=4)
    line = told(2, "serve", "--model", str(model), "--input-topic", "a", "--output-topic", "b", *arguments)
    assert says in line


def test_a_table_in_the_environment_that_is_not_json_is_told() -> None:
    line = told(2, "serve", "--input-topic", "a", "--output-topic", "b", STATECAST_KAFKA__PROPERTIES="{")
    assert "environment" in line
    assert "kafka" in line
    assert "--config" not in line


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "statecast.toml"
    config.write_text('[kafka]\ninput_topic = "file"\noutput_topic = "file"\nclient = "file"\n')
    line = told(2, "serve", "--config", str(config), "--client", "flag", STATECAST_KAFKA__CLIENT="environment")
    assert "not 'flag'" in line
    assert "'environment'" in told(2, "serve", "--config", str(config), STATECAST_KAFKA__CLIENT="environment")
    assert "not 'file'" in told(2, "serve", "--config", str(config))


def test_a_misspelled_key_of_the_file_is_told(tmp_path: Path) -> None:
    config = tmp_path / "statecast.toml"
    config.write_text('[kafka]\ninput_topc = "a"\n')
    assert "kafka.input_topc" in told(2, "serve", "--config", str(config))


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    random_model(model, hidden=4)
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "statecast", "inspect", str(model)],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "No space left on device" in result.stderr
