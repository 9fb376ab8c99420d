"""What must come out: steps the input records of one partition after another with the shared engine. No Kafka."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from engine.columns import Columns, Floats, Ints, Outcome
from engine.model import Model
from engine.replay import cut
from engine.rows import Policy
from engine.slots import Full
from engine.step import Engine
from loadtest.codecs import JSON, Codec
from loadtest.errors import EnvironmentFault, UsageError
from loadtest.input_format import InputFormat
from loadtest.output_format import Objects, objects
from loadtest.port import Records

OF_NO_STREAM = ("no_key", "key_too_long")  # dead letters that harm no stream, whatever the poison policy


@dataclass(slots=True)
class Predicted:
    """Events that must have exactly one output."""

    offset: Ints  # [events] ascending
    time: Ints
    timestamp: Ints  # of the output record
    step: Ints
    figures: Floats  # [events, 4, targets]: prediction, lower, upper, surprise
    keys: Objects


@dataclass(slots=True)
class Dead:
    """Records that must have exactly one dead letter."""

    offset: Ints  # [records] ascending
    timestamp: Ints  # of the dead letter
    keys: Objects
    codes: Objects  # str


@dataclass(slots=True)
class Chunk:
    """What consecutive input records must lead to."""

    last: int  # offset of the last record
    predicted: Predicted
    dead: Dead


class Reference:
    """The engine and the strict reading, over one partition at a time."""

    def __init__(
        self,
        path: Path | str,
        max_key_bytes: int,
        max_value_bytes: int,
        streams: int | None = None,
        *,
        ttl: int | None = None,
        poison: Policy = "skip",
        step_batch: int | None = None,
        codec: Codec = JSON,
    ) -> None:
        """streams: the most streams of one partition; None: as many as half of the free memory holds. ttl: the
        service's time to live, milliseconds; None: for ever. poison: its policy. step_batch: the most events of one
        call of the engine; None: all that were read together."""
        self.model = Model(path)
        signature = self.model.signature
        if signature.task != "number":
            raise UsageError(
                f"--model {path}: its task is {signature.task}; the load test verifies task number only, so compare "
                "the output topic with what `statecast replay` writes"
            )
        self.fingerprint = self.model.fingerprint[:8]
        self._format = InputFormat(signature, max_key_bytes=max_key_bytes, max_value_bytes=max_value_bytes, codec=codec)
        capacity = streams or Engine.capacity_for(self.model, psutil.virtual_memory().available // 2)
        self._engine = Engine(self.model, capacity)
        self._ttl, self._poison, self._step_batch = ttl, poison, step_batch
        levels = signature.levels
        self._levels = [levels.index(0.5), 0, len(levels) - 1]  # prediction, lower, upper

    def chunks(self, partition: int, parts: Iterable[Records]) -> Iterator[Chunk]:
        """Step all records of one partition from the cold state."""
        for records in parts:
            yield self._chunk(partition, records)
        self._engine.drop(partition)

    def _chunk(self, partition: int, records: Records) -> Chunk:
        events = self._format.read(records)
        columns = events.columns(partition)
        if self._poison != "skip":
            columns = with_poison(columns, records, [i for i, code in events.dead.items() if code not in OF_NO_STREAM])
        try:
            outcome = self._step(columns)
        except Full:
            raise EnvironmentFault(
                f"partition {partition}: more than {self._engine.slots.capacity} streams, and memory holds no more "
                "rows; verify on a machine with more memory"
            ) from None
        done = np.flatnonzero(outcome.stepped)
        keys = objects(columns.keys)
        quantiles = outcome.predicted[done][:, :, self._levels]  # [events, targets, 3]
        figures = np.concatenate([quantiles, outcome.surprise[done][:, :, None]], axis=2).transpose(0, 2, 1)
        # A refused event went through the strict reading but not through the network: a dead letter all the same.
        told = dict.fromkeys(outcome.refused, "not_steppable") | dict.fromkeys(outcome.frozen, "stream_frozen")
        where = {int(offset): i for i, offset in enumerate(records.offsets)} if told else {}
        refused = {where[int(columns.offset[i])]: code for i, code in told.items()}
        dead = dict(sorted((events.dead | refused).items()))
        return Chunk(
            last=records.offsets[-1],
            predicted=Predicted(
                offset=columns.offset[done],
                time=columns.time[done],
                timestamp=_published(columns.timestamp[done]),
                step=outcome.step[done],
                figures=figures,
                keys=keys[done],
            ),
            dead=Dead(
                offset=np.array([records.offsets[i] for i in dead], np.int64),
                timestamp=_published(np.array([records.timestamps[i] for i in dead], np.int64)),
                keys=objects([records.keys[i] for i in dead]),
                codes=objects(list(dead.values())),
            ),
        )

    def _step(self, columns: Columns) -> Outcome:
        size = self._step_batch or max(1, len(columns))
        parts = []
        for start in range(0, max(1, len(columns)), size):
            part = cut(columns, start, min(start + size, len(columns)))
            parts.append(self._engine.step(part, self._ttl, self._poison))
            self._engine.keep()
        return Outcome(
            step=np.concatenate([part.step for part in parts]),
            predicted=np.concatenate([part.predicted for part in parts]),
            surprise=np.concatenate([part.surprise for part in parts]),
            stepped=np.concatenate([part.stepped for part in parts]),
            refused={n * size + i: why for n, part in enumerate(parts) for i, why in part.refused.items()},
            frozen={n * size + i: why for n, part in enumerate(parts) for i, why in part.frozen.items()},
        )


def with_poison(columns: Columns, records: Records, bad: list[int]) -> Columns:
    """The events of one partition and, in their places, those of its records that are none, as poison."""
    if not bad:
        return columns
    ((partition, _, events),) = columns.runs
    fill = np.zeros((len(bad), columns.x.shape[1]), np.float32)
    no, yes = np.zeros(events, np.bool_), np.ones(len(bad), np.bool_)
    offset = np.concatenate([columns.offset, np.array([records.offsets[i] for i in bad], np.int64)])
    stamps = np.array([records.timestamps[i] for i in bad], np.int64)
    keys = [*columns.keys, *(records.keys[i] or b"" for i in bad)]
    order = np.argsort(offset)
    return Columns(
        runs=[(partition, 0, len(keys))],
        keys=[keys[i] for i in order.tolist()],
        offset=offset[order],
        time=np.concatenate([columns.time, stamps])[order],
        timestamp=np.concatenate([columns.timestamp, stamps])[order],
        x=np.concatenate([columns.x, fill])[order],
        mask=np.concatenate([columns.mask, fill])[order],
        reset=np.concatenate([no if columns.reset is None else columns.reset, yes])[order],
        poison=np.concatenate([no, yes])[order],
    )


def _published(timestamp: Ints) -> Ints:
    """What the service publishes for an input record's timestamp: librdkafka would take 0 for "now"."""
    return np.maximum(timestamp, 1)
