"""Options of durable state with a value that cannot be: told in one line before anything is connected."""

from pathlib import Path

import pytest

from export.sample import random_model
from tests.service import command


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--checkpoint-interval", "0"], "--checkpoint-interval"),
        (["--state-ttl", "-1"], "--state-ttl"),
        (["--start", "middle"], "'earliest' or 'latest'"),
        (["--warmup", "nope"], "--warmup"),
        (["--warmup", "0"], "--warmup"),
        (["--snapshot-interval", "0"], "--snapshot-interval"),
    ],
)
def test_an_option_of_state_with_a_wrong_value_is_told(tmp_path: Path, arguments: list[str], says: str) -> None:
    random_model(tmp_path / "model.onnx", hidden=4)
    nowhere = ["--bootstrap-servers", "127.0.0.1:9", "--input-topic", "in", "--output-topic", "out"]
    result = command("serve", "--model", str(tmp_path / "model.onnx"), *nowhere, *arguments)
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("statecast: ")
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
