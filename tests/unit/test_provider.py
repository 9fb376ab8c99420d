"""Where the network runs: what is asked for and is not there is told in one line, and auto makes do without."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from structlog.testing import capture_logs

from engine.banked import BankedModel
from engine.device import CPU, Device, DeviceFault, cuda
from engine.model import Model
from engine.step import Engine
from export.sample import random_model
from export.signature import ModelFileError
from stream import provider
from stream.state.keeper import machine
from tests.lives import Life, banked_model, filled, live, numbers
from tests.service import command

# What follows is about machines without CUDA; where the other package is installed, it is not what is there.
without_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="onnxruntime-gpu is installed"
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    random_model(path, hidden=4)
    return path


def test_each_name_gives_the_network_that_it_says(path: Path) -> None:
    assert type(provider.load(path, "cpu")) is Model
    banked = provider.load(path, "cpu-banked")
    assert isinstance(banked, BankedModel)
    assert banked.provider == "cpu-banked"


@without_cuda
def test_cuda_without_its_package_is_one_line_that_says_what_to_install(path: Path) -> None:
    nowhere = ["--bootstrap-servers", "127.0.0.1:9", "--input-topic", "in", "--output-topic", "out"]

    result = command("serve", "--model", str(path), *nowhere, "--provider", "cuda")

    assert result.returncode == 1
    assert result.stderr.startswith("statecast: --provider cuda: ")
    assert result.stderr.count("\n") == 1
    assert "pip uninstall -y onnxruntime" in result.stderr
    assert f"onnxruntime-gpu[cuda,cudnn]=={onnxruntime.__version__}" in result.stderr


@without_cuda
def test_auto_goes_on_without_cuda_and_says_why(path: Path) -> None:
    with capture_logs() as logs:
        model = provider.load(path, "auto")

    assert type(model) is Model
    assert [(line["event"], line["provider"]) for line in logs] == [("no_cuda", "cpu")]
    assert "has no CUDA" in logs[0]["reason"]


@without_cuda
def test_a_session_that_runs_elsewhere_than_it_was_told_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # So it is with the package for CUDA where a library or the device is missing.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    device = cuda()
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(DeviceFault, match=r"finds no cuda device.*nvidia-smi"),
    ):
        BankedModel(path, device)


def test_a_file_that_is_no_model_is_told_as_that_whatever_the_provider(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    for name in ("cpu", "cpu-banked", "auto"):
        with pytest.raises(ModelFileError, match="is not an ONNX file"):
            provider.load(tmp_path / "model.onnx", name)


def test_peepholes_are_refused_on_a_device_whose_kernel_has_none(path: Path, tmp_path: Path) -> None:
    model = onnx.load(path)
    lstm = next(node for node in model.graph.node if node.op_type == "LSTM")
    lstm.input.append("peepholes")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 12), np.float32), "peepholes"))
    onnx.save(model, tmp_path / "model.onnx")

    BankedModel(tmp_path / "model.onnx", CPU)
    with pytest.raises(ModelFileError, match=r"peepholes.*--provider cpu"):
        BankedModel(tmp_path / "model.onnx", Device("cuda", "cuda", ["CPUExecutionProvider"]))


def test_the_marker_tells_cuda_from_the_processor_and_no_difference_where_there_is_none() -> None:
    assert machine("cpu") == machine("cpu-banked") != machine("cuda")


def test_a_failure_on_the_device_is_one_line_and_the_bank_stays_as_it_was(path: Path) -> None:
    bank = BankedModel(path, CPU).bank(4)
    x = np.ones((1, 2, 1), np.float32)
    bank.run(np.array([0, 1]), False, x, x)
    before = bank.copy(np.arange(4)).rows

    with pytest.raises(DeviceFault, match="the device failed") as failed:
        bank.run(np.array([0, 1, 2]), False, x, x)  # two events for three streams

    assert "\n" not in str(failed.value)
    assert bank.copy(np.arange(4)).rows.tobytes() == before.tobytes()
    assert len(bank.writes()) == 1


def test_a_restart_on_cuda_says_that_bits_may_differ_and_one_on_another_way_of_the_processor_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = filled(1, [*numbers(20)])
    live(cluster, 1, Life(), {})

    def said() -> list[tuple[str, str]]:
        with capture_logs() as logs:
            assert live(cluster, 1, Life(), {}, engine=Engine(banked_model(), 64))
        differ = [line for line in logs if line["event"] == "bits_may_differ_from_here_on"]
        return [(line["before"][1], line["now"][1]) for line in differ]

    assert said() == []
    monkeypatch.setattr(banked_model(), "provider", "cuda")  # as far as the marker knows
    assert said() == [(machine("cpu"), machine("cuda"))]
    assert said() == []
