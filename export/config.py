"""The measures of a network and the names and shapes of its weights. Knows numpy, nothing of onnx or torch.

A network is a config and a dictionary of weights. Training fills both, a checkpoint holds both, and `graph.build` makes
a model file of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.signature import Scaling, StateTensor

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
HEAD_WIDTH = 5  # per target: the median's correction, then the widths up, down, further up, further down
SUMS = ("count", "anchor", "total", "spread", "change")  # the running sums of scaling "stream", in order

VALUE_LIMIT = 1e28  # larger magnitudes are taken as this, so that no sum or product leaves float32
COUNT_LIMIT = 2.0**20  # a stream's running sums stand still from here on: float32 counts exactly up to 2**24 only
LINEAR_LIMIT = 1e6  # of what the linear path sees, in scales: no limit in practice, but 0/0 and inf stay out
SEEN_LIMIT = 10.0  # of what the LSTM sees, in scales
WIDTH_LIMIT = 10.0  # of the exponent that makes a quantile's width
PRIOR_WEIGHT = 2.0  # changes that the prior scale is worth on a stream's first event
SURPRISE_LIMIT = 300.0
REGRET_LIMIT = 2.0**17  # events after which an expert's losses stand still, so that a small one still counts
DOUBT_LIMIT = 20.0  # of what an expert's losses can say against it: one in e**20, from where it can come back

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Config:
    """What decides the graph's form. `lags` empty: no linear path, and the row keeps the last value only.

    Lags count back from the value that is predicted: lag 1 is the newest value, lag 24 the one of 23 events earlier.
    """

    features: tuple[str, ...] = ("value",)
    targets: tuple[str, ...] = ("value",)
    hidden: int = 64
    layers: int = 1
    scaling: Scaling = "stream"
    lags: tuple[int, ...] = ()
    experts: int = 1  # linear paths to choose from, by each stream's own record of them; more than one needs lags

    def __post_init__(self) -> None:
        if not self.features or not self.targets or not set(self.targets) <= set(self.features):
            raise ValueError(f"targets {self.targets} must be some of the features {self.features}")
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
    def linear_width(self) -> int:
        """Columns of the linear path: for each lag all features, then the distance of all features to their mean."""
        return (len(self.back) + 1) * len(self.features) if self.lags else 0

    @property
    def input_width(self) -> int:
        """Columns that the first LSTM layer sees: level, mask, and the way to each lag (or the last change)."""
        return (2 + max(len(self.back), 1)) * len(self.features)

    @property
    def state(self) -> tuple[StateTensor, ...]:
        """The state tensors, in the order of the row."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.layers):
            shapes[f"h{layer}"] = shapes[f"c{layer}"] = (self.hidden,)
        shapes["history"] = (self.history, len(self.features))
        if self.back:
            shapes["age"] = (len(self.features),)
        if self.experts > 1:
            shapes["losses"] = (len(self.targets), self.experts)
        if self.scaling == "stream":
            shapes["sums"] = (len(SUMS), len(self.features))
        return tuple(StateTensor(name, f"{name}_next", shape) for name, shape in shapes.items())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight; the LSTM's are PyTorch's, gates in the order input, forget, cell, output."""
        features, targets, gates = len(self.features), len(self.targets), 4 * self.hidden
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.layers):
            shapes[f"lstm.weight_ih_l{layer}"] = (gates, self.hidden if layer else self.input_width)
            shapes[f"lstm.weight_hh_l{layer}"] = (gates, self.hidden)
            shapes[f"lstm.bias_ih_l{layer}"] = shapes[f"lstm.bias_hh_l{layer}"] = (gates,)
        shapes["head.weight"] = (targets * HEAD_WIDTH, self.hidden)
        shapes["head.bias"] = (targets * HEAD_WIDTH,)
        if self.lags:
            shapes["linear.weight"] = (targets * self.experts, self.linear_width)
        if self.experts > 1:
            shapes["gate.weight"] = (targets * self.experts, self.hidden)
            shapes["gate.bias"] = (targets * self.experts,)
        shapes["stretch"] = (targets, HEAD_WIDTH - 1)  # of the widths, > 0, from calibration
        shapes["tail"] = (targets, 2)  # surprise per outer width beyond the outer quantiles, above and below, > 0
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
        positive = ("stretch", "tail", "spread", "scale")
        if any((weights[name] <= 0).any() for name in positive if name in weights):
            raise ValueError(f"the weights {', '.join(positive)} must be greater than 0")
        if "prior" in weights and ((weights["prior"][0] < 0).any() or (weights["prior"][1] < 1e-12).any()):
            raise ValueError("the weights prior must be at least 0 and 1e-12")
