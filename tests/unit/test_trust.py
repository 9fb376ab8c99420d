"""A model file is input, too: what no session is made of, whatever it claims of itself."""

import gzip
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from engine.model import Model
from export import signature, trust
from export.sample import random_model
from export.signature import METADATA_KEY, ModelFileError

Change = Callable[[ModelProto], Any]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "model.onnx"
    random_model(path, hidden=2, scaling="stream", lags=(1, 2))
    return path


def external(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def inside_a_node(model: ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("body", body))


def broadcast(model: ModelProto) -> None:
    """Two small tensors whose sum is a very large one."""
    tall, wide = np.zeros((1 << 15, 1), np.float32), np.zeros((1, 1 << 15), np.float32)
    model.graph.initializer.extend([numpy_helper.from_array(tall, "tall"), numpy_helper.from_array(wide, "wide")])
    model.graph.node.insert(0, helper.make_node("Add", ["tall", "wide"], ["bomb"]))


def claimed(model: ModelProto) -> None:
    """A shape of many terabytes, and no data."""
    model.graph.initializer.append(TensorProto(name="bomb", data_type=TensorProto.FLOAT, dims=[1 << 40]))


def wider_x(model: ModelProto) -> None:
    next(v for v in model.graph.input if v.name == "x").type.tensor_type.shape.dim[2].dim_value = 7


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (external, "keeps tensor .* in another file"),
        (lambda m: m.opset_import.add(domain="evil", version=1), "operators of domain 'evil'"),
        (lambda m: setattr(m.graph.node[0], "domain", "com.microsoft"), r"uses com\.microsoft\."),
        (lambda m: m.graph.node.append(helper.make_node("ConstantOfShape", ["x"], ["y"])), "uses ConstantOfShape"),
        (lambda m: m.functions.add(name="f"), "has functions"),
        (lambda m: m.graph.sparse_initializer.add(), "sparse"),
        (inside_a_node, "a graph inside a node"),
        (claimed, "does not fill its shape"),
        (lambda m: m.graph.initializer[0].dims.append(-1), "of shape"),
        (lambda m: setattr(m.graph.initializer[0], "data_type", 99), "of a type 99"),
        (broadcast, "more than .* numbers of four events"),
        (wider_x, "contradict each other|x is float32"),
        (lambda m: m.graph.input.append(m.graph.output[0]), "contradict each other|does not name"),
    ],
)  # fmt: skip
def test_what_no_statecast_model_has_is_refused_before_a_session_is_made(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change, told: str
) -> None:
    model = onnx.load(good)
    change(model)
    path = tmp_path / "changed.onnx"
    path.write_bytes(model.SerializeToString())
    monkeypatch.setattr("engine.model.onnxruntime.InferenceSession", lambda *_: pytest.fail("a session was made"))
    with pytest.raises(ModelFileError, match=told) as caught:
        Model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"state": [{"input": "h0", "output": "h0_next", "shape": [1 << 40]}]}, "is no row of"),
        ({"state": [{"input": "h0", "output": "h0_next", "shape": [-1]}]}, "is no row of"),
        ({"features": ["value", "value"]}, "names one of its features twice"),
        ({"features": []}, "no features"),
        ({"features": ["value", "other"]}, "says that x is float32"),
        ({"levels": [0.5, 0.1]}, "do not ascend"),
        ({"levels": [0.5, 7.0]}, "do not ascend"),
        ({"levels": [0.5]}, "says that quantiles is float32"),
    ],
)
def test_a_signature_that_its_graph_does_not_bear_out_is_refused(
    good: Path, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    model = onnx.load(good)
    text = next(p for p in model.metadata_props if p.key == METADATA_KEY)
    text.value = msgspec.json.encode(msgspec.json.decode(text.value) | change).decode()
    path = tmp_path / "changed.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match=told):
        signature.load(path)


def test_a_bomb_that_is_packed_is_not_unpacked(tmp_path: Path) -> None:
    zipped, packed = tmp_path / "a.onnx", tmp_path / "b.onnx"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model.onnx", b"\x00" * 10_000_000)
    packed.write_bytes(gzip.compress(b"\x00" * 10_000_000))
    for path in (zipped, packed):
        with pytest.raises(ModelFileError, match="is not an ONNX file"):
            signature.load(path)


def test_a_file_of_absurd_size_or_without_an_end_is_not_read(tmp_path: Path) -> None:
    large, pipe = tmp_path / "large.onnx", tmp_path / "pipe.onnx"
    with large.open("wb") as file:
        file.truncate(trust.MOST_BYTES + 1)
    os.mkfifo(pipe)
    for path in (large, pipe, Path("/dev/zero")):
        with pytest.raises(ModelFileError, match="is no file of less than 2 GiB"):
            signature.load(path)


def test_messages_in_messages_without_an_end_are_refused(tmp_path: Path) -> None:
    graph = helper.make_graph([], "deepest", [], [])
    deep = graph.SerializeToString()
    for _ in range(300):  # by hand: the library itself refuses to write so deep
        attribute = b"\x32" + _length(deep) + deep  # AttributeProto.g
        node = b"\x2a" + _length(attribute) + attribute  # NodeProto.attribute
        deep = b"\x0a" + _length(node) + node  # GraphProto.node
    path = tmp_path / "deep.onnx"
    path.write_bytes(b"\x3a" + _length(deep) + deep)  # ModelProto.graph
    with pytest.raises(ModelFileError):
        signature.load(path)


def _length(content: bytes) -> bytes:
    """A protobuf varint."""
    n, out = len(content), b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def in_one_line(call: Callable[[], object]) -> bool:
    """Whether a refusal, where there is one, is a ModelFileError of one line."""
    try:
        call()
    except ModelFileError as error:
        return "\n" not in str(error)
    return True


mutations = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "insert"]), st.floats(0, 1), st.binary(min_size=1, max_size=6)),
    min_size=1, max_size=4,
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations)
def test_a_file_that_was_damaged_anywhere_is_a_model_or_is_refused_in_one_line(
    good: Path, tmp_path: Path, changes: list[tuple[str, float, bytes]]
) -> None:
    content = bytearray(good.read_bytes())
    for how, place, data in changes:
        at = int(place * len(content))
        content[at : at + (0 if how == "insert" else len(data))] = b"" if how == "cut" else data
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content)
    assert in_one_line(lambda: Model(path))


fields = st.sampled_from(sorted(signature.Signature.__struct_fields__))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields, values)
def test_a_signature_with_anything_in_it_is_read_or_refused_in_one_line(
    good: Path, tmp_path: Path, field: str, value: Any
) -> None:
    model = onnx.load(good)
    text = next(p for p in model.metadata_props if p.key == METADATA_KEY)
    text.value = msgspec.json.encode(msgspec.json.decode(text.value) | {field: value}).decode()
    path = tmp_path / "changed.onnx"
    path.write_bytes(model.SerializeToString())
    assert in_one_line(lambda: signature.load(path))
