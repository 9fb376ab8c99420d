"""Every option of `statecast train`, typed, with its help. Knows nothing of how they are asked for."""

from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from export.signature import Scaling
from training.errors import TrainingError

MOST = {"hidden": 4096, "layers": 64, "threads": 1024}  # far beyond what serves anybody


def _help(text: str) -> dict[str, str]:
    return {"help": text}


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Defaults are meant to be good without tuning."""

    out: Path = field(
        default=Path("RUN"), metadata=_help("folder that gets model.onnx, weights, metrics and the model card")
    )
    key: str | None = field(
        default=None, metadata=_help("column that names the stream; without it all rows are one stream")
    )
    value: tuple[str, ...] = field(
        default=("value",), metadata=_help("column of numbers, a feature of the model; may be given several times")
    )
    time: str | None = field(
        default=None,
        metadata=_help("column of times (ISO 8601, epoch seconds or milliseconds); else the order of rows"),
    )
    task: str = field(default="number", metadata=_help("what is predicted; this version knows 'number'"))
    hidden: int = field(default=64, metadata=_help("units of each LSTM layer"))
    layers: int = field(default=1, metadata=_help("LSTM layers"))
    scaling: Scaling = field(
        default="stream", metadata=_help("'stream': each stream by its own past; 'fixed': constants from training")
    )
    lags: tuple[int, ...] | None = field(
        default=None, metadata=_help("lags of the linear paths; default 1 to 24 and 168, as far as streams go")
    )
    experts: int = field(
        default=8, metadata=_help("linear paths that each stream chooses from (at most one per stream)")
    )
    epochs: int = field(default=40, metadata=_help("passes over the training part, at most"))
    patience: int = field(default=6, metadata=_help("passes without a better validation score before training ends"))
    max_seconds: float = field(
        default=300.0, metadata=_help("training ends with the best weights so far after this many seconds")
    )
    learning_rate: float = field(
        default=3e-3, metadata=_help("AdamW's step at first; halved where the validation score stands still")
    )
    weight_decay: float = field(default=1e-2, metadata=_help("AdamW's decay of weights"))
    dropout: float = field(
        default=0.2,
        metadata=_help("share of the LSTM's outputs, and half of it of its inputs, that are hidden in training"),
    )
    window: int = field(default=48, metadata=_help("events of truncated back-propagation through time"))
    lanes: int = field(default=64, metadata=_help("pieces of streams that are trained side by side"))
    train_share: float = field(default=0.7, metadata=_help("first part of the events in time order, for training"))
    valid_share: float = field(
        default=0.1, metadata=_help("next part, for early stopping and calibration; the rest is the test part")
    )
    ar_order: int = field(
        default=24, metadata=_help("order of the linear autoregression that the model is compared with")
    )
    threads: int = field(default=1, metadata=_help("threads of PyTorch; the same number gives the same bytes"))
    seed: int = field(default=0, metadata=_help("seed of all random numbers"))

    def check(self) -> None:
        """Raise TrainingError where an option makes no sense."""
        if self.task != "number":
            raise TrainingError(f"--task {self.task}: this version trains the task 'number' only")
        if self.scaling not in ("stream", "fixed"):
            raise TrainingError(f"--scaling {self.scaling}: is 'stream' or 'fixed'")
        for name in ("hidden", "layers", "experts", "epochs", "patience", "window", "lanes", "ar_order", "threads"):
            if getattr(self, name) < 1:
                raise TrainingError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be at least 1")
        for name, most in MOST.items():
            if getattr(self, name) > most:
                raise TrainingError(f"--{name} {getattr(self, name)}: must be at most {most}")
        for name in ("max_seconds", "learning_rate", "train_share", "valid_share"):
            if not getattr(self, name) > 0:
                raise TrainingError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be greater than 0")
        if self.learning_rate == inf:
            raise TrainingError(f"--learning-rate {self.learning_rate}: must be finite")
        if not 0 <= self.seed < 2**63:
            raise TrainingError(f"--seed {self.seed}: must be from 0 to {2**63 - 1}")
        if not 0 <= self.dropout < 1:
            raise TrainingError(f"--dropout {self.dropout}: must be at least 0 and less than 1")
        if not 0 <= self.weight_decay < inf:
            raise TrainingError(f"--weight-decay {self.weight_decay}: must be at least 0, and finite")
        if self.train_share + self.valid_share >= 1:
            raise TrainingError(
                f"--train-share {self.train_share} and --valid-share {self.valid_share} leave no test part; "
                "their sum must be less than 1"
            )
        if self.lags is not None and any(lag < 1 or lag > 100_000 for lag in self.lags):
            raise TrainingError(f"--lags {' '.join(map(str, self.lags))}: must be whole numbers from 1 to 100000")
