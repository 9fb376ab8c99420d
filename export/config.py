"""The measures of a network and the names and shapes of its weights. Knows numpy, nothing of onnx or torch.

A network is a config and a dictionary of weights. Training fills both, a checkpoint holds both, and `graph.build` makes
a model file of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.signature import Calendar, Cell, Head, Scaling, StateTensor, Task

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
HEAD_WIDTH = 5  # per target: the median's correction, then the widths up, down, further up, further down
SUMS = ("count", "anchor", "total", "spread", "change")  # the running sums of scaling "stream", in order

VALUE_LIMIT = 1e28  # larger magnitudes are taken as this, so that no sum or product leaves float32
COUNT_LIMIT = 2.0**20  # a stream's running sums stand still from here on: float32 counts exactly up to 2**24 only
LINEAR_LIMIT = 1e6  # of what the linear path sees, in scales: no limit in practice, but 0/0 and inf stay out
SEEN_LIMIT = 10.0  # of what the first layer sees, in scales
WIDTH_LIMIT = 10.0  # of the exponent that makes a quantile's width
PRIOR_WEIGHT = 2.0  # changes that the prior scale is worth on a stream's first event
SURPRISE_LIMIT = 300.0
REGRET_LIMIT = 2.0**17  # events after which an expert's losses stand still, so that a small one still counts
DOUBT_LIMIT = 20.0  # of what an expert's losses can say against it: one in e**20, from where it can come back

# Of `reach`, a stream's own factor of its intervals:
BLOCK = 256  # errors after which what is remembered is halved
BLOCKS = 100  # in one call, at most: sums of twice the power before stay in float32; the engine's calls are shorter
PATIENCE = 64.0  # errors that the usual mean is worth
FAR = 5.0  # of one error, in intervals
FACTOR = (0.5, 4.0)

# Of `recall`, what a stream's own last symbols say:
ORDERS = (2, 3, 4, 5, 6)  # how many symbols must have stood before as they stand now
LOG_LIMIT = 8.0  # of the logarithm of the places that the shorter orders are worth
RECALL_LEAST = 16  # symbols

GATES = {"lstm": 4, "graves-lstm": 4, "gru": 3, "rnn": 1}  # each of as many rows as there are units
PEEPHOLES = 3  # of graves-lstm, in the order input, forget, output
HEAD_ROWS = {"quantile": HEAD_WIDTH, "normal": 2}  # of "normal": the mean's correction, the logarithm of the deviation
CLOCK = ("(hours)", "(milliseconds)")  # what x has after the features: the event's time, hours since 1970 and the rest

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Config:
    """What decides the graph's form. `lags` empty: no linear path, and the row keeps the last value only.

    Lags count back from the value that is predicted: lag 1 is the newest value, lag 24 the one of 23 events earlier.
    Task `symbol` has one feature, the symbol's index, and knows no scaling, lags or experts. Task `class` has no lags.
    """

    features: tuple[str, ...] = ("value",)
    targets: tuple[str, ...] = ("value",)
    hidden: int = 64
    layers: int = 1
    scaling: Scaling = "stream"
    lags: tuple[int, ...] = ()
    experts: int = 1  # linear paths to choose from, by each stream's own record of them; more than one needs lags
    task: Task = "number"
    cell: Cell = "lstm"
    head: Head = "quantile"
    calendar: tuple[Calendar, ...] = ()  # of the event's own time, in UTC
    since_last: bool = False  # whether the network sees the time since the stream's last event
    reach: bool = False  # task `number`: whether each stream's own errors widen its intervals
    outcomes: int = 0  # tasks `symbol` and `class`: among how many the softmax chooses
    embedding: int = 0  # task `symbol`: columns that a symbol becomes
    recall: int = 0  # task `symbol`: how many of its own last symbols a stream keeps, to look them up; 0: none

    def __post_init__(self) -> None:
        if not self.features or (
            self.task != "class" and not (self.targets and set(self.targets) <= set(self.features))
        ):
            raise ValueError(f"targets {self.targets} must be some of the features {self.features}")
        if self.task != "number" and (self.outcomes < 2 or self.lags):
            raise ValueError(f"task {self.task} needs two outcomes or more, not {self.outcomes}, and no lags")
        if self.task == "symbol" and (self.embedding < 1 or len(self.features) > 1):
            raise ValueError(f"task symbol needs an embedding, not {self.embedding}, and one feature")
        if self.recall and (self.task != "symbol" or self.recall < RECALL_LEAST):
            raise ValueError(f"recall {self.recall} must be 0 or at least {RECALL_LEAST}, and 0 but for task symbol")
        if self.hidden < 1 or self.layers < 1:
            raise ValueError(f"hidden {self.hidden} and layers {self.layers} must be at least 1")
        if list(self.lags) != sorted(set(self.lags)) or (self.lags and self.lags[0] < 1):
            raise ValueError(f"lags {self.lags} must be ascending whole numbers from 1 on")

        if self.experts < 1 or (self.experts > 1 and not self.back):
            raise ValueError(f"experts {self.experts} must be at least 1, and 1 without lags above 1")

    @property
    def history(self) -> int:
        """Values of each feature that a row keeps."""
        return max(self.lags, default=1)

    @property
    def back(self) -> tuple[int, ...]:
        """The lags that tell something beside the newest value itself."""
        return tuple(lag for lag in self.lags if lag > 1)

    @property
    def target_columns(self) -> tuple[int, ...]:
        """Where the targets stand among the features."""
        return tuple(self.features.index(name) for name in self.targets)

    @property
    def clock(self) -> bool:
        """Whether x and mask have the columns CLOCK after the features."""
        return bool(self.calendar) or self.since_last

    @property
    def clock_width(self) -> int:
        """Columns that the network sees of the time: each cycle's sine and cosine, and the time since the last."""
        return 2 * len(self.calendar) + self.since_last

    @property
    def output(self) -> str:
        """The name of what is predicted."""
        return "quantiles" if self.task == "number" else "probabilities"

    @property
    def output_shape(self) -> tuple[int, int]:
        """Of one event's prediction."""
        return (len(self.targets), len(LEVELS)) if self.task == "number" else (1, self.outcomes)

    @property
    def linear_width(self) -> int:
        """Columns of the linear path: for each lag all features, then the distance of all features to their mean."""
        return (len(self.back) + 1) * len(self.features) if self.lags else 0

    @property
    def input_width(self) -> int:
        """Columns that the first layer sees: level, mask, and the way to each lag (or the last change); then the time.

        Of task `symbol`: the embedding, then the time.
        """
        if self.task == "symbol":
            return self.embedding + self.clock_width
        return (2 + max(len(self.back), 1)) * len(self.features) + self.clock_width

    @property
    def carried(self) -> str:
        """The kinds of state that each layer carries: hidden, and cell where there is one."""
        return "hc" if self.cell in ("lstm", "graves-lstm") else "h"

    @property
    def state(self) -> tuple[StateTensor, ...]:
        """The state tensors, in the order of the row."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.layers):
            shapes |= {f"{kind}{layer}": (self.hidden,) for kind in self.carried}
        if self.since_last:
            shapes["clock"] = (len(CLOCK),)  # of the last event; zeros: there was none
        if self.recall:
            shapes["recall"] = (self.recall,)  # the newest one last: its index + 1; 0: it is missing, or not there yet
        if self.task == "symbol":
            return _tensors(shapes)
        shapes["history"] = (self.history, len(self.features))
        if self.back:
            shapes["age"] = (len(self.features),)
        if self.experts > 1:
            shapes["losses"] = (len(self.targets), self.experts)
        if self.scaling == "stream":
            shapes["sums"] = (len(SUMS), len(self.features))
        if self.reach:
            shapes["reach"] = (len(self.targets), 4)  # whether begun, place in the block, weight, sum of errors
        return _tensors(shapes)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight.

        The cells' are PyTorch's: gates in the order input, forget, cell, output (lstm), reset, update, new (gru).
        """
        features, targets = len(self.features), len(self.targets)
        shapes: dict[str, tuple[int, ...]] = {}
        if self.task == "symbol":
            shapes["embedding.weight"] = (self.outcomes, self.embedding)
        rows = GATES[self.cell] * self.hidden
        for layer in range(self.layers):
            shapes[f"cells.weight_ih_l{layer}"] = (rows, self.hidden if layer else self.input_width)
            shapes[f"cells.weight_hh_l{layer}"] = (rows, self.hidden)
            shapes[f"cells.bias_ih_l{layer}"] = shapes[f"cells.bias_hh_l{layer}"] = (rows,)
            if self.cell == "graves-lstm":
                shapes[f"cells.peephole_l{layer}"] = (PEEPHOLES, self.hidden)
        if self.since_last:
            shapes["typical"] = (1,)  # milliseconds from event to event, > 0
        outputs = targets * HEAD_ROWS[self.head] if self.task == "number" else self.outcomes
        shapes["head.weight"] = (outputs, self.hidden)
        shapes["head.bias"] = (outputs,)
        if self.recall:
            shapes["recall.bias"] = shapes["recall.slope"] = (len(ORDERS),)
        if self.task == "symbol":
            return shapes
        if self.lags:
            shapes["linear.weight"] = (targets * self.experts, self.linear_width)
            shapes["linear.bias"] = (targets * self.experts,)
        if self.experts > 1:
            shapes["gate.weight"] = (targets * self.experts, self.hidden)
            shapes["gate.bias"] = (targets * self.experts,)
        if self.task == "number":
            shapes["stretch"] = (targets, HEAD_WIDTH - 1)  # of the widths, > 0, from calibration
            shapes["tail"] = (targets, 2)  # surprise per outer width beyond the outer quantiles, above and below, > 0
        if self.reach:
            shapes["usual"] = (targets,)  # mean error, in intervals, > 0
        if self.scaling == "fixed":
            # mean value, mean absolute distance from it, mean absolute change from event to event
            shapes["center"] = shapes["spread"] = shapes["scale"] = (features,)
        else:
            shapes["prior"] = (2, features)  # a stream's scale at first is prior[0] * |first value| + prior[1]
        return shapes

    def check(self, weights: Weights) -> None:
        """Raise ValueError where a weight is missing, misshapen, not finite, or not positive where it must be."""
        for name, shape in self.shapes().items():
            if name not in weights:
                raise ValueError(f"weight {name} is missing")
            if weights[name].shape != shape:
                raise ValueError(f"weight {name} has shape {weights[name].shape}, not {shape}")
            if not np.isfinite(weights[name]).all():
                raise ValueError(f"weight {name} holds NaN or infinity")
        positive = ("stretch", "tail", "spread", "scale", "typical", "usual")
        if any((weights[name] <= 0).any() for name in positive if name in weights):
            raise ValueError(f"the weights {', '.join(positive)} must be greater than 0")
        if "prior" in weights and ((weights["prior"][0] < 0).any() or (weights["prior"][1] < 1e-12).any()):
            raise ValueError("the weights prior must be at least 0 and 1e-12")


def _tensors(shapes: dict[str, tuple[int, ...]]) -> tuple[StateTensor, ...]:
    return tuple(StateTensor(name, f"{name}_next", shape) for name, shape in shapes.items())
