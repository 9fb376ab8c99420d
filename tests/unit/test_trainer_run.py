"""A whole run whose training ends badly: what was good before is exported, and told."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from training.errors import TrainingStopped
from training.number import Number
from training.options import TrainOptions
from training.recipe import Recipe
from training.run import train

EPOCHS = 5


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [f"{t},{np.sin(t / 4) + 0.01 * (t % 7):.5f}" for t in range(300)]
    path = tmp_path / "data.csv"
    path.write_text("time,value\n" + "\n".join(rows))
    return path


@pytest.fixture
def third_loss_is_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    true = Number.losses

    def losses(
        task: Number, recipe: Recipe, random: np.random.Generator, epoch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for loss, count in true(task, recipe, random, epoch):
            yield (loss * math.nan if epoch == 3 and recipe.epochs == EPOCHS else loss), count

    monkeypatch.setattr(Number, "losses", losses)


def test_streams_that_validate_nothing_are_told(tmp_path: Path) -> None:
    late = [f"{t},{key},{t % 5}" for t in range(90) for key in ("a", "b")] + [f"{90 + t},new {t},1" for t in range(60)]
    (tmp_path / "late.csv").write_text("time,key,value\n" + "\n".join(late))
    options = TrainOptions(out=tmp_path / "RUN", time="time", key="key", hidden=4, threads=1, train_share=0.75)
    with pytest.raises(TrainingStopped, match="no stream has a value in the validation part and an event before it"):
        train([tmp_path / "late.csv"], options)


@pytest.mark.usefixtures("third_loss_is_nan")
def test_a_run_that_becomes_invalid_exports_the_last_good_weights(data: Path, tmp_path: Path) -> None:
    options = TrainOptions(out=tmp_path / "RUN", time="time", hidden=4, epochs=EPOCHS, threads=1, lags=(1, 2))
    result = train([data], options)
    how = result.metrics["training"]
    assert (how["stopped"], how["epochs"]) == ("invalid", 3)
    assert how["message"] == "the loss became nan in epoch 3 with --learning-rate 0.003"
    assert result.model.exists()
    assert np.isfinite(result.metrics["all"]["model"]["mase"])
