"""The network of task `symbol` as a PyTorch module: arithmetic as in `export.symbol`, the same names of weights."""

from math import log

import torch
from torch import Tensor, nn

from export.config import SURPRISE_LIMIT, Config
from training import cells, clock
from training.carried import Carried, State
from training.dropout import of_window
from training.recall import Recall


class SymbolNetwork(Carried):
    """Embedding, recurrent layers, softmax."""

    typical: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.outcomes, config.embedding)
        self.cells = cells.Cells(config)
        self.head = nn.Linear(config.hidden, config.outcomes)
        if config.since_last:
            self.register_buffer("typical", torch.ones(1))
        if config.recall:
            self.recall = Recall(config)

    def hidden(
        self, symbol: Tensor, there: Tensor, time: Tensor, state: cells.State, dropout: float = 0.0
    ) -> tuple[Tensor, cells.State]:
        """The last layer's hidden states [T, batch, hidden], and the next state.

        symbol [T, batch] indexes; there [T, batch] 1, or 0 where it is missing; time [T, batch, clock_width]. dropout:
        the share of recurrent weights (Merity et al. 2018) and of each stream's outputs (Gal and Ghahramani 2016) that
        are hidden in this window; between layers that of all outputs.
        """
        seen = self.embedding(symbol) * there[..., None]
        y, after = self.cells(torch.cat([seen, time], -1), state, dropout, weights=dropout)
        return of_window(y, dropout), after

    def forward(self, x: Tensor, mask: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """As the model file: probabilities [T, batch, 1, symbols], surprise [T, batch, 1], the next state."""
        config, following = self.config, {}
        symbol = x[..., 0].clip(0, config.outcomes - 1).long()
        time = torch.zeros(*symbol.shape, 0)
        if config.clock:
            typical = self.typical if config.since_last else None
            time = clock.seen(config, x[..., 1:], state.get("clock"), typical)
        if config.since_last:
            following["clock"] = x[-1, :, 1:]
        before = self.cells.from_rows(state)
        y, after = self.hidden(symbol, mask[..., 0], time, before)
        logits = self.head(torch.cat([before[0][-1:], y]))
        if config.recall:
            mixed, had, following["recall"] = self.recall(logits.softmax(-1), symbol, mask[..., 0], state["recall"])
            chance = had[..., None].double().clamp_min(1e-300).log().float()
        else:
            told = torch.log_softmax(logits, -1)
            mixed, chance = told[1:].exp(), told[:-1].gather(-1, symbol[..., None])
        surprise = (chance / -log(10)).clip(0, SURPRISE_LIMIT)
        return mixed[:, :, None], surprise, following | self.cells.to_rows(after)


def initialise(network: SymbolNetwork, counts: Tensor) -> None:
    """A fresh network that says how frequent each symbol is; counts [symbols] in the training part.

    The embedding of the unknown symbol is 0, which stays where training has none.
    """
    cells.initialise(network.cells)
    nn.init.normal_(network.embedding.weight)
    network.embedding.weight.data[0] = 0
    network.head.weight.data.mul_(0.3)
    smooth = counts + 0.5
    network.head.bias.data = (smooth / smooth.sum()).log()
