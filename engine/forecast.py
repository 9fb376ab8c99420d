"""The future of one stream: many paths from a copy of its row, each fed with what it drew. Pure: no row of a bank is
touched, and randomness comes in.

The first step is what the network says of the stream's next event, as it is. From the second on it is what the paths
say together: each draws its next value from its own prediction and is stepped with it (ancestral sampling). Targets are
drawn independently of each other, though their next predictions see all of them. A feature that is no target, and so
is not predicted, is missing. Where the network sees the time, events come at one interval.
"""

from collections.abc import Iterator
from itertools import pairwise
from math import log10, prod

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto

from engine.columns import Floats, clock
from engine.graphs import AROUND, ROWS, ROWS_NEXT, with_around, with_rows
from engine.model import single_thread
from export.signature import Signature

FLOATS = 2**22  # that one call of the network may give
ROW_FLOATS = 2**24  # of all paths' rows
PROBE = 4.0  # how many outer widths beyond the last quantile the tail's slope is looked up
LARGEST = np.finfo(np.float32).max

Doubles = NDArray[np.float64]


class ForecastError(Exception):
    """There is no such forecast; the message is one line with the mend."""


class Forecaster:
    """One model, run on copies of rows. May be used by several threads at a time."""

    def __init__(self, proto: ModelProto, signature: Signature) -> None:
        self.signature = signature
        around = with_around(proto, signature)
        self._told = around is not None
        graph = with_rows(proto, signature) if around is None else around
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), single_thread(), ["CPUExecutionProvider"]
        )
        self._targets = [signature.features.index(t) for t in signature.targets if signature.task == "number"]

    @property
    def most_samples(self) -> int:
        """Paths that one forecast may have."""
        return max(1, ROW_FLOATS // self.signature.row_width)

    def now(self, rows: Floats) -> Floats:
        """What is predicted of each stream's next event, [batch, *output_shape]; rows [batch, width] of streams that
        have had one.

        The bits of the prediction that was published after the last event. A model that recalls is asked for each of
        its symbols how surprising it would be, which gives the same up to the last places.
        """
        nothing = np.zeros((1, len(rows), self.signature.columns), np.float32)
        if self._told:
            (around,) = self._session.run((AROUND,), {ROWS: rows, "x": nothing, "mask": nothing})
            first: Floats = around[0]
            return first
        return np.stack([self._by_surprise(row) for row in rows])

    def _by_surprise(self, row: Floats) -> Floats:
        """[1, symbols] of one row."""
        symbols = len(self.signature.symbols)
        parts = []
        for start in range(0, symbols, self._at_once):
            each = np.arange(start, min(start + self._at_once, symbols), dtype=np.float32)
            x = np.zeros((1, len(each), self.signature.columns), np.float32)
            x[0, :, 0] = each
            rows = np.broadcast_to(row, (len(each), len(row)))
            (surprise,) = self._session.run(("surprise",), {ROWS: rows, "x": x, "mask": np.ones_like(x)})
            parts.append(10.0 ** -np.asarray(surprise, np.float64)[0, :, 0])
        chance: Doubles = np.concatenate(parts)
        return np.asarray(chance / chance.sum(), np.float32)[None]

    @property
    def _at_once(self) -> int:
        """Rows that one call takes."""
        return max(1, FLOATS // (prod(self.signature.output_shape) + self.signature.row_width))

    def roll(
        self, row: Floats, time: int, interval: int, steps: int, samples: int, random: np.random.Generator
    ) -> Iterator[Floats]:
        """Step by step what is predicted, [*output_shape]: quantiles, or probabilities of symbols.

        row [width] of a stream that has had an event; time of the last one, interval to the next, milliseconds.
        Raises ForecastError where the network cannot be rolled forward.
        """
        if self.signature.task == "class":
            raise ForecastError("a class has no next event; only models of numbers and of symbols forecast")
        if samples > self.most_samples:
            raise ForecastError(f"samples: this model's rows are large; give at most {self.most_samples}")
        predicted = self.now(row[None])
        yield predicted[0]
        if steps == 1:
            return
        tails = self._tails(row, predicted[0], time + interval) if self._targets else np.empty((0, 2))
        drawn = self._draw(np.broadcast_to(predicted, (samples, *predicted.shape[1:])), tails, random)
        rows = np.broadcast_to(row, (samples, len(row)))
        for step in range(1, steps):
            rows, drawn = self._advance(rows, drawn, time + step * interval, tails, random)
            if not len(rows):
                raise ForecastError(f"the network's results are not finite at step {step + 1}; ask for fewer steps")
            yield self._together(drawn)

    def _advance(
        self, rows: Floats, drawn: Doubles, time: int, tails: Doubles, random: np.random.Generator
    ) -> tuple[Floats, Doubles]:
        """All paths stepped with what they drew, and what each draws next. A path whose results are not finite ends
        there, as the service would refuse its event."""
        parts: list[tuple[Floats, Doubles]] = []
        for start in range(0, len(rows), self._at_once):
            part = slice(start, start + self._at_once)
            x, mask = self._events(drawn[part], time)
            given = {ROWS: rows[part], "x": x, "mask": mask}
            next_rows, predicted = self._session.run((ROWS_NEXT, self.signature.output), given)
            finite = np.isfinite(next_rows).all(axis=1) & np.isfinite(predicted).all(axis=(0, 2, 3))
            parts.append((next_rows[finite], self._draw(predicted[0, finite], tails, random)))
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([drawn for _, drawn in parts])

    def _events(self, drawn: Doubles, time: int) -> tuple[Floats, Floats]:
        """x and mask [1, paths, columns] of what the paths drew, at this time."""
        x = np.zeros((1, len(drawn), self.signature.columns), np.float32)
        mask = np.zeros_like(x)
        columns = self._targets or [0]
        x[0, :, columns] = drawn.T
        mask[0, :, columns] = 1
        if self.signature.clock:
            x[0, :, -2:] = clock(np.array(time, np.int64))
            mask[0, :, -2:] = 1
        return x, mask

    def _draw(self, predicted: Floats, tails: Doubles, random: np.random.Generator) -> Doubles:
        """[paths, targets] of predictions [paths, *output_shape]: values, or a symbol's place."""
        point = random.random((len(predicted), predicted.shape[1]))
        if self._targets:
            return inverse(self.signature.levels, np.asarray(predicted, np.float64), tails, point)
        total = predicted[:, 0].astype(np.float64).cumsum(axis=1)
        places = (total <= point * total[:, -1:]).sum(axis=1)
        return np.asarray(np.minimum(places, total.shape[1] - 1)[:, None], np.float64)

    def _together(self, drawn: Doubles) -> Floats:
        """What the paths say of one step, [*output_shape]."""
        if self._targets:
            return np.asarray(np.quantile(drawn, self.signature.levels, axis=0).T, np.float32)
        counts = np.bincount(drawn[:, 0].astype(np.int64), minlength=len(self.signature.symbols))
        return (counts / len(drawn))[None].astype(np.float32)

    def _tails(self, row: Floats, quantiles: Floats, time: int) -> Doubles:
        """[targets, below and above]: how much more surprising a value is for each outer width that it lies beyond the
        last quantile. The network's own constants, looked up by stepping copies of a row with such values."""
        targets = len(self._targets)
        ends, before = quantiles[:, [0, -1]].astype(np.float64), quantiles[:, [1, -2]].astype(np.float64)
        values = np.clip(ends + PROBE * (ends - before), -LARGEST, LARGEST)  # [targets, 2]
        x, mask = self._events(np.zeros((2 * targets, targets)), time)
        mask[0, :, self._targets] = 0
        for i, column in enumerate(self._targets):
            x[0, [2 * i, 2 * i + 1], column] = values[i]
            mask[0, [2 * i, 2 * i + 1], column] = 1
        given = {ROWS: np.broadcast_to(row, (2 * targets, len(row))), "x": x, "mask": mask}
        (surprise,) = self._session.run(("surprise",), given)
        told = np.asarray(surprise, np.float64)[0].reshape(targets, 2, targets)
        slopes = (np.stack([told[i, :, i] for i in range(targets)]) - surprising(self.signature.levels[0])) / PROBE
        # Where a width is too small for float32 beside its value, no tail can be seen, nor does it matter.
        tails: Doubles = np.where(np.isfinite(slopes) & (slopes > 0), slopes, 1.0)
        return tails


def surprising(level: float) -> float:
    """-log10 of the two-sided tail probability at the quantile of this probability."""
    return -log10(2 * min(level, 1 - level))


def inverse(levels: tuple[float, ...], quantiles: Doubles, tails: Doubles, point: Doubles) -> Doubles:
    """The values below which `point` of the probability lies, [paths, targets]; quantiles [paths, targets, levels].

    What surprise says, turned round (docs/semantics.md): between the quantiles the value is linear in -log10 of the
    two-sided tail probability, and beyond the last ones it goes on so with the slopes `tails` [targets, 2] for each
    outer width, an exponential tail.
    """
    median = levels.index(0.5)
    surprise = -np.log10(np.maximum(2 * np.minimum(point, 1 - point), np.finfo(np.float64).tiny))
    value = quantiles[..., median].copy()
    for side, path in ((0, range(median, -1, -1)), (1, range(median, len(levels)))):
        here = (point >= 0.5) == bool(side)
        for near, far in pairwise(path):
            start, stop = surprising(levels[near]), surprising(levels[far])
            width = quantiles[..., far] - quantiles[..., near]
            value += here * width * np.clip((surprise - start) / (stop - start), 0, 1)
        value += here * width * np.maximum(surprise - stop, 0) / tails[:, side]
    return np.clip(value, -LARGEST, LARGEST)
