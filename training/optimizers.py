"""How weights are stepped: the optimizers and the learning rate's course. Knows no network."""

from math import cos, pi

import torch

from training.recipe import Recipe
from training.task import Groups

WARM_UP = 0.02  # of all steps, with schedule cosine
SMOOTHING = 0.99  # of RMSProp's mean square


def optimizer(groups: Groups, recipe: Recipe) -> torch.optim.Optimizer:
    """A group's own values go before the recipe's.

    adamw decays the weights themselves (Loshchilov and Hutter 2019); the others add the decay to the gradient, which is
    L2 regularisation: adam (Kingma and Ba 2015), rmsprop (Tieleman and Hinton 2012), sgd with momentum (Polyak 1964).
    """
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=True)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=rate, weight_decay=decay, fused=True)
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rate, weight_decay=decay, alpha=SMOOTHING)
    return torch.optim.SGD(groups, lr=rate, weight_decay=decay, momentum=recipe.momentum)


def factor(recipe: Recipe, progress: float, halvings: int) -> float:
    """What the learning rate is multiplied by. progress: of all steps of all epochs, 0 to 1.

    cosine: rises from nothing within WARM_UP, falls to nothing at the end (Loshchilov and Hutter 2017). plateau: halved
    as often as the score stood still.
    """
    if recipe.schedule == "cosine":
        return min(1.0, progress / WARM_UP) * (1 + cos(pi * min(1.0, progress))) / 2
    return 0.5**halvings if recipe.schedule == "plateau" else 1.0
