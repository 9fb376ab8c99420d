"""From events to tensors: what stands before the cells has nothing to learn, and is computed once for all events."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.columns import clock
from export.config import CLOCK, LINEAR_LIMIT, REGRET_LIMIT, SEEN_LIMIT, VALUE_LIMIT
from training.data import Events
from training.network import Network
from training.splits import TRAIN, VALID, Split

GROUP = 200_000  # events that are prepared at once, padding included
PADDING = 1.25  # of the shortest stream in a group


@dataclass
class Prepared:
    """All streams' evaluations, one stream after another: each comes after an event and predicts the stream's next one.

    A stream of n events has n - 1 of them. N is the number of all.
    """

    front: Tensor  # [N, 2 * features] level in spreads, and mask: what the first layer sees first
    way: Tensor  # [N, lags * features] the way to each lag, or the last change, in scales
    time: Tensor  # [N, clock_width] what is seen of the event's time
    level: Tensor  # [N, features] distance from the mean, in scales, for the linear paths; none without lags
    change: Tensor  # [N, targets] to the next event, in scales
    unit: Tensor  # [N, targets] the scale, in the user's units
    weight: Tensor  # [N, targets] 1 where the next value is there, and one was before it: else there is no change
    counted: Tensor  # [N, targets] 1 where the experts' losses are counted
    doubt: Tensor  # [N, targets, experts] of each expert by its losses so far; follows their weights
    first: NDArray[np.int64]  # [streams + 1] each stream's first evaluation
    trained: NDArray[np.int64]  # [streams] evaluations whose next event is in the training part: they come first
    known: NDArray[np.int64]  # [streams] those and the ones of the validation part

    @property
    def streams(self) -> int:
        """How many streams, those without evaluations included."""
        return len(self.trained)

    def inputs(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """What the first layer, [n, input_width], and the linear paths, [n, linear_width], see at evaluations [n]."""
        front, way, level, time = (
            part.index_select(0, index) for part in (self.front, self.way, self.level, self.time)
        )
        seen = torch.cat([front, way.clip(-SEEN_LIMIT, SEEN_LIMIT), time], 1)
        return seen, torch.cat([way, level], 1) if level.shape[1] else level

    def linear(self, index: Tensor | slice) -> Tensor:
        """[n, linear_width]: what the linear paths see at these evaluations."""
        return torch.cat([self.way[index], self.level[index]], -1)


def prepare(events: Events, split: Split, network: Network) -> Prepared:
    """The evaluations of all streams, in the order of their keys."""
    config, features, columns = network.config, len(events.features), list(network.config.target_columns)
    indexes = events.per_stream()
    first = np.concatenate([[0], np.cumsum([max(len(index) - 1, 0) for index in indexes])]).astype(np.int64)
    total, targets = int(first[-1]), len(columns)
    timeless = config.input_width - config.clock_width
    part = split.part
    trained, known = (
        np.array([(part[index[1:]] <= last).sum() for index in indexes], np.int64) for last in (TRAIN, VALID)
    )
    found = Prepared(
        front=torch.empty(total, 2 * features),
        way=torch.empty(total, timeless - 2 * features),
        time=torch.empty(total, config.clock_width),
        level=torch.empty(total, features if config.lags else 0),
        change=torch.empty(total, targets),
        unit=torch.empty(total, targets),
        weight=torch.empty(total, targets),
        counted=torch.zeros(total, targets),
        doubt=torch.zeros(total, targets, config.experts),
        first=first,
        trained=trained,
        known=known,
    )
    for group in alike([len(index) for index in indexes], 2):
        x, mask = rectangle(events, [indexes[i] for i in group], config.clock)
        with torch.no_grad():
            around = network.around(x, mask, network.cold(len(group)))
        last, unit = around.last[1:][..., columns], around.unit[1:-1][..., columns]
        change = ((last[1:] - last[:-1]) / unit).clip(-LINEAR_LIMIT, LINEAR_LIMIT)
        there = mask[..., columns]
        weight = there[1:] * (there.cumsum(0)[:-1] > 0)
        for lane, i in enumerate(group):
            to, n = slice(int(first[i]), int(first[i + 1])), int(first[i + 1] - first[i])
            found.front[to] = around.seen[:n, lane, : 2 * features]
            found.time[to] = around.seen[:n, lane, timeless:]
            if around.linear is None:
                found.way[to] = around.seen[:n, lane, 2 * features : timeless]
            else:
                found.way[to] = around.linear[1 : n + 1, lane, :-features]
                found.level[to] = around.linear[1 : n + 1, lane, -features:]
            found.change[to], found.weight[to] = change[:n, lane], weight[:n, lane]
            found.unit[to] = unit[:n, lane].expand(n, targets)
            if around.age is not None:
                young = around.age[1 : n + 1, lane, columns] < REGRET_LIMIT
                found.counted[to] = there[1 : n + 1, lane] * young
    return found


def alike(lengths: list[int], least: int) -> Iterator[list[int]]:
    """Streams of so many events and more, in groups of similar length."""
    order = sorted((i for i, length in enumerate(lengths) if length >= least), key=lambda i: lengths[i])
    group: list[int] = []
    for i in order:
        longer = group and lengths[i] > PADDING * lengths[group[0]] + 8
        if longer or (len(group) + 1) * lengths[i] > GROUP:
            if group:
                yield group
            group = []
        group.append(i)
    if group:
        yield group


def rectangle(events: Events, indexes: list[NDArray[np.int64]], timed: bool) -> tuple[Tensor, Tensor]:
    """x and mask [time, streams, columns], with missing values after a stream's end: they change nothing before."""
    features = len(events.features)
    x = np.full((max(map(len, indexes)), len(indexes), features + (len(CLOCK) if timed else 0)), np.nan)
    for lane, index in enumerate(indexes):
        x[: len(index), lane, :features] = events.values[index]
        if timed:
            x[: len(index), lane, features:] = clock(events.time[index])
    mask = np.isfinite(x)
    x = np.where(mask, x.clip(-VALUE_LIMIT, VALUE_LIMIT), 0)
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(mask.astype(np.float32))
