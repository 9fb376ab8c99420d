"""The kind of task `symbol`: a vocabulary of the training part, and as many units as the parameters allow."""

import os
from dataclasses import replace
from typing import Any

import numpy as np

from export.config import Config, Weights
from training.data import Events
from training.errors import TrainingError
from training.kinds.kind import PATIENCE, Variation, recipe
from training.measure import constants
from training.options import TrainOptions
from training.recall import fit
from training.recipe import Recipe
from training.splits import TRAIN, Split
from training.symbol import Symbol, embedding, fitted, parameters
from training.symbol_data import prepare, vocabulary
from training.symbol_network import SymbolNetwork, initialise

PARAMETERS, UNITS = 350_000, 128  # a network's weights, or what so many units take with a large vocabulary
WINDOW = 64
LANES = (8, 32)  # fewer where there is little data, so that a pass is about PASS windows
PASS = 24
STEPPED = 20_000_000  # events that training steps through, about
EPOCHS = (2, 30)
STEPS = 1000  # windows at least, in PASSES at most
PASSES = 300
FEW = 2000  # events that are learned by heart
ENOUGH, MANY = 2, 10  # events for each weight
WORTH, LITTLE = 0.01, 0.001  # the share of the nats that recall must save, and the nats at least


class Symbols:
    """The next symbol of each stream."""

    threads = os.cpu_count() or 1

    def __init__(self, events: Events, parts: Split, options: TrainOptions) -> None:
        self._events, self._parts, self._options = events, parts, options
        self._symbols = symbols = vocabulary(events, parts, options.vocabulary)
        if len(symbols) < 3:
            told = ", ".join(map(repr, symbols[1:])) or "none"
            raise TrainingError(
                f"the training part has {len(symbols) - 1} symbols ({told}); give data with two or more"
            )
        self.facts: dict[str, Any] = {"symbols": symbols, "text": options.text or ""}
        self.notes = [
            f"Vocabulary: the {len(symbols) - 1} most frequent symbols of the training part, and one for the rest."
        ]
        feature = events.features[0]
        self.config = Config(
            features=(feature,),
            targets=(feature,),
            hidden=options.hidden or 8,
            layers=options.layers,
            task="symbol",
            cell=options.cell,
            calendar=options.calendar or (),
            since_last=options.since_last,
            outcomes=len(symbols),
            embedding=embedding(len(symbols)),
        )
        if options.hidden is None:
            least = parameters(replace(self.config, hidden=UNITS))
            self.config = fitted(self.config, options.max_parameters or max(PARAMETERS, least))

    def variations(self) -> list[Variation]:
        """None."""
        return []

    def recipe(self, config: Config) -> Recipe:
        """Few passes over much data, and nothing hidden; where there is little, as many as make STEPS windows."""
        events = max(1, int((self._parts.part == TRAIN).sum()))
        tbptt = self._options.tbptt or WINDOW
        lanes = self._options.lanes or int(np.clip(events // (tbptt * PASS), *LANES))
        short = min(PASSES, STEPS // max(1, events // (tbptt * lanes)))
        epochs = self._options.epochs or max(short, int(np.clip(STEPPED // events, *EPOCHS)))
        return recipe(
            self._options,
            epochs=epochs,
            patience=max(PATIENCE, epochs // 3),
            tbptt=tbptt,
            lanes=lanes,
            learning_rate=4e-3,
            schedule="cosine",
            dropout=dropout(events, parameters(config)),
            average=0.998,
        )

    def task(self, config: Config, trial: bool) -> Symbol:  # noqa: ARG002 - the protocol's
        """A network that knows how frequent each symbol is."""
        network = SymbolNetwork(config)
        measured = constants(self._events, self._parts, config)
        network.load(network.weights() | measured)
        text = prepare(self._events, self._parts, config, self._symbols, measured)
        initialise(network, text.counts)
        return Symbol(network, text)

    def judge(self, task: Symbol) -> float:
        """Nats."""
        return task.validate()

    def finish(self, task: Symbol) -> tuple[Config, Weights]:
        """With what a stream's own last symbols say, where that is worth keeping them."""
        config, weights, memory = task.network.config, task.network.weights(), self._options.recall
        told = task.told(memory) if memory else None
        if told is None:
            return config, weights
        fitted, nats = fit(told)
        saved = told.nats() - nats
        kept = saved >= max(LITTLE, WORTH * told.nats())
        self.notes.append(
            f"Recall: with each stream's last {memory} symbols {nats:.4f} nats on the validation part, without them "
            f"{told.nats():.4f}; {'kept' if kept else 'left out'}."
        )
        return (replace(config, recall=memory), weights | fitted) if kept else (config, weights)

    def name(self, config: Config) -> str:
        """Its size."""
        return f"{config.layers} x {config.hidden} units"


def dropout(events: int, weights: int) -> float:
    """The share that is hidden: less where there are more events for each weight, nothing where all is to be kept."""
    if events < FEW or events >= MANY * weights:
        return 0.0
    return 0.1 if events >= ENOUGH * weights else 0.2
