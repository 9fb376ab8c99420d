"""Streams that nobody measured: who speaks next (uniform or Zipf), and waves with noise and gaps. From a seed alone.

Every purpose draws from its own random generator, so the events are the same whatever the size of the batches.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from engine.columns import Ints
from loadtest.events import Batch, Doubles, json_values
from loadtest.partitioner import partition_of

Draw = Literal["uniform", "zipf"]
START = 1_700_000_000_000  # ms since the epoch: where the events' own clock begins, so that a seed tells every byte
INTERVAL = 1000.0  # ms between two events of one stream, on average, on that clock


class Synthetic:
    """An endless source of events."""

    def __init__(
        self,
        streams: int,
        features: Sequence[str] = ("value",),
        *,
        partitions: int = 1,
        draw: Draw = "uniform",
        exponent: float = 1.1,
        noise: float = 0.1,
        missing: float = 0.0,
        seed: int = 0,
    ) -> None:
        """exponent: of Zipf's law. noise: standard deviation over the wave's amplitude. missing: share of nulls."""
        self.streams, self.features = streams, tuple(features)
        self._noise, self._missing = noise, missing
        waves, *rest = np.random.default_rng(seed).spawn(4)
        self._who, self._noises, self._gaps = rest
        shape = (streams, len(features))
        self._level = waves.normal(20.0, 5.0, shape).astype(np.float32)
        self._amplitude = waves.uniform(1.0, 5.0, shape).astype(np.float32)
        self._frequency = (2 * np.pi / waves.uniform(12.0, 96.0, shape)).astype(np.float32)  # per event of a stream
        self._phase = waves.uniform(0.0, 2 * np.pi, shape).astype(np.float32)
        digits = len(str(streams - 1))
        self.keys = [b"stream-%0*d" % (digits, i) for i in range(streams)]
        self._partitions = partition_of(self.keys, partitions).tolist()
        self._shares = _zipf(streams, exponent) if draw == "zipf" else None
        self._count = 0

    def batches(self, size: int) -> Iterator[Batch]:
        """Batches of `size` events, without end."""
        while True:
            yield self.take(size)

    def take(self, size: int) -> Batch:
        """The next events."""
        who = self._choose(size)
        turn = (self._count + np.arange(size)) / self.streams  # events that each stream has had, on average
        self._count += size
        wave = np.sin(turn[:, None] * self._frequency[who] + self._phase[who])
        wave += self._noise * self._noises.standard_normal(wave.shape)
        x = np.round(self._level[who] + self._amplitude[who] * wave, 3)
        if self._missing:
            x[self._gaps.random(x.shape) < self._missing] = np.nan
        time = START + (turn * INTERVAL).astype(np.int64)
        index = who.tolist()
        return Batch(
            partitions=[self._partitions[i] for i in index],
            keys=[self.keys[i] for i in index],
            values=json_values(self.features, x, time),
        )

    def _choose(self, size: int) -> Ints:
        draws = self._who.random(size)
        if self._shares is None:
            chosen = (draws * self.streams).astype(np.int64)
        else:
            chosen = np.searchsorted(self._shares, draws, side="right")
        return np.minimum(chosen, self.streams - 1)


def _zipf(streams: int, exponent: float) -> Doubles:
    """The cumulative share of the streams, the busiest first: the k-th has a share proportional to k ** -exponent."""
    weights = np.arange(1, streams + 1, dtype=np.float64) ** -exponent
    shares: Doubles = np.cumsum(weights) / weights.sum()
    return shares
