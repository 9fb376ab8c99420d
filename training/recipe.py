"""How a network is trained: the options of the trainer with nothing left open. Knows no data and no network."""

from dataclasses import dataclass

from training.options import Clipping, Optimizer, Schedule


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the training loop does, whatever the task."""

    epochs: int  # at most; what schedule "cosine" falls over
    patience: int  # epochs without a better score
    tbptt: int  # events
    lanes: int
    optimizer: Optimizer = "adamw"
    learning_rate: float = 3e-3
    momentum: float = 0.9  # of sgd
    weight_decay: float = 1e-2
    schedule: Schedule = "plateau"
    clipping: Clipping = "norm"
    clip: float = 1.0
    average: float = 0.99  # decay of the averaged weights; 0: none
    dropout: float = 0.2
    seconds: float = 1200.0  # training ends with the best weights so far after this many
    seed: int = 0
