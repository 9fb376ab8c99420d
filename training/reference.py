"""The PyTorch modules as parity wants them: functions of numpy arrays, whatever the task."""

from collections.abc import Callable

import torch

from export.config import Config, Weights
from export.parity import Floats, State, Step
from training.carried import Carried
from training.classify_network import ClassNetwork
from training.network import Network
from training.symbol_network import SymbolNetwork

NETWORKS: dict[str, Callable[[Config], Carried]] = {
    "number": Network,
    "symbol": SymbolNetwork,
    "class": ClassNetwork,
}


def reference(config: Config, weights: Weights) -> Step:
    """A network with these weights, step by step."""
    network = NETWORKS[config.task](config).load(weights).eval()

    def step(x: Floats, mask: Floats, state: State) -> tuple[Floats, Floats, State]:
        tensors = {name: torch.from_numpy(array) for name, array in state.items()}
        with torch.no_grad():
            predicted, surprise, following = network(torch.from_numpy(x), torch.from_numpy(mask), tensors)
        return predicted.numpy(), surprise.numpy(), {name: tensor.numpy() for name, tensor in following.items()}

    return step
