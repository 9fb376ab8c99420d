"""Streams that nobody measured: waves with noise and gaps, whose turn it is by a law. From a seed alone.

Every purpose draws from its own random generator, so the events are the same whatever the size of the batches; and each
process of several draws for all events, and makes its own. Nothing here grows with the number of streams that have
spoken, so that there may be new ones for hours.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.columns import Ints
from loadtest.codecs import JSON, Codec
from loadtest.draws import Draw, law
from loadtest.events import Batch
from loadtest.partitioner import place

START = 1_700_000_000_000  # ms since the epoch: where the events' own clock begins, so that a seed tells every byte
INTERVAL = 1000.0  # ms between two events of one stream, on average, on that clock
WAVES = 10_007  # different ones; the streams share them
NAME = b"stream-"
MOST_DIGITS = 10  # of a stream's number, where the last one is not known
ALONE = (0, 1)


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
        hot_share: float = 0.5,
        new_streams: float = 0.01,
        noise: float = 0.1,
        missing: float = 0.0,
        seed: int = 0,
        share: tuple[int, int] = ALONE,
        codec: Codec = JSON,
    ) -> None:
        """exponent, hot_share, new_streams: see `draws.law`. noise: standard deviation over the wave's amplitude.
        missing: share of nulls. share: (k, n) makes only the events of partitions k, k + n, ..."""
        self.streams, self.features = streams, tuple(features)
        self._noise, self._missing = noise, missing
        waves, *rest = np.random.default_rng(seed).spawn(4)
        self._who, self._noises, self._gaps = rest
        shape = (min(streams, WAVES) if draw != "growing" else WAVES, len(features))
        self._level = waves.normal(20.0, 5.0, shape).astype(np.float32)
        self._amplitude = waves.uniform(1.0, 5.0, shape).astype(np.float32)
        self._frequency = (2 * np.pi / waves.uniform(12.0, 96.0, shape)).astype(np.float32)  # per event of a stream
        self._phase = waves.uniform(0.0, 2 * np.pi, shape).astype(np.float32)
        self._law = law(draw, streams, exponent=exponent, hot_share=hot_share, new_streams=new_streams)
        self._digits = MOST_DIGITS if draw == "growing" else len(str(streams - 1))
        self._partitions, self._share = partitions, share
        self._count = 0
        self._codec = codec

    def batches(self, size: int, events: int | None = None) -> Iterator[Batch]:
        """Batches that stand for `size` events each, without end or until they stand for `events`."""
        left = events
        while left is None or left > 0:
            yield self.take(size if left is None else min(size, left))
            left = None if left is None else left - size

    def take(self, size: int) -> Batch:
        """The next events; of a share, those of them that are its own."""
        index = self._count + np.arange(size)
        self._count += size
        who = self._law(index, self._who.random(size))
        names = _names(who, self._digits)
        partitions = place(names, self._partitions)
        mine, shares = self._share
        own = slice(None) if shares == 1 else np.flatnonzero(partitions % shares == mine)
        noises = self._noises.standard_normal((size, len(self.features)))
        gaps = self._gaps.random(noises.shape)[own] < self._missing if self._missing else None
        x, time = self._values(index[own], who[own], noises[own])
        if gaps is not None:
            x[gaps] = np.nan
        return Batch(
            partitions=partitions[own].tolist(),
            keys=np.ascontiguousarray(names[own]).view(f"S{names.shape[1]}").ravel().tolist(),
            values=self._codec.values(self.features, x, time),
            index=index[own],
            stop=self._count,
        )

    def _values(self, index: Ints, who: Ints, noises: NDArray[np.float64]) -> tuple[NDArray[np.float64], Ints]:
        """(x [events, features], time [events])"""
        turn = index / self.streams  # events that each stream has had, on average
        which = who % len(self._level)
        wave = np.sin(turn[:, None] * self._frequency[which] + self._phase[which])
        wave += self._noise * noises
        x = np.round(self._level[which] + self._amplitude[which] * wave, 3)
        return x, START + (turn * INTERVAL).astype(np.int64)


def _names(who: Ints, digits: int) -> NDArray[np.uint8]:
    """The keys of streams as text [events, bytes]; numpy writes digits at a third of what a % per key costs."""
    names = np.empty((len(who), len(NAME) + digits), np.uint8)
    names[:, : len(NAME)] = np.frombuffer(NAME, np.uint8)
    rest = who.astype(np.uint32)
    for column in range(names.shape[1] - 1, len(NAME) - 1, -1):
        tens = rest // np.uint32(10)
        names[:, column] = rest - tens * np.uint32(10) + np.uint32(ord("0"))
        rest = tens
    return names
