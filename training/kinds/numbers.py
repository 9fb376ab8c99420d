"""The kind of task `number`: lags and scaling for a set of streams, cycles of the calendar, intervals calibrated."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import torch

from export.config import VALUE_LIMIT, Config, Weights
from export.signature import Calendar
from training import experts, lags
from training.calibrate import calibrate
from training.data import Events
from training.errors import TrainingError
from training.kinds.kind import Variation, recipe
from training.measure import constants, gaps
from training.naive import mean_changes
from training.network import Network
from training.number import Number, initialise
from training.options import TrainOptions
from training.prepare import prepare
from training.recipe import Recipe
from training.shrink import shrink
from training.splits import TRAIN, Split, check_values
from training.thin import thin

HIDDEN = 64
EXPERTS = (8, 16)  # to begin with, and where there are as many streams and it does better
WINDOW = 48
LANES = (8, 64)  # of recipes: fewer where there is little data, so that a pass is about STEPS steps
STEPS = 24
EPOCHS = (4, 60)
MOST_COEFFICIENTS = 200_000  # of all linear paths together
SMALLEST = 1e-30  # of a feature's largest magnitude: float32 loses places below 1e-38
COARSE = 4  # last places of float32
STEPPED = 60_000_000  # events that training steps through, about; fewer epochs of more data
TRIED = 400_000  # events that a trial looks at, at most
HOUR = 3_600_000  # milliseconds
DAY = 24 * HOUR
# A cycle can tell something where events come this often, and the training part has so much of it (milliseconds).
CYCLES: dict[Calendar, tuple[float, float]] = {
    "hour": (DAY / 4, 3 * DAY),
    "weekday": (DAY, 21 * DAY),
    "year": (31 * DAY, 730 * DAY),
}


class Numbers:
    """The next number of each stream."""

    threads = 1  # steps of small networks: threads would wait for each other

    def __init__(self, events: Events, parts: Split, options: TrainOptions) -> None:
        check_values(events, parts)
        self._events, self._parts, self._options = events, parts, options
        self.facts: dict[str, Any] = {}
        self.notes = check_sizes(events) + coarse(events, parts)
        if options.lags is None:
            found = lags.find(events, parts)
            chosen = found.lags
            self.notes.append(f"Lags: {found.why}.")
            if len(chosen) * len(events.features) ** 2 > MOST_COEFFICIENTS:
                chosen = ()
                self.notes.append(f"No lags: of {len(events.features)} features they would be too many.")
        else:
            chosen = tuple(sorted({lag for lag in options.lags if lag}))
            chosen = chosen if max(chosen, default=1) > 1 else ()
        self.config = Config(
            features=events.features,
            targets=targets(events, options),
            hidden=options.hidden or HIDDEN,
            layers=options.layers,
            scaling=options.scaling or "stream",
            lags=chosen,
            experts=self._experts(chosen),
            cell=options.cell,
            head=options.head,
            calendar=options.calendar or (),
            since_last=options.since_last,
            reach=True,
        )

    def variations(self) -> list[Variation]:
        """The other scaling, no lags, more experts, the finest cycle of the calendar, all cycles."""
        options, tried = self._options, []
        if options.scaling is None:  # a stream that training has not seen is served better by its own past
            tried.append(Variation(lambda c: replace(c, scaling="fixed"), worth=0.01))
        if options.lags is None and self.config.lags:
            tried.append(Variation(lambda c: replace(c, lags=(), experts=1)))
        if options.experts is None and self.config.experts > 1 and len(self._events.keys) >= EXPERTS[1]:
            tried.append(Variation(lambda c: replace(c, experts=EXPERTS[1] if c.lags else 1)))
        if options.calendar is None:
            cycles = self._cycles()
            for some in [cycles[:1], cycles] if len(cycles) > 1 else [cycles]:
                tried.append(Variation(lambda c, some=some: replace(c, calendar=some)))  # type: ignore[misc]
        return tried

    def recipe(self, config: Config) -> Recipe:  # noqa: ARG002 - the protocol's
        """More epochs and fewer lanes where there is little data."""
        events = max(1, int((self._parts.part == TRAIN).sum()))
        tbptt = self._options.tbptt or WINDOW
        return recipe(
            self._options,
            epochs=int(np.clip(STEPPED // events, *EPOCHS)),
            tbptt=tbptt,
            lanes=int(np.clip(events // (tbptt * STEPS), *LANES)),
            learning_rate=3e-3,
            schedule="plateau",
            dropout=0.2,
        )

    def task(self, config: Config, trial: bool) -> Number:
        """The experts are fitted, the rest of the network is fresh."""
        events, parts = self._events, self._parts
        if trial:
            events, parts = thin(events, parts, TRIED)
        network = Network(config)
        network.load(network.weights() | constants(events, parts, config))
        prepared = prepare(events, parts, network)
        initialise(network)
        if config.lags:
            seed = self._options.seed
            fitted = [experts.fit(prepared, config, target, seed) for target in range(len(config.targets))]
            coefficients, drifts = (np.concatenate(parts).astype(np.float32) for parts in zip(*fitted, strict=True))
            network.linear.weight.data = torch.from_numpy(coefficients)
            network.linear.bias.data = torch.from_numpy(drifts)
        task = Number(network, prepared)
        task.record()
        return task

    def judge(self, task: Number) -> float:
        """Quantile loss in each stream's naive errors."""
        return task.judge()

    def finish(self, task: Number) -> tuple[Config, Weights]:
        """Drawn towards the last value where that errs less, and with what makes the intervals hold."""
        factors = shrink(task)
        if min(factors) < 1:
            told = ", ".join(f"{name} {factor:g}" for name, factor in zip(self.config.targets, factors, strict=True))
            self.notes.append(f"Changes are predicted smaller, since that errs less on the validation part: {told}.")
        return task.network.config, task.network.weights() | calibrate(task.network, task.prepared)

    def name(self, config: Config) -> str:
        """Scaling, lags, calendar."""
        told = [f"scaling {config.scaling}", f"lags {lags.told(config.lags)}" if config.lags else "no lags"]
        told += [f"{config.experts} experts"] if config.experts > EXPERTS[0] else []
        told += [f"calendar {' '.join(config.calendar)}"] if config.calendar else []
        return ", ".join(told)

    def _experts(self, chosen: tuple[int, ...]) -> int:
        """One for each stream, and one that says "no change"; one only where there are very many features."""
        features = len(self._events.features)
        if self._options.experts is None and len(chosen) * features**2 * EXPERTS[0] > MOST_COEFFICIENTS:
            return 1
        return min(self._options.experts or EXPERTS[0], len(self._events.keys) + 1) if max(chosen, default=1) > 1 else 1

    def _cycles(self) -> tuple[Calendar, ...]:
        """Those that the training part has often enough, finely enough."""
        events = self._events
        if not events.timed:
            return ()
        trained = self._parts.part == TRAIN
        times = events.time[trained]
        apart = gaps(events, trained)
        if not len(apart):
            return ()
        gap, span = float(np.median(apart)), float(times.max() - times.min())
        return tuple(cycle for cycle in get_args(Calendar) if gap <= CYCLES[cycle][0] and span >= CYCLES[cycle][1])


def check_sizes(events: Events) -> list[str]:
    """Lines on values that a model takes for smaller ones; raises TrainingError where all are too small."""
    lines = []
    for name, column in zip(events.features, np.abs(events.values).T, strict=True):
        largest = float(np.nanmax(column, initial=0))
        if 0 < largest < SMALLEST:
            raise TrainingError(
                f"--value {name}: its largest magnitude is {largest:.3g}; a model computes with {SMALLEST:g} and more; "
                "give the values in a smaller unit"
            )
        if beyond := int((column > VALUE_LIMIT).sum()):
            lines.append(f"{beyond} values of {name} are beyond {VALUE_LIMIT:g}, and taken for it.")
    return lines


def coarse(events: Events, parts: Split) -> list[str]:
    """A line on streams whose changes float32, which a model computes in, can hardly tell from their values."""
    found = []
    for key, index in zip(events.keys, events.per_stream(), strict=True):
        values = events.values[index[parts.part[index] == TRAIN]]
        if len(values) > 1:
            changes = mean_changes(values)
            last_place = np.spacing(np.nanmax(np.abs(values), axis=0, initial=0).astype(np.float32))
            if ((changes > 0) & (changes < COARSE * last_place)).any():
                found.append(key.decode(errors="replace"))
    if not found:
        return []
    first = f"The changes of {len(found)} streams (such as {found[0]}) are too small for the size of their values: "
    return [f"{first}float32 can hardly tell them. Take a constant off the values."]


def targets(events: Events, options: TrainOptions) -> tuple[str, ...]:
    """The features that are predicted: all, where the options name none."""
    for name in options.target:
        if name not in events.features:
            raise TrainingError(f"--target {name}: is no feature; they are {', '.join(events.features)}")
    return tuple(name for name in events.features if name in options.target) if options.target else events.features
