"""The kind of task `class`: a label of each event, or of each sequence, and the scaling that tells them apart."""

from dataclasses import replace
from typing import Any

import numpy as np

from export.config import Config, Weights
from training.classify import Class, initialise
from training.classify_data import prepare
from training.classify_network import ClassNetwork
from training.data import Events
from training.kinds.kind import Variation, recipe
from training.measure import constants
from training.options import TrainOptions
from training.recipe import Recipe
from training.splits import TRAIN, Split, check_classes, check_values, what_is_labelled
from training.thin import thin

HIDDEN = 64
TRIED = 200_000  # events that a trial looks at, at most
STEPPED = 20_000_000  # events that training steps through, about
EPOCHS = (4, 100)
NAME = "class"


class Classes:
    """The class of each stream's events."""

    threads = 1

    def __init__(self, events: Events, parts: Split, options: TrainOptions) -> None:
        check_classes(events, parts)
        check_values(events, parts)
        self._events, self._parts, self._options = events, parts, options
        self._per = what_is_labelled(events, options.per)
        self.facts: dict[str, Any] = {"classes": events.classes, "per": self._per}
        self.notes: list[str] = []
        self.config = Config(
            features=events.features,
            targets=(NAME,),
            hidden=options.hidden or HIDDEN,
            layers=options.layers,
            scaling=options.scaling or "fixed",
            task="class",
            cell=options.cell,
            calendar=options.calendar or (),
            since_last=options.since_last,
            outcomes=len(events.classes),
        )

    def variations(self) -> list[Variation]:
        """The other scaling."""
        return [Variation(lambda c: replace(c, scaling="stream"))] if self._options.scaling is None else []

    def recipe(self, config: Config) -> Recipe:  # noqa: ARG002 - the protocol's
        """More epochs where there is little data."""
        events = max(1, int((self._parts.part == TRAIN).sum()))
        epochs = int(np.clip(STEPPED // events, *EPOCHS))
        return recipe(
            self._options,
            epochs=epochs,
            tbptt=512 if self._per == "sequence" else 64,
            lanes=64,
            learning_rate=3e-3,
            schedule="plateau",
            dropout=0.2,
        )

    def task(self, config: Config, trial: bool) -> Class:
        """A network that finds all classes about as likely."""
        events, parts = thin(self._events, self._parts, TRIED) if trial else (self._events, self._parts)
        network = ClassNetwork(config)
        network.load(network.weights() | constants(events, parts, config))
        labelled = prepare(events, parts, network, self._per)
        initialise(network)
        return Class(network, labelled)

    def judge(self, task: Class) -> float:
        """Nats."""
        return task.validate()

    def finish(self, task: Class) -> tuple[Config, Weights]:
        """As they are."""
        return task.network.config, task.network.weights()

    def name(self, config: Config) -> str:
        """Its scaling."""
        return f"scaling {config.scaling}"
