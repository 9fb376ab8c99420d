"""The model file: its fingerprint, its signature, and what a file that is no model gets."""

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from export import signature
from export.config import Config
from export.file import save, sign
from export.graph import build
from export.sample import random_model, random_weights
from export.signature import ModelFileError


def test_a_sample_file_says_what_it_is(tmp_path: Path) -> None:
    written = random_model(tmp_path / "m.onnx", features=2, hidden=4, scaling="stream", lags=(1, 3), experts=2)
    _, read = signature.load(tmp_path / "m.onnx")
    assert read == written
    assert [t.input for t in read.state] == ["h0", "c0", "history", "age", "losses", "sums"]
    assert read.row_width == 4 + 4 + 3 * 2 + 2 + 2 * 2 + 5 * 2


def test_the_fingerprint_ignores_metadata_but_not_weights() -> None:
    config = Config(hidden=4)
    model, other = (build(config, random_weights(config, seed)) for seed in (0, 1))
    before = signature.fingerprint(model)
    signature.attach(model, sign(config, metrics={"mase": 0.9}))
    model.metadata_props.add(key="note", value="hello")
    model.doc_string = model.graph.doc_string = model.graph.node[0].doc_string = "a note"
    model.producer_name = "somebody"
    assert signature.fingerprint(model) == before
    assert signature.fingerprint(other) != before


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    config = Config(hidden=4, lags=(1, 2), experts=2)
    for name in ("a", "b"):
        save(build(config, random_weights(config)), sign(config), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nothing\.onnx: cannot be read"):
        signature.load(tmp_path / "nothing.onnx")


@pytest.mark.parametrize("content", [b"", b"hello, I am a text", b"\x00" * 100])
def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="is not an ONNX file"):
        signature.load(path)


def rewritten(path: Path, change: dict[str, object] | None) -> Path:
    """A sample model whose signature lacks (None) or has other fields."""
    random_model(path, hidden=4)
    model = onnx.load(path)
    text = model.metadata_props.pop().value
    if change is not None:
        fields = msgspec.json.decode(text) | change
        model.metadata_props.add(key=signature.METADATA_KEY, value=msgspec.json.encode(fields).decode())
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "no statecast signature"),
        ({"format": signature.FORMAT + 1}, "upgrade statecast"),
        ({"format": "one"}, "cannot be read"),
        ({"unknown": 1}, "cannot be read"),
        ({"levels": [0.1, 0.9]}, "lacks the median"),
        ({"targets": ["other"]}, "unknown targets"),
        ({"state": [{"input": "q0", "output": "q0_next", "shape": [4]}]}, "which the graph lacks"),
    ],
)
def test_a_signature_that_cannot_be_used_is_refused_with_its_reason(
    tmp_path: Path, change: dict[str, object] | None, message: str
) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        signature.load(rewritten(tmp_path / "m.onnx", change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("head.bias", None, "missing"),
        ("head.bias", np.zeros(3, np.float32), "shape"),
        ("head.bias", np.full(5, np.nan, np.float32), "NaN"),
        ("stretch", np.zeros((1, 4), np.float32), "greater than 0"),
        ("prior", np.zeros((2, 1), np.float32), "prior"),
    ],
)
def test_weights_that_do_not_fit_are_refused(name: str, value: np.ndarray | None, message: str) -> None:
    config = Config(hidden=4)
    weights = random_weights(config)
    if value is None:
        del weights[name]
    else:
        weights[name] = value
    with pytest.raises(ValueError, match=message):
        build(config, weights)


@pytest.mark.parametrize(
    "wrong",
    [{"targets": ("x",)}, {"hidden": 0}, {"lags": (3, 1)}, {"lags": (0, 1)}, {"experts": 2}, {"experts": 0}],
)
def test_a_config_that_makes_no_network_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Config(**wrong)  # type: ignore[arg-type]
