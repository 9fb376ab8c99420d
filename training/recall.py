"""What a stream's own last symbols say of the next one, in PyTorch: arithmetic as in `export.recall`, the same names.

In a model file the counts are taken anew at each event. Here they are found for all events at once, by sorting, and
the ten numbers of the mix are fitted on the validation part after the network was trained. Early stopping looks at
that part, too: its score is a little better than that of symbols which nobody has looked at, such as the test part's.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.config import LOG_LIMIT, ORDERS, Config, Weights

LONGEST = ORDERS[-1]
RIDGE = 1e-4
STEPS = 50  # of LBFGS
AT_FIRST = (5.0, 0.0)  # bias of the shortest and the longest order


class Recall(nn.Module):
    """The mix of a config, with the numbers that were fitted for it."""

    bias: Tensor
    slope: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.memory = config.recall
        self.register_buffer("bias", torch.zeros(len(ORDERS)))
        self.register_buffer("slope", torch.zeros(len(ORDERS)))

    def forward(self, around: Tensor, symbol: Tensor, there: Tensor, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The mixed probabilities after each event, [T, batch, symbols], the one its symbol had, and the next memory.

        around: the network's, [T + 1, batch, symbols]; symbol, there [T, batch]; kept, the memory [batch, recall].
        """
        memory = self.memory
        whole = torch.cat([kept, ((symbol + 1) * there).T], 1)
        windows = whole.unfold(1, memory + 1, 1).transpose(0, 1)  # [T, batch, memory + 1]
        newest = windows[..., memory - LONGEST :]
        newest = torch.where(newest < 1, -1.0, newest)
        same = [windows[..., LONGEST - j : memory - j] == newest[..., LONGEST - j, None] for j in range(LONGEST + 1)]
        at, following = windows[..., LONGEST:memory], windows[..., LONGEST + 1 :]
        after, before = ((following > 0) & same[0]), ((at > 0) & same[1])
        strength = strengths(around.amax(-1), self.bias, self.slope)
        mixed, had = around[1:], around[:-1].gather(-1, symbol[..., None])[..., 0]
        index = (following - 1).clip(0).long()
        for k in range(len(ORDERS)):
            after, before = after & same[k + 1], before & same[k + 2]
            counts = torch.zeros_like(mixed).scatter_add_(-1, index, after.to(mixed.dtype))
            a = strength[1:, :, k, None]
            mixed = (counts + a * mixed) / (after.sum(-1, keepdim=True) + a)
            a = strength[:-1, :, k]
            had = ((before & same[0]).sum(-1) + a * had) / (before.sum(-1) + a)
        return mixed, had, whole[:, -memory:]


@dataclass
class Told:
    """What is known of events before they come, when their symbol is known: [events], and [events, orders]."""

    chance: Tensor  # log-probability of the symbol by the network alone
    top: Tensor  # the largest probability
    hits: Tensor  # places that the symbol followed
    total: Tensor  # places

    def nats(self) -> float:
        """The mean by the network alone."""
        return -float(self.chance.mean())

    def mixed(self, bias: Tensor, slope: Tensor) -> Tensor:
        """The mean nats of the mix."""
        strength, chance = strengths(self.top, bias, slope), self.chance.exp()
        for k in range(len(ORDERS)):
            a = strength[:, k]
            chance = (self.hits[:, k] + a * chance) / (self.total[:, k] + a)
        return -chance.clamp_min(torch.finfo(chance.dtype).tiny).log().mean()


def strengths(top: Tensor, bias: Tensor, slope: Tensor) -> Tensor:
    """[...] -> a_k, [..., orders]."""
    return (bias + top[..., None] * slope).clip(-LOG_LIMIT, LOG_LIMIT).exp()


def fit(told: Told) -> tuple[Weights, float]:
    """The mix's numbers, by L-BFGS (Liu and Nocedal 1989), and its mean nats. Told in double."""
    bias = torch.linspace(*AT_FIRST, len(ORDERS), dtype=torch.float64).requires_grad_()
    slope = torch.zeros(len(ORDERS), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([bias, slope], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> float:
        search.zero_grad()
        nats = told.mixed(bias, slope) + RIDGE * (bias.square().mean() + slope.square().mean())
        nats.backward()  # type: ignore[no-untyped-call]
        return float(nats.detach())

    search.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        nats = float(told.mixed(bias, slope))
    fitted = {"recall.bias": bias, "recall.slope": slope}
    return {name: tensor.detach().numpy().astype(np.float32) for name, tensor in fitted.items()}, nats


def counted(
    symbol: NDArray[np.int64], stream: NDArray[np.int64], memory: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of each event, before it comes: the places that its symbol followed, and all places, [events, orders].

    symbol: [events] indexes, -1 where missing; stream: [events] its number, ascending.
    """
    size = len(symbol)
    position = np.arange(size)
    there = symbol >= 0
    known = int(symbol.max(initial=0)) + 1
    lonely = known * (int(stream.max(initial=0)) + 1) + position  # a gap is like nothing
    runs = [_numbered(np.where(there, stream * known + symbol, lonely))]
    for _ in range(LONGEST):  # runs[k]: the number of the k + 1 symbols that end at each event
        earlier = np.concatenate([[-1], runs[-1][:-1]])
        runs.append(_numbered(earlier * (size + 1) + runs[0]))
    hits, total = (np.zeros((size, len(ORDERS)), np.float32) for _ in range(2))
    followed = np.append(there[1:], False)
    for column, order in enumerate(ORDERS):
        hits[:, column] = _earlier(runs[order], np.ones(size, np.bool_), memory)
        total[1:, column] = _earlier(runs[order - 1], followed, memory)[:-1]
    begins = np.append(True, stream[1:] != stream[:-1])
    total[begins] = 0
    return hits, total


def _earlier(run: NDArray[np.int64], counts: NDArray[np.bool_], memory: int) -> NDArray[np.int64]:
    """Of each event the ones before it in its memory, of those that count, where the same run ended."""
    size = len(run)
    position = np.arange(size)
    keys = np.sort((run * (size + 1) + position)[counts])
    first = np.clip(position - memory + LONGEST, 0, position)
    begin, end = (np.searchsorted(keys, run * (size + 1) + bound) for bound in (first, position))
    return end - begin


def _numbered(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Equal values get equal numbers, from 0."""
    found: NDArray[np.int64] = np.unique(values, return_inverse=True)[1].astype(np.int64)
    return found
