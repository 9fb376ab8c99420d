"""What one batch goes through: decoded, stepped, published. Knows nothing of commits, the group or failures."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.columns import Ints
from engine.slots import Full
from engine.step import Engine
from stream import metrics
from stream.broker.port import Records
from stream.codec import Codec, Rejected
from stream.commit import Delivery
from stream.deadletters import letter, refusals
from stream.errors import EnvironmentFault


@dataclass(frozen=True)
class Topics:
    """Names, and the bytes that one record of the dead-letter topic may have."""

    input: str
    output: str
    dead_letters: str
    dead_letter_limit: int


@dataclass(slots=True)
class Published:
    """What went out, to be counted once it is committed."""

    predictions: int = 0
    letters: Counter[str] = field(default_factory=Counter)  # by code


class Pipeline:
    """bytes in, bytes out, rows updated on the way."""

    def __init__(self, topics: Topics, engine: Engine, codec: Codec) -> None:
        self._topics = topics
        self._engine = engine
        self._codec = codec

    def run(self, batches: Sequence[Records], until: Mapping[int, int], delivery: Delivery) -> Published:
        """Step every event. Outcomes of events at or above their partition's `until` are published.

        Raises SinkFailed where publishing failed, EnvironmentFault where memory has no room for a new stream.
        """
        decoded = self._codec.decode(batches)
        columns = decoded.columns
        began = time.perf_counter()
        try:
            outcome = self._engine.step(columns)
        except Full:
            raise EnvironmentFault(
                f"--memory-limit: {self._engine.slots.capacity} streams fill it; raise it, or add processes. "
                "Nothing is lost: events from the last commit on are processed again"
            ) from None
        metrics.STEP.observe(time.perf_counter() - began)
        metrics.BATCH.observe(len(columns))
        published = Published()
        for partition, start, stop in columns.runs:
            start += _below(columns.offset[start:stop], until[partition])
            index, values = self._codec.encode(columns, outcome, start, stop)
            if len(index):
                keys = columns.keys[start:stop] if len(index) == stop - start else [columns.keys[i] for i in index]
                timestamps = decoded.columns.timestamp[index].tolist()
                delivery.publish(self._topics.output, partition, keys, values, timestamps)
                published.predictions += len(index)
        for event in decoded.rejected + refusals(decoded, outcome.refused, batches):
            if event.offset >= until[event.partition]:
                self._bury(event, delivery)
                published.letters[event.code] += 1
        return published

    def _bury(self, event: Rejected, delivery: Delivery) -> None:
        value, headers = letter(event, self._topics.input, self._topics.dead_letter_limit)
        delivery.publish(self._topics.dead_letters, event.partition, [event.key], [value], [event.timestamp], [headers])


def _below(offsets: Ints, until: int) -> int:
    """How many of these ascending offsets lie below `until`."""
    if not len(offsets) or offsets[0] >= until:
        return 0
    return int(np.searchsorted(offsets, until))
