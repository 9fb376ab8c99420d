"""What a model of classes must beat: the commonest class, and a logistic regression on simple summaries.

The summaries of an event are of its stream's values so far, this one included. Fitted on the training part; how strong
the weights are held back is chosen on the validation part. Knows arrays and torch.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.scores.series import Array, Ints
from training.scores.threads import one_thread

SUMMARIES = ("first", "last", "mean", "deviation", "least", "greatest", "mean change", "slope")
HELD_BACK = (1e-4, 1e-3, 1e-2, 1e-1)  # weights of the weights' squares
EXAMPLES = 50_000  # of the training part, at most
ITERATIONS = 100
FAR = 10.0  # of a summary, in deviations


def summaries(values: Array) -> Array:
    """[T, features * SUMMARIES] of one stream's values [T, features]; NaN where no value has been."""
    there = np.isfinite(values)
    count = np.maximum(there.cumsum(0), 1)
    known = np.where(there, values, 0)
    newest = np.maximum.accumulate(np.where(there, np.arange(len(values))[:, None], -1), axis=0)
    last = np.take_along_axis(values, newest.clip(0), 0)
    first = np.broadcast_to(np.take_along_axis(values, there.argmax(0)[None], 0), values.shape)
    mean = known.cumsum(0) / count
    centered = np.where(there, values - first, 0)  # so that the sums of squares stay exact
    square = (centered**2).cumsum(0) / count - (centered.cumsum(0) / count) ** 2
    change = np.abs(np.diff(last, axis=0, prepend=last[:1]))
    steps = np.where(there, np.arange(len(values))[:, None], 0.0)
    pace = steps.cumsum(0) / count
    spread = (steps**2).cumsum(0) / count - pace**2
    slope = ((steps * centered).cumsum(0) / count - pace * centered.cumsum(0) / count) / np.maximum(spread, 1e-9)
    found = [
        first,
        last,
        mean,
        np.sqrt(square.clip(0)),
        np.minimum.accumulate(np.where(there, values, np.inf), 0),
        np.maximum.accumulate(np.where(there, values, -np.inf), 0),
        np.where(np.isfinite(change), change, 0).cumsum(0) / count,
        slope,
    ]
    return np.where(np.tile(newest >= 0, len(found)), np.concatenate(found, 1), np.nan)


@one_thread()
def logistic(
    fitted: tuple[Array, Ints], checked: tuple[Array, Ints], asked: Array, classes: int, seed: int
) -> NDArray[np.float64]:
    """[asked, classes] probabilities. fitted and checked: summaries [rows, columns] and classes [rows]."""
    seen, wanted = fitted
    if len(seen) > EXAMPLES:
        rows = np.sort(np.random.default_rng(seed).choice(len(seen), EXAMPLES, replace=False))
        seen, wanted = seen[rows], wanted[rows]
    there = np.isfinite(seen)
    count = np.maximum(there.sum(0), 1)
    center = np.where(there, seen, 0).sum(0) / count
    spread = np.sqrt((np.where(there, seen - center, 0) ** 2).sum(0) / count)

    def standard(columns: Array) -> torch.Tensor:
        apart = np.where(np.isfinite(columns), (columns - center) / np.where(spread > 0, spread, 1), 0)
        return torch.from_numpy(apart.clip(-FAR, FAR))

    best, kept = float("inf"), nn.Linear(seen.shape[1], classes, dtype=torch.float64)
    for held_back in HELD_BACK:
        network = _fitted(standard(seen), torch.from_numpy(wanted), classes, held_back)
        with torch.no_grad():
            columns, truth = checked if len(checked[0]) else (seen, wanted)
            loss = float(nn.functional.cross_entropy(network(standard(columns)), torch.from_numpy(truth)))
        if loss < best:
            best, kept = loss, network
    with torch.no_grad():
        return kept(standard(asked)).softmax(1).numpy()  # type: ignore[no-any-return]


def _fitted(seen: torch.Tensor, wanted: torch.Tensor, classes: int, held_back: float) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        network = nn.Linear(seen.shape[1], classes, dtype=torch.float64)
    nn.init.zeros_(network.weight)
    nn.init.zeros_(network.bias)
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        found = nn.functional.cross_entropy(network(seen), wanted) + held_back * (network.weight**2).sum() / 2
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return network
