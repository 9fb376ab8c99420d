"""A training process that is killed, wherever it is, goes on to the same bytes of the model file."""

import json
import multiprocessing
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from training.options import TrainOptions

KILLS = 4
CONTEXT = multiprocessing.get_context("forkserver")  # so that each process need not load PyTorch again
CONTEXT.set_forkserver_preload(["training.run", "matplotlib.pyplot", "torch._dynamo"])


def trained(data: Path, options: TrainOptions, ready: Path) -> None:
    from training.run import train

    ready.touch()
    said: list[str] = []
    train([data], options, say=said.append)
    (options.out / "said").write_text("\n".join(said))


def begun(data: Path, out: Path, resume: bool) -> multiprocessing.process.BaseProcess:
    """A process that trains, at the moment at which all its code is loaded."""
    options = TrainOptions(
        out=out, resume=resume, key="key", time="time", hidden=6, layers=2, epochs=10, patience=10, lanes=8, tbptt=16,
        threads=1, learning_rate=0.01, lags=(1, 2), schedule="cosine",
    )  # fmt: skip
    ready = out.with_name(f"{out.name} ready")
    ready.unlink(missing_ok=True)
    process = CONTEXT.Process(target=trained, args=(data, options, ready))
    process.start()
    deadline = time.monotonic() + 60
    while not ready.exists():
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return process


def finish(process: multiprocessing.process.BaseProcess) -> None:
    process.join(60)
    assert process.exitcode == 0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(5)
    rows = [f"{t},{key},{np.sin(t / 4 + key) + 0.1 * random.normal():.5f}" for t in range(150) for key in range(4)]
    path = tmp_path_factory.mktemp("data") / "data.csv"
    path.write_text("time,key,value\n" + "\n".join(rows))
    return path


def losses(run: Path) -> list[list[float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [[row[name] for name in ("epoch", "train_loss", "valid_loss", "learning_rate")] for row in rows]


def test_training_that_is_killed_goes_on_to_the_same_model(data: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    began = time.monotonic()
    finish(begun(data, whole, resume=False))
    lasts = time.monotonic() - began
    seconds = json.loads((whole / "metrics.json").read_text())["seconds"]

    # Most kills hit the training, one may hit what comes after it too.
    until = [seconds["read"] + seconds["train"]] * (KILLS - 1) + [lasts]
    moments = np.random.default_rng().uniform(0, until).round(4).tolist()
    print(f"a run of {lasts:.3f} s, killed after {moments} s")  # shown where the test fails
    for i, moment in enumerate(moments):
        process = begun(data, cut, resume=i > 0)
        process.join(moment)
        process.kill()
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0)
    finish(begun(data, cut, resume=True))
    assert (cut / "model.onnx").read_bytes() == (whole / "model.onnx").read_bytes()
    assert losses(cut) == losses(whole)
    assert [path.name for path in cut.glob(".checkpoint*")] == []

    finish(begun(data, cut, resume=True))
    assert (cut / "said").read_text() == f"{cut}: is trained already, 10 epochs"
    (cut / "model.onnx").unlink()
    finish(begun(data, cut, resume=True))
    assert (cut / "model.onnx").read_bytes() == (whole / "model.onnx").read_bytes()
