"""A whole run: what it learns, what it leaves, that it repeats, and how it stops."""

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.model import Model
from export import parity
from training.errors import DataError, TrainingError, TrainingStopped
from training.options import TrainOptions
from training.run import MODEL, RunResult, export_run, train
from training.trainer import train as loop

SMALL = {"hidden": 8, "epochs": 8, "lanes": 8, "tbptt": 24, "threads": 1, "learning_rate": 0.01}


def table(folder: Path, streams: dict[str, np.ndarray], name: str = "data.csv") -> Path:
    """A long CSV: one row per event, the streams' events interleaved."""
    length = max(len(values) for values in streams.values())
    lines = ["time,key,value"]
    for t in range(length):
        for key, values in streams.items():
            if t < len(values):
                lines.append(f"{t},{key},{'' if np.isnan(values[t]) else repr(float(values[t]))}")
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def options(out: Path, **others: object) -> TrainOptions:
    return TrainOptions(**({"out": out, "key": "key", "time": "time"} | SMALL | others))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def sines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    streams = {}
    for i in range(4):
        values = 10.0**i * (np.sin(np.arange(300) / 4 + i) + 0.05 * random.normal(size=300) + 3)
        values[random.random(300) < 0.03] = np.nan
        streams[f"sine {i}"] = values
    return table(tmp_path_factory.mktemp("sines"), streams)


@pytest.fixture(scope="module")
def run(sines: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return train([sines], options(tmp_path_factory.mktemp("run") / "RUN"))


def test_sines_are_learned_better_than_persistence(run: RunResult) -> None:
    total = run.metrics["all"]
    assert total["model"]["mase"] < 0.6 * total["persistence"]["mase"]
    assert 0.7 < total["model"]["coverage_90"] <= 1


def test_sines_are_learned_without_lags_and_with_fixed_scaling_too(sines: Path, tmp_path: Path) -> None:
    for scaling in ("stream", "fixed"):
        lines = [line for line in sines.read_text().splitlines() if "sine 1" in line or "time" in line]
        (tmp_path / "one.csv").write_text("\n".join(lines))
        found = train([tmp_path / "one.csv"], options(tmp_path / scaling, scaling=scaling, lags=(), epochs=30))
        total = found.metrics["all"]
        assert total["model"]["mase"] < 0.8 * total["persistence"]["mase"], scaling


def test_a_run_leaves_all_that_is_promised(run: RunResult) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        *("model.onnx", "weights.safetensors", "config.json", "metrics.json", "metrics.jsonl", "card.md"),
        *("card.html", "pictures", "curves.svg", "curves.png", "checkpoint.safetensors", "choices.json"),
    }
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert metrics["all"] == run.metrics["all"]
    assert set(metrics["streams"]) == {f"sine {i}" for i in range(4)}
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, metrics["training"]["epochs"] + 1))
    card = (run.folder / "card.md").read_text()
    assert run.verdict in card
    assert "sine 3" in card
    signature = Model(run.model).signature
    assert signature.training.streams == 4
    assert signature.parity is not None
    assert signature.parity <= parity.TOLERANCE
    assert signature.metrics["mase"] == metrics["all"]["model"]["mase"]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    run: RunResult, sines: Path, tmp_path: Path
) -> None:
    again = train([sines], options(tmp_path / "again"))
    other = train([sines], options(tmp_path / "other", seed=1, epochs=1))
    assert again.model.read_bytes() == run.model.read_bytes()
    assert other.model.read_bytes() != run.model.read_bytes()


def test_export_builds_the_same_bytes_from_the_run(run: RunResult, tmp_path: Path) -> None:
    signature = export_run(run.folder, tmp_path / "m.onnx")
    assert signature == run.signature
    assert (tmp_path / "m.onnx").read_bytes() == (run.folder / MODEL).read_bytes()


def test_the_test_part_cannot_change_the_model(sines: Path, tmp_path: Path) -> None:
    lines = sines.read_text().splitlines()
    changed = lines[:1] + [
        line if int(line.split(",")[0]) < 240 else ",".join([*line.split(",")[:2], "12345"]) for line in lines[1:]
    ]
    (tmp_path / "changed.csv").write_text("\n".join(changed))
    runs = [
        train([path], options(tmp_path / name, epochs=2))
        for name, path in (("as it was", sines), ("changed", tmp_path / "changed.csv"))
    ]
    assert Model(runs[0].model).fingerprint == Model(runs[1].model).fingerprint
    assert runs[0].metrics["all"]["model"] != runs[1].metrics["all"]["model"]


def test_awkward_streams_harm_nobody(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    walk = random.normal(size=200).cumsum()
    late = np.full(200, np.nan)
    late[190:] = walk[190:]
    broken = walk.copy()
    broken[50] = 1e30
    streams = {
        "walk": walk,
        "constant": np.full(200, 5.0),
        "zero": np.zeros(200),
        "short": walk[:1],
        "two": walk[:2],
        "only missing": np.full(200, np.nan),
        "late": late,
        "broken": broken,
        "large": walk * 1e20,
        "small": walk * 1e-20,
    }
    found = train([table(tmp_path, streams)], options(tmp_path / "RUN", epochs=2))
    assert np.isfinite(found.metrics["all"]["model"]["mase"])
    assert found.metrics["streams"]["constant"]["model"]["mase"] is None
    assert "only missing" not in found.metrics["streams"]


def test_several_features_are_predicted_each(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    rows = [f"{t},{np.sin(t / 4):.4f},{np.cos(t / 4) * 50 + random.normal():.4f}" for t in range(300)]
    (tmp_path / "two.csv").write_text("time,a,b\n" + "\n".join(rows))
    found = train([tmp_path / "two.csv"], options(tmp_path / "RUN", key=None, value=("a", "b")))
    assert found.signature.targets == ("a", "b")
    assert set(found.metrics["streams"]) == {"stream/a", "stream/b"}
    assert found.metrics["all"]["model"]["mase"] < found.metrics["all"]["persistence"]["mase"]


def test_the_time_budget_ends_training_with_the_best_so_far(sines: Path, tmp_path: Path) -> None:
    found = train([sines], options(tmp_path / "RUN", epochs=1000, patience=1000, budget=0.005))
    assert found.metrics["training"]["stopped"] == "time"
    assert found.model.exists()


def test_progress_is_reported_after_each_epoch(sines: Path, tmp_path: Path) -> None:
    rows: list[dict[str, float | int | str]] = []
    train([sines], options(tmp_path / "RUN", epochs=2), rows.append)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert {"epochs", "seconds", "train_loss", "valid_loss", "best_epoch", "events_per_second"} <= set(rows[0])


def test_a_loss_that_is_not_a_number_stops_with_a_clear_message(
    sines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.number.loss", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(TrainingStopped, match=r"loss became nan in epoch 1 with --learning-rate 0\.01"):
        train([sines], options(tmp_path / "RUN"))


def test_streams_of_one_event_teach_nothing(tmp_path: Path) -> None:
    path = table(tmp_path, {"a": np.arange(1.0)})
    path.write_text("time,key,value\n" + "\n".join(f"{i},{i},1" for i in range(20)))
    with pytest.raises(TrainingStopped, match="no stream has two events"):
        train([path], options(tmp_path / "RUN"))


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ([], "--value value: all 100 values are missing; mend the data, or name another column"),
        (range(80, 100), "--value value: all 70 values of the training part are missing, 20 later ones are there; "),
        ([*range(70), *range(80, 100)], "--value value: all 10 values of the validation part are missing; "),
    ],
)
def test_data_without_values_is_told(tmp_path: Path, there: Sequence[int], message: str) -> None:
    values = np.full(100, np.nan)
    values[list(there)] = np.arange(len(there)) % 7
    with pytest.raises(DataError) as caught:
        train([table(tmp_path, {"a": values})], options(tmp_path / "RUN"))
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "RUN").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": -1}, "--seed -1: must be from 0 to"),
        ({"seed": 2**64}, "--seed 18446744073709551616: must be from 0 to"),
        ({"threads": 1_000_000}, "--threads 1000000: must be at most 1024"),
        ({"hidden": 100_000_000}, "--hidden 100000000: must be at most 4096"),
        ({"layers": 100_000}, "--layers 100000: must be at most 64"),
        ({"learning_rate": np.inf}, "--learning-rate inf: must be"),
        ({"weight_decay": np.nan}, "--weight-decay nan: must be"),
        ({"weight_decay": np.inf}, "--weight-decay inf: must be"),
        ({"task": "class"}, "--task class"),
        ({"hidden": 0}, "--hidden 0"),
        ({"scaling": "none"}, "--scaling none"),
        ({"train_share": 0.95}, "leave no test part"),
        ({"lags": (-1,)}, "--lags -1"),
        ({"dropout": 1.0}, "--dropout"),
        ({"budget": 0}, "--budget 0"),
    ],
)
def test_options_that_make_no_sense_are_named(
    sines: Path, tmp_path: Path, wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        train([sines], options(tmp_path / "RUN", **wrong))
    assert caught.value.exit_code == 2


def test_a_folder_that_cannot_be_made_or_holds_no_run_is_named(sines: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be made a folder"):
        train([sines], options(tmp_path / "file"))
    with pytest.raises(TrainingError, match=r"config\.json: cannot be read"):
        export_run(tmp_path, tmp_path / "m.onnx")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(TrainingError, match="holds no usable run"):
        export_run(tmp_path, tmp_path / "m.onnx")


@pytest.mark.parametrize("out", ["", ".", "/"])
def test_a_model_file_needs_a_name(run: RunResult, out: str) -> None:
    with pytest.raises(TrainingError, match=r"--out .*: is a directory; give the path of a file"):
        export_run(run.folder, out)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_a_run_is_not_written_over_by_its_model(run: RunResult, name: str) -> None:
    before = (run.folder / name).read_bytes()
    with pytest.raises(TrainingError, match=f"{name}: is what the model is built from; give another path"):
        export_run(run.folder, run.folder / name)
    assert (run.folder / name).read_bytes() == before


def test_the_loop_takes_time_as_an_argument() -> None:
    assert "clock" in loop.__annotations__


def test_a_run_whose_figures_are_damaged_is_told_again_from_its_checkpoint(sines: Path, tmp_path: Path) -> None:
    first = train([sines], options(tmp_path / "RUN", epochs=2))
    whole = first.model.read_bytes()
    for name, content in (("metrics.json", b"null"), ("metrics.json", b'{"all":'), ("config.json", b"{}")):
        (tmp_path / "RUN" / name).write_bytes(content)
        again = train([sines], options(tmp_path / "RUN", epochs=2, resume=True))
        assert again.metrics["all"] == first.metrics["all"]
        assert again.model.read_bytes() == whole


def test_two_trainings_do_not_share_a_folder(sines: Path, tmp_path: Path) -> None:
    (tmp_path / "RUN").mkdir()
    descriptor = os.open(tmp_path / "RUN", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(TrainingError, match="another training writes into it"):
        train([sines], options(tmp_path / "RUN"))
    os.close(descriptor)


def test_values_too_small_to_compute_with_are_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=100) * 1e-35
    with pytest.raises(TrainingError, match="--value value: its largest magnitude is"):
        train([table(tmp_path, {"a": values})], options(tmp_path / "RUN"))
