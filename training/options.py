"""Every option of `statecast train`, typed, with its help. Knows nothing of how they are asked for."""

from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Literal, get_args

from export.config import RECALL_LEAST
from export.signature import Calendar, Cell, Head, Per, Scaling, Task
from training.errors import TrainingError

Text = Literal["characters", "bytes", "words"]
Optimizer = Literal["adamw", "adam", "rmsprop", "sgd"]
Schedule = Literal["cosine", "plateau", "constant"]
Clipping = Literal["norm", "layer", "kind", "value", "unit", "none"]

COUNTS = (
    *("hidden", "layers", "max_parameters", "vocabulary", "experts", "epochs", "patience"),
    *("tbptt", "lanes", "ar_order", "threads"),
)
MOST = {
    "recall": 65536,
    "hidden": 4096,
    "layers": 64,
    "threads": 1024,
    "lanes": 65536,
    "tbptt": 65536,
}  # far beyond what serves anybody


def _help(text: str, **more: Any) -> dict[str, Any]:
    return {"help": text, **more}


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Defaults are meant to be good without tuning; where one is None it follows from the task and the data."""

    out: Path = field(
        default=Path("RUN"), metadata=_help("folder that gets model.onnx, weights, metrics and the model card")
    )
    resume: bool = field(default=False, metadata=_help("go on with the run in --out, from its last checkpoint"))
    task: Task | None = field(
        default=None,
        metadata=_help(
            "what is predicted: the next number, the next symbol of a few, or a class",
            shown="symbol with --text, class with --label or --labels, else number",
        ),
    )

    # The data
    key: str | None = field(default=None, metadata=_help("column that names the stream; without it all is one stream"))
    value: tuple[str, ...] = field(
        default=(),
        metadata=_help("column of values, a feature of the model; may be given several times", shown="value"),
    )
    target: tuple[str, ...] = field(
        default=(), metadata=_help("--value that is predicted; may be given several times", shown="each of them")
    )
    time: str | None = field(
        default=None,
        metadata=_help("column of times (ISO 8601, epoch seconds or milliseconds); else the order of rows"),
    )
    label: str | None = field(default=None, metadata=_help("column of class names: trains the task class"))
    wide: bool = field(default=False, metadata=_help("each column but --time is a stream"))
    sequences: bool = field(default=False, metadata=_help("DATA are directories with one CSV for each sequence"))
    labels: Path | None = field(
        default=None, metadata=_help("directory with one file for each sequence, whose last line is its class")
    )
    skip_lines: int = field(default=0, metadata=_help("lines before the header, or before the data, of each file"))
    delimiter: str = field(default=",", metadata=_help("what separates the columns of a CSV; `tab` for tabulators"))
    header: bool | None = field(
        default=None, metadata=_help("whether the files of --sequences have a header", shown="found out")
    )
    text: Text | None = field(
        default=None, metadata=_help("DATA are texts, each one stream of characters, bytes or words")
    )
    topic: str | None = field(default=None, metadata=_help("Kafka topic to read the events from, in place of DATA"))
    bootstrap_servers: str = field(
        default="127.0.0.1:9092", metadata=_help("brokers of --topic, HOST:PORT[,HOST:PORT]")
    )
    start: str | None = field(
        default=None, metadata=_help("first offset of each partition of --topic, or a time", shown="what is there")
    )
    end: str | None = field(
        default=None, metadata=_help("offset or time before which --topic is read", shown="what is there now")
    )

    # Which part is for what
    train_share: float = field(default=0.7, metadata=_help("first part of the events in time order, for training"))
    valid_share: float = field(
        default=0.1, metadata=_help("next part, for early stopping and calibration; the rest is the test part")
    )
    valid_from: str | None = field(default=None, metadata=_help("time at which validation begins, instead of a share"))
    test_from: str | None = field(
        default=None, metadata=_help("time at which the test part begins, instead of a share")
    )
    hold_out_streams: float = field(
        default=0.0, metadata=_help("share of the streams that are in the test part only, whatever their times")
    )
    per: Per | None = field(
        default=None,
        metadata=_help("what has a class: the whole sequence, or each event", shown="sequence where it never changes"),
    )

    # The network
    cell: Cell = field(default="lstm", metadata=_help("recurrent cell; graves-lstm has peepholes"))
    hidden: int | None = field(
        default=None, metadata=_help("units of each layer", shown="64; of symbols what --max-parameters allows")
    )
    layers: int = field(default=1, metadata=_help("recurrent layers"))
    bidirectional: bool = field(default=False, metadata=_help("refused: it would need the future"))
    max_parameters: int | None = field(
        default=None,
        metadata=_help(
            "weights of a network of symbols whose --hidden is not given, at most",
            shown="350000, or what 128 units take with so many symbols",
        ),
    )
    head: Head = field(
        default="quantile", metadata=_help("of numbers: five quantiles, or the mean and deviation of a normal")
    )
    scaling: Scaling | None = field(
        default=None,
        metadata=_help(
            "'stream': each stream by its own past; 'fixed': constants from training",
            shown="what does better on the validation part",
        ),
    )
    lags: tuple[int, ...] | None = field(
        default=None, metadata=_help("lags of the linear paths", shown="found from the training part's autocorrelation")
    )
    experts: int | None = field(
        default=None,
        metadata=_help(
            "linear paths that each stream chooses from (at most one per stream)", shown="8, or 16 where it does better"
        ),
    )
    calendar: tuple[Calendar, ...] | None = field(
        default=None,
        metadata=_help(
            "cycles of the event's time that the network sees: hour (of the day), weekday, year",
            shown="what does better on the validation part",
        ),
    )
    since_last: bool = field(default=False, metadata=_help("the network sees the time since the stream's last event"))
    vocabulary: int = field(
        default=5_000, metadata=_help("symbols that are told apart, the most frequent ones; the rest is one more")
    )
    recall: int = field(
        default=1024,
        metadata=_help(
            "its own last symbols that a stream keeps, to look up what followed there, where that saves a hundredth of "
            "the nats on the validation part; 0: none"
        ),
    )
    dropout: float | None = field(
        default=None,
        metadata=_help(
            "share of a layer's outputs, and half of it of the inputs, that are hidden in training; of symbols also of "
            "the recurrent weights, and not of the inputs",
            shown="by the task and the events that there are for each weight",
        ),
    )

    # The trainer
    budget: float = field(
        default=20.0, metadata=_help("minutes that training may take; structures are tried within it")
    )
    epochs: int | None = field(
        default=None, metadata=_help("passes over the training part, at most", shown="by task and size")
    )
    patience: int | None = field(
        default=None,
        metadata=_help(
            "passes without a better validation score before training ends",
            shown="6; of symbols a third of the passes, if that is more",
        ),
    )
    tbptt: int | None = field(
        default=None, metadata=_help("events of truncated back-propagation through time", shown="by task")
    )
    lanes: int | None = field(
        default=None, metadata=_help("pieces of streams that are trained side by side", shown="by task and size")
    )
    optimizer: Optimizer = field(default="adamw", metadata=_help("how weights are stepped"))
    learning_rate: float | None = field(default=None, metadata=_help("the optimizer's step at first", shown="by task"))
    momentum: float = field(default=0.9, metadata=_help("of --optimizer sgd"))
    weight_decay: float = field(
        default=1e-2, metadata=_help("L2 regularisation: of the gradient, or of the weights themselves with adamw")
    )
    schedule: Schedule | None = field(
        default=None,
        metadata=_help(
            "cosine: falls to nothing over the epochs; plateau: halved where validation stands still", shown="by task"
        ),
    )
    clipping: Clipping = field(
        default="norm",
        metadata=_help(
            "of gradients: norm of all; of each layer; of each kind of parameter; each value; unit: always norm 1"
        ),
    )
    clip: float = field(default=1.0, metadata=_help("the bound of --clipping"))
    average: float | None = field(
        default=None,
        metadata=_help("decay of the averaged weights that are kept; 0: no average", shown="0.99; of symbols 0.998"),
    )
    tensorboard: bool = field(default=False, metadata=_help("write event files for TensorBoard into OUT/tensorboard"))
    ar_order: int = field(
        default=24, metadata=_help("order of the linear autoregression that a model without lags is compared with")
    )
    threads: int | None = field(
        default=None,
        metadata=_help(
            "threads of PyTorch; the same number gives the same bytes", shown="1; of symbols one for each processor"
        ),
    )
    seed: int = field(default=0, metadata=_help("seed of all random numbers"))

    def check(self) -> None:
        """Raise TrainingError where an option makes no sense."""
        if self.bidirectional:
            raise TrainingError(
                "--bidirectional: cannot be; a prediction after each event would need events that have not come yet"
            )
        self._check_names()
        self._check_ranges()
        self._check_together()

    def _check_names(self) -> None:
        kinds = {
            "task": Task, "text": Text, "per": Per, "cell": Cell, "head": Head, "scaling": Scaling,
            "optimizer": Optimizer, "schedule": Schedule, "clipping": Clipping,
        }  # fmt: skip
        for name, kind in kinds.items():
            value = getattr(self, name)
            if value is not None and value not in get_args(kind):
                raise TrainingError(f"{_flag(name)} {value}: is one of {', '.join(get_args(kind))}")
        for cycle in self.calendar or ():
            if cycle not in get_args(Calendar):
                raise TrainingError(f"--calendar {cycle}: is one of {', '.join(get_args(Calendar))}")

    def _check_ranges(self) -> None:
        for name in COUNTS:
            if (value := getattr(self, name)) is not None and value < 1:
                raise TrainingError(f"{_flag(name)} {value}: must be at least 1")
        for name, most in MOST.items():
            if (value := getattr(self, name)) is not None and value > most:
                raise TrainingError(f"{_flag(name)} {value}: must be at most {most}")
        if 0 != self.recall < RECALL_LEAST:
            raise TrainingError(f"--recall {self.recall}: must be at least {RECALL_LEAST}, or 0")
        for name in ("budget", "learning_rate", "train_share", "valid_share", "clip"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise TrainingError(f"{_flag(name)} {value}: must be greater than 0")
        for name in ("learning_rate", "weight_decay", "clip", "budget"):
            if (value := getattr(self, name)) is not None and not 0 <= value < inf:
                raise TrainingError(f"{_flag(name)} {value}: must be at least 0, and finite")
        for name in ("dropout", "average", "momentum", "hold_out_streams"):
            if (value := getattr(self, name)) is not None and not 0 <= value < 1:
                raise TrainingError(f"{_flag(name)} {value}: must be at least 0 and less than 1")
        if self.skip_lines < 0:
            raise TrainingError(f"--skip-lines {self.skip_lines}: must be at least 0")
        if not 0 <= self.seed < 2**63:
            raise TrainingError(f"--seed {self.seed}: must be from 0 to {2**63 - 1}")
        if self.lags is not None and any(lag < 0 or lag > 100_000 for lag in self.lags):
            raise TrainingError(f"--lags {' '.join(map(str, self.lags))}: must be whole numbers from 1 to 100000, or 0")

    def _check_together(self) -> None:
        if self.test_from is None and self.valid_from is None and self.train_share + self.valid_share >= 1:
            raise TrainingError(
                f"--train-share {self.train_share} and --valid-share {self.valid_share} leave no test part; "
                "their sum must be less than 1"
            )
        if (self.test_from is None) != (self.valid_from is None):
            raise TrainingError("--valid-from and --test-from: give both, or none")
        if self.wide and self.time is None:
            raise TrainingError("--wide: give --time, the column that is no stream")
        ways = {"--wide": self.wide, "--sequences": self.sequences, "--text": self.text, "--topic": self.topic}
        if sum(map(bool, ways.values())) > 1:
            raise TrainingError(f"{' and '.join(name for name, on in ways.items() if on)}: give one of them")
        task, labelled = self.what, self.label is not None or self.labels is not None
        if labelled and task != "class":
            raise TrainingError(f"--task {task}: has no use for --label or --labels; leave them out, or --task")
        if task == "class" and not labelled:
            raise TrainingError("--task class: give --label, the column of class names, or --labels")
        if self.labels is not None and not self.sequences:
            raise TrainingError("--labels: goes with --sequences; name a column by --label")
        if self.text is not None and task != "symbol":
            raise TrainingError(f"--text {self.text}: is a stream of symbols, not of task {task}")
        for name in ("lags", "target"):
            if task != "number" and getattr(self, name):
                raise TrainingError(f"--{name}: task {task} has none; leave it out")

    @property
    def what(self) -> Task:
        """The task, found out where it is not told."""
        if self.task is not None:
            return self.task
        if self.text is not None:
            return "symbol"
        return "class" if self.label is not None or self.labels is not None else "number"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
