"""The kind of task `symbol`: a vocabulary of the training part, and as many units as the parameters allow."""

import os
from typing import Any

from export.config import Config, Weights
from training.data import Events
from training.errors import TrainingError
from training.kinds.kind import Variation, recipe
from training.measure import constants
from training.options import TrainOptions
from training.recipe import Recipe
from training.splits import Split
from training.symbol import Symbol, embedding, fitted
from training.symbol_data import prepare, vocabulary
from training.symbol_network import SymbolNetwork, initialise


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
            self.config = fitted(self.config, options.max_parameters)

    def variations(self) -> list[Variation]:
        """None."""
        return []

    def recipe(self, config: Config) -> Recipe:  # noqa: ARG002 - the protocol's
        """As the measurements have it."""
        return recipe(
            self._options,
            epochs=30,
            tbptt=64,
            lanes=32,
            learning_rate=4e-3,
            schedule="cosine",
            dropout=0.2,
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

    def finish(self, task: Symbol) -> Weights:
        """As they are."""
        return task.network.weights()

    def name(self, config: Config) -> str:
        """Its size."""
        return f"{config.layers} x {config.hidden} units"
