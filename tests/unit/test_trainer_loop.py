"""The training loop on a task of a few numbers: when it stops, what it keeps, how it goes on from a checkpoint."""

import json
from collections.abc import Iterator
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import Tensor, nn

from export.config import Weights
from training.errors import TrainingError, TrainingStopped
from training.options import TrainOptions
from training.progress import Row
from training.recipe import Recipe
from training.resume import CHECKPOINT, CheckpointFile, identity
from training.splits import Split
from training.standing import Standing, Tensors
from training.task import Groups
from training.trainer import Outcome, train

RECIPE = Recipe(epochs=8, patience=8, tbptt=8, lanes=4, learning_rate=0.05, dropout=0.1)
MADE_OF: dict[str, Any] = {"options": {}, "versions": {}, "data": []}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Line(nn.Module):
    """y = w x + b."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 1)
        self.load({"head.weight": np.full((1, 3), 0.1, np.float32), "head.bias": np.zeros(1, np.float32)})

    def weights(self) -> Weights:
        return {name: tensor.detach().numpy().copy() for name, tensor in self.state_dict().items()}

    def load(self, weights: Weights) -> None:
        self.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})


class Regression:
    """A task that needs both random generators. `scores`, if any, stand in for what validation says."""

    def __init__(self, scores: list[float] | None = None, broken: int = 0) -> None:
        random = np.random.default_rng(1)
        self.network = Line()
        self.x = torch.from_numpy(random.normal(size=(60, 3)).astype(np.float32))
        self.y = self.x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 3
        self.scores, self.broken = scores, broken
        self.recorded = 0

    def groups(self, _: Recipe) -> Groups:
        return [{"params": list(self.network.parameters())}]

    def steps(self, _: Recipe) -> int:
        return 6

    def losses(self, recipe: Recipe, random: np.random.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for part in random.permutation(60).reshape(6, 10):
            x = nn.functional.dropout(self.x[part], recipe.dropout)
            loss = ((self.network.head(x) - self.y[part]) ** 2).sum()
            yield loss * (nan if epoch == self.broken else 1), torch.tensor(10.0)

    def validate(self) -> float:
        self.network.eval()
        if self.scores is not None:
            return self.scores.pop(0)
        with torch.no_grad():
            return float(((self.network.head(self.x) - self.y) ** 2).mean())

    def record(self) -> None:
        self.recorded += 1


class Clock:
    """Goes on by 1 s each time it is asked."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


class Killed(Exception):
    pass


def run(task: Regression, recipe: Recipe = RECIPE, **others: Any) -> tuple[Outcome, list[Row]]:
    torch.manual_seed(recipe.seed)
    rows: list[Row] = []
    return train(task, recipe, rows.append, **others), rows


def test_training_goes_through_all_epochs_and_tells_each() -> None:
    task = Regression()
    outcome, rows = run(task)
    assert (outcome.epochs, outcome.stopped, outcome.message) == (8, "epochs", "")
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert rows[-1]["valid_loss"] < rows[0]["valid_loss"]  # type: ignore[operator]
    assert outcome.best_loss == min(row["valid_loss"] for row in rows)
    assert all(row["left_seconds"] >= 0 for row in rows)  # type: ignore[operator]
    assert rows[-1]["left_seconds"] == 0
    assert task.recorded == 8 + 1


def test_the_best_weights_are_those_of_the_best_score() -> None:
    task, seen = Regression([3.0, 1.0, 2.0, 2.0]), []
    task.record = lambda: seen.append(task.network.weights()["head.weight"].tolist())  # type: ignore[method-assign]
    outcome, _ = run(task, replace(RECIPE, epochs=4))
    assert (outcome.best_epoch, outcome.best_loss) == (2, 1.0)
    assert task.network.weights()["head.weight"].tolist() == seen[1]
    assert seen[1] not in (seen[0], seen[2], seen[3])


def test_patience_ends_training() -> None:
    outcome, rows = run(Regression([3.0, 1.0, 2.0, 2.0, 2.0, 2.0]), replace(RECIPE, patience=3))
    assert (outcome.epochs, outcome.best_epoch, outcome.stopped) == (5, 2, "patience")
    assert len(rows) == 5


def test_schedule_plateau_halves_the_step_where_the_score_stands_still() -> None:
    _, rows = run(Regression([3.0, 1.0] + [2.0] * 6), replace(RECIPE, schedule="plateau", learning_rate=0.4))
    assert [row["learning_rate"] for row in rows] == [0.4] * 5 + [0.2] * 3


def test_schedule_cosine_falls_over_the_epochs() -> None:
    _, rows = run(Regression(), replace(RECIPE, schedule="cosine"))
    rates = [row["learning_rate"] for row in rows]
    assert rates == sorted(rates, reverse=True)
    assert rates[3] == pytest.approx(0.025)
    assert rates[-1] == 0


def test_time_ends_training_within_an_epoch_with_what_is_best() -> None:
    outcome, rows = run(Regression(), replace(RECIPE, epochs=1000, patience=1000, seconds=50), clock=Clock())
    assert outcome.stopped == "time"
    assert outcome.epochs == len(rows) < 10
    assert outcome.best_epoch


@pytest.mark.parametrize("score", [nan, inf, -inf])
def test_an_invalid_score_ends_training_and_keeps_the_last_good_weights(score: float) -> None:
    task, seen = Regression([2.0, 1.0, score]), []
    task.record = lambda: seen.append(task.network.weights()["head.weight"].tolist())  # type: ignore[method-assign]
    outcome, rows = run(task)
    assert (outcome.stopped, outcome.best_epoch, len(rows)) == ("invalid", 2, 2)
    assert outcome.message == f"the validation score became {score} in epoch 3 with --learning-rate 0.05"
    assert task.network.weights()["head.weight"].tolist() == seen[1]


def test_an_invalid_loss_ends_training_and_keeps_the_last_good_weights() -> None:
    outcome, rows = run(Regression(broken=4))
    assert (outcome.stopped, outcome.epochs, outcome.best_epoch, len(rows)) == ("invalid", 4, 3, 3)
    assert outcome.message == "the loss became nan in epoch 4 with --learning-rate 0.05"


def test_without_a_good_epoch_there_is_nothing_to_keep() -> None:
    with pytest.raises(TrainingStopped, match=r"loss became nan in epoch 1 with --learning-rate 0\.05; try a tenth"):
        run(Regression(broken=1))
    with pytest.raises(TrainingStopped, match="validation score became inf in epoch 1"):
        run(Regression([inf]))


def test_progress_within_an_epoch_counts_up_to_all_of_it() -> None:
    told: list[Row] = []
    run(Regression(), replace(RECIPE, epochs=2), within=told.append)
    assert [row["share"] for row in told] == pytest.approx([(i + 1) / 6 for i in range(6)] * 2)
    assert all(row["left_seconds"] >= 0 for row in told)  # type: ignore[operator]


@pytest.mark.parametrize(
    "others",
    [
        {"optimizer": "adamw", "schedule": "plateau", "patience": 6},
        {"optimizer": "adam", "schedule": "cosine", "average": 0.0},
        {"optimizer": "rmsprop", "schedule": "constant", "clipping": "unit"},
        {"optimizer": "sgd", "schedule": "cosine", "clipping": "kind", "learning_rate": 0.01},
    ],
)
def test_a_run_that_was_cut_off_goes_on_to_the_same_weights(tmp_path: Path, others: dict[str, Any]) -> None:
    recipe = replace(RECIPE, **others)
    whole = Regression()
    outcome, rows = run(whole, recipe)

    class Cut(CheckpointFile):
        def save(self, standing: Standing, tensors: Tensors) -> None:
            super().save(standing, tensors)
            if standing.epoch in (2, 5):
                raise Killed

    (tmp_path / CHECKPOINT).write_bytes(b"of an older run")
    for resume in (False, True):
        with pytest.raises(Killed):
            run(Regression(), recipe, checkpointer=Cut(tmp_path, MADE_OF, resume))
    torch.manual_seed(99)
    again, told = Regression(), []  # type: ignore[var-annotated]
    found = train(again, recipe, told.append, checkpointer=CheckpointFile(tmp_path, MADE_OF, True))
    for name, array in whole.network.weights().items():
        np.testing.assert_array_equal(again.network.weights()[name], array)
    assert (found.epochs, found.best_epoch, found.best_loss) == (outcome.epochs, outcome.best_epoch, outcome.best_loss)
    losses = ("epoch", "train_loss", "valid_loss", "learning_rate", "best_epoch")
    assert [[row[name] for name in losses] for row in told] == [[row[name] for name in losses] for row in rows]


def test_a_run_that_is_over_is_not_trained_again(tmp_path: Path) -> None:
    first = Regression()
    outcome, rows = run(first, checkpointer=CheckpointFile(tmp_path, MADE_OF, False))
    again = Regression(broken=1)
    found, told = run(again, checkpointer=CheckpointFile(tmp_path, MADE_OF, True))
    assert (found, told) == (outcome, rows)
    np.testing.assert_array_equal(again.network.weights()["head.weight"], first.network.weights()["head.weight"])
    file = CheckpointFile(tmp_path, MADE_OF, True)
    assert file.told() == (f"{tmp_path}: is trained already, 8 epochs", False)
    file.finish()
    assert file.told()[1]
    assert file.load() is not None


def test_the_seconds_of_a_run_go_on_where_they_were(tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=1000, patience=1000, seconds=200)
    whole, _ = run(Regression(), recipe, clock=Clock())

    class Cut(CheckpointFile):
        def save(self, standing: Standing, tensors: Tensors) -> None:
            super().save(standing, tensors)
            raise Killed

    with pytest.raises(Killed):
        run(Regression(), recipe, clock=Clock(), checkpointer=Cut(tmp_path, MADE_OF, False))
    file = CheckpointFile(tmp_path, MADE_OF, True)
    assert file.told() == (f"{tmp_path}: training goes on after epoch 1", False)
    rest, _ = run(Regression(), recipe, clock=Clock(), checkpointer=file)
    assert rest.stopped == "time"
    assert abs(rest.epochs - whole.epochs) <= 1


def test_without_a_checkpoint_training_starts_from_the_beginning(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path, MADE_OF, True)
    assert file.told() == (f"{tmp_path / CHECKPOINT}: is not there; training starts from the beginning", False)
    assert file.load() is None


def test_what_a_kill_left_half_written_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / f".{CHECKPOINT}.4711.part").write_bytes(b"half")
    CheckpointFile(tmp_path, MADE_OF, True)
    assert not list(tmp_path.iterdir())


def split(*parts: int) -> Split:
    return Split(np.array(parts, np.int8), None, None)


@pytest.mark.parametrize(
    ("options", "threads", "torch_version", "data", "message"),
    [
        ({"seed": 1}, 1, "2", split(0, 1), "--seed 1: the run in RUN has 0; give the same, or leave out --resume"),
        ({"learning_rate": 0.1}, 1, "2", split(0, 1), "--learning-rate 0.1: the run in RUN has (none); "),
        ({"lags": (1, 24)}, 1, "2", split(0, 1), "--lags 1 24: the run in RUN has (none); "),
        ({}, 2, "2", split(0, 1), "--threads 2: the run in RUN has 1; "),
        ({}, 1, "3", split(0, 1), "torch 3: the run in RUN has 2; "),
        ({}, 1, "2", split(0, 2), "DATA: other events than before (part differ): the run in RUN has other ones; "),
    ],
)
def test_another_run_is_not_gone_on_with(
    tmp_path: Path, options: dict[str, Any], threads: int, torch_version: str, data: Split, message: str
) -> None:
    run = tmp_path / "RUN"
    run.mkdir()
    made_of = identity(TrainOptions(out=run), 1, {"torch": "2"}, [split(0, 1)])
    CheckpointFile(run, made_of, False).save(Standing(epoch=1), {"w": np.zeros(2)})
    other = identity(
        TrainOptions(out=Path("elsewhere"), resume=True, **options), threads, {"torch": torch_version}, [data]
    )
    with pytest.raises(TrainingError) as caught:
        CheckpointFile(run, other, True).load()
    assert str(caught.value).replace(str(run), "RUN").startswith(message)
    assert caught.value.exit_code == 2
    same = identity(TrainOptions(out=run, resume=True, tensorboard=True), 1, {"torch": "2"}, [split(0, 1)])
    assert CheckpointFile(run, same, True).load() is not None


def test_a_checkpoint_of_another_form_is_told_in_one_line(tmp_path: Path) -> None:
    for facts in ({"made_of": MADE_OF, "complete": False}, {"standing": {"era": 1}, "made_of": {}, "complete": False}):
        (tmp_path / CHECKPOINT).write_bytes(safetensors.numpy.save({"w": np.zeros(1)}, {"facts": json.dumps(facts)}))
        with pytest.raises(TrainingError, match="holds no usable checkpoint"):
            CheckpointFile(tmp_path, MADE_OF, True).load()


@pytest.mark.parametrize("content", [b"", b"{}", b"\x08\0\0\0\0\0\0\0{}      ", bytes(range(256))])
def test_a_checkpoint_that_is_damaged_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(TrainingError, match=r"holds no usable checkpoint .*leave out --resume to start over"):
        CheckpointFile(tmp_path, MADE_OF, True).load()


def test_a_checkpoint_is_json_beside_tensors(tmp_path: Path) -> None:
    run(Regression(), replace(RECIPE, epochs=1), checkpointer=CheckpointFile(tmp_path, MADE_OF, False))
    content = (tmp_path / CHECKPOINT).read_bytes()
    length = int.from_bytes(content[:8], "little")
    facts = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["facts"])
    assert facts["standing"]["epoch"] == 1
