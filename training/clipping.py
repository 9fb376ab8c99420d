"""Bounds gradients before a step, in five ways. Knows the names of weights, nothing of what they do."""

import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from training.options import Clipping

LAYER = re.compile(r"_l(\d+)$")  # how torch ends the names of a cell's weights


class Clipper:
    """Clips the gradients of named weights, those without one left out.

    norm: all gradients as one vector are shortened to the bound (Pascanu et al. 2013). layer, kind: the same for the
    gradients of each layer, or of each kind of weight. value: each number is cut to the bound. unit: all gradients as
    one vector are always given norm 1, whatever the bound.
    """

    def __init__(self, weights: Iterable[tuple[str, nn.Parameter]], mode: Clipping, bound: float) -> None:
        self.mode, self.bound = mode, bound
        name_of = {"layer": layer, "kind": kind}.get(mode, lambda _: "")
        groups: dict[str, list[nn.Parameter]] = {}
        for name, weight in weights:
            groups.setdefault(name_of(name), []).append(weight)
        self.groups = list(groups.values())

    def __call__(self) -> None:
        """Clip what the last backward pass left."""
        for group in self.groups if self.mode != "none" else ():
            if self.mode == "value":
                nn.utils.clip_grad_value_(group, self.bound)
            elif self.mode == "unit":
                _to_unit([weight.grad for weight in group if weight.grad is not None])
            else:
                nn.utils.clip_grad_norm_(group, self.bound)


def layer(name: str) -> str:
    """The layer of a weight: each of the cells' layers, and each other module."""
    module = name.rpartition(".")[0]
    found = LAYER.search(name)
    return f"{module}.{found[1]}" if found else module


def kind(name: str) -> str:
    """The kind of a weight: weight_ih, weight_hh, peephole, bias; of other modules each weight is its own kind."""
    module, _, last = name.rpartition(".")
    if last.startswith("bias"):
        return "bias"
    return LAYER.sub("", last) if LAYER.search(last) else f"{module}.{last}"


def _to_unit(gradients: list[Tensor]) -> None:
    norm = nn.utils.get_total_norm(gradients)
    if norm > 0:
        torch._foreach_div_(gradients, norm)
