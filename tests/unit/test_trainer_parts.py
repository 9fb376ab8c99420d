"""The arithmetic of a step: optimizers, the learning rate's course, clipping, averaged weights."""

from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from training.averaging import Average
from training.clipping import Clipper, kind, layer
from training.optimizers import WARM_UP, factor, optimizer
from training.recipe import Recipe
from training.task import Groups

RECIPE = Recipe(epochs=10, patience=5, tbptt=8, lanes=4, learning_rate=0.1, weight_decay=0.01, momentum=0.8)
NAMES = (
    *("cells.weight_ih_l0", "cells.weight_hh_l0", "cells.bias_ih_l0", "cells.bias_hh_l0", "cells.peephole_l0"),
    *("cells.weight_ih_l1", "cells.weight_hh_l1", "cells.bias_ih_l1", "cells.bias_hh_l1", "cells.peephole_l1"),
    *("head.weight", "head.bias", "linear.weight", "embedding.weight"),
)


def adamw(w: float, gradients: list[float]) -> float:
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        w -= 0.1 * 0.01 * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w -= 0.1 * (m / (1 - 0.9**t)) / (sqrt(v / (1 - 0.999**t)) + 1e-8)
    return w


def adam(w: float, gradients: list[float]) -> float:
    m = v = 0.0
    for t, gradient in enumerate(gradients, 1):
        g = gradient + 0.01 * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w -= 0.1 * (m / (1 - 0.9**t)) / (sqrt(v / (1 - 0.999**t)) + 1e-8)
    return w


def rmsprop(w: float, gradients: list[float]) -> float:
    v = 0.0
    for gradient in gradients:
        g = gradient + 0.01 * w
        v = 0.99 * v + 0.01 * g * g
        w -= 0.1 * g / (sqrt(v) + 1e-8)
    return w


def sgd(w: float, gradients: list[float]) -> float:
    velocity = 0.0
    for i, gradient in enumerate(gradients):
        g = gradient + 0.01 * w
        velocity = 0.8 * velocity + g if i else g
        w -= 0.1 * velocity
    return w


@pytest.mark.parametrize("formula", [adamw, adam, rmsprop, sgd])
def test_an_optimizer_steps_as_its_paper_says(formula: Any) -> None:
    gradients = [0.5, -2.0, 0.1]
    weight = nn.Parameter(torch.tensor([1.5]))
    steps = optimizer([{"params": [weight]}], replace(RECIPE, optimizer=formula.__name__))
    for gradient in gradients:
        weight.grad = torch.tensor([gradient])
        steps.step()
    assert weight.item() == pytest.approx(formula(1.5, gradients), rel=1e-5)


def test_a_group_keeps_its_own_rate_and_decay() -> None:
    common, own = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    groups: Groups = [{"params": [common]}, {"params": [own], "lr": 0.01, "weight_decay": 0.0}]
    steps = optimizer(groups, replace(RECIPE, optimizer="sgd"))
    common.grad, own.grad = torch.ones(1), torch.ones(1)
    steps.step()
    assert common.item() == pytest.approx(1 - 0.1 * 1.01)
    assert own.item() == pytest.approx(1 - 0.01)


def test_schedule_cosine_warms_up_and_falls_to_nothing() -> None:
    recipe = replace(RECIPE, schedule="cosine")
    assert factor(recipe, WARM_UP / 2, 0) == pytest.approx(0.5, rel=0.01)
    assert factor(recipe, WARM_UP, 0) == pytest.approx(1, rel=0.01)
    assert factor(recipe, 0.5, 3) == pytest.approx(0.5)
    assert factor(recipe, 0.75, 0) == pytest.approx((1 - sqrt(0.5)) / 2)
    assert factor(recipe, 1.0, 0) == 0
    falling = [factor(recipe, x, 0) for x in np.linspace(WARM_UP, 1, 50)]
    assert falling == sorted(falling, reverse=True)


def test_schedule_plateau_halves_and_constant_does_not() -> None:
    assert factor(replace(RECIPE, schedule="plateau"), 0.9, 3) == 1 / 8
    assert factor(replace(RECIPE, schedule="constant"), 0.9, 3) == 1


def clipped(mode: Any, bound: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Gradients before and after."""
    random = torch.Generator().manual_seed(0)
    named = [(name, nn.Parameter(torch.zeros(2, 3))) for name in NAMES]
    for _, weight in named:
        weight.grad = torch.randn(2, 3, generator=random)
    named.append(("unused.weight", nn.Parameter(torch.zeros(2))))
    before = {name: weight.grad.numpy().copy() for name, weight in named if weight.grad is not None}
    Clipper(named, mode, bound)()
    return before, {name: weight.grad.numpy() for name, weight in named if weight.grad is not None}


def norm(gradients: dict[str, np.ndarray]) -> float:
    return float(np.sqrt(sum((g.astype(float) ** 2).sum() for g in gradients.values())))


def test_clipping_by_value_cuts_each_number() -> None:
    before, after = clipped("value", 0.5)
    for name, gradient in before.items():
        np.testing.assert_array_equal(after[name], gradient.clip(-0.5, 0.5))


def test_clipping_by_norm_shortens_all_alike_and_only_what_is_too_long() -> None:
    before, after = clipped("norm", 2.0)
    for name, gradient in before.items():
        np.testing.assert_allclose(after[name], gradient * 2.0 / norm(before), rtol=1e-5)
    before, after = clipped("norm", 100.0)
    for name, gradient in before.items():
        np.testing.assert_array_equal(after[name], gradient)


@pytest.mark.parametrize(("mode", "group_of", "groups"), [("layer", layer, 5), ("kind", kind, 7)])
def test_clipping_by_layer_or_kind_bounds_each_group(mode: Any, group_of: Any, groups: int) -> None:
    before, after = clipped(mode, 3.0)
    assert len({group_of(name) for name in NAMES}) == groups
    lengths = []
    for group in {group_of(name) for name in NAMES}:
        mine = [name for name in NAMES if group_of(name) == group]
        length = norm({name: before[name] for name in mine})
        lengths.append(length)
        for name in mine:
            np.testing.assert_allclose(after[name], before[name] * min(1, 3.0 / length), rtol=1e-5)
    assert min(lengths) < 3.0 < max(lengths)


def test_layers_and_kinds_go_by_name() -> None:
    assert layer("cells.weight_hh_l1") == layer("cells.bias_ih_l1") != layer("cells.weight_hh_l0")
    assert layer("head.weight") == layer("head.bias")
    assert kind("cells.weight_hh_l1") == kind("cells.weight_hh_l0") != kind("cells.weight_ih_l0")
    assert kind("head.bias") == kind("cells.bias_hh_l0")
    assert kind("head.weight") != kind("linear.weight")


@pytest.mark.parametrize("bound", [0.1, 100.0])
def test_clipping_to_unit_norm_shortens_and_lengthens(bound: float) -> None:
    before, after = clipped("unit", bound)
    for name, gradient in before.items():
        np.testing.assert_allclose(after[name], gradient / norm(before), rtol=1e-5)
    nothing = nn.Parameter(torch.ones(2))
    nothing.grad = torch.zeros(2)
    Clipper([("w", nothing)], "unit", 1.0)()
    assert nothing.grad.tolist() == [0, 0]


def test_no_clipping_changes_nothing() -> None:
    before, after = clipped("none", 1e-9)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_averaged_weights_are_the_moving_average_of_the_steps() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    average = Average([weight], 0.5)
    kept = 1.0
    for step, value in enumerate((2.0, 3.0, 5.0, 8.0, 1.0, 1.0, 4.0, 9.0, 7.0, 2.0, 6.0, 3.0), 1):
        weight.data = torch.tensor([value])
        average.update()
        decay = min(0.5, step / (10 + step))
        kept = decay * kept + (1 - decay) * value
    with average:
        assert weight.item() == pytest.approx(kept)
    assert weight.item() == 3.0


def test_decay_0_is_no_average() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    average = Average([weight], 0.0)
    weight.data = torch.tensor([2.0])
    average.update()
    with average:
        assert weight.item() == 2.0
