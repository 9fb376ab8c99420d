"""What one batch goes through: decoded, stepped, published. Knows nothing of commits, the group or failures."""

import functools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import structlog

from engine.columns import Ints
from engine.step import Engine
from stream import metrics
from stream.broker.port import Records
from stream.codec import Codec, Rejected
from stream.commit import Delivery
from stream.deadletters import letter, refusals
from stream.recent import Recent
from stream.state.changelog import Rules

log = structlog.get_logger()


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

    def __init__(self, topics: Topics, engine: Engine, codec: Callable[[Rules], Codec], recent: Recent) -> None:
        """codec: made once for each set of rules; recent: notes what stands out."""
        self._topics = topics
        self._engine = engine
        self._recent = recent
        self._codec = functools.cache(codec)

    def run(self, batches: Sequence[Records], rules: Rules, until: Mapping[int, int], delivery: Delivery) -> Published:
        """Step every event by these rules. Outcomes of events at or above their partition's `until` are published.

        Raises SinkFailed where publishing failed, slots.Full where there is no room for a new stream.
        """
        codec = self._codec(rules)
        decoded = codec.decode(batches)
        columns = decoded.columns
        began = time.perf_counter()
        outcome = self._engine.step(columns, rules.state_ttl, rules.poison)
        metrics.STEP.observe(time.perf_counter() - began)
        metrics.BATCH.observe(len(columns))
        published = Published()
        for partition, start, stop in columns.runs:
            start += _below(columns.offset[start:stop], until[partition])
            index, values = codec.encode(columns, outcome, start, stop)
            if len(index):
                keys = columns.keys[start:stop] if len(index) == stop - start else [columns.keys[i] for i in index]
                timestamps = np.maximum(columns.timestamp[index], 1).tolist()  # librdkafka takes 0 for "now"
                delivery.publish(self._topics.output, partition, keys, values, timestamps)
                published.predictions += len(index)
        for event in decoded.rejected + refusals(decoded, outcome, batches):
            if event.offset >= until[event.partition]:
                self._bury(event, delivery)
                published.letters[event.code] += 1
        self._recent.note(columns, outcome, until)
        return published

    def _bury(self, event: Rejected, delivery: Delivery) -> None:
        # Why stands in the letter: it may quote the event, which is nobody's business who reads the log.
        log.warning("dead_letter", code=event.code, partition=event.partition, offset=event.offset)
        value, headers = letter(event, self._topics.input, self._topics.dead_letter_limit)
        delivery.publish(
            self._topics.dead_letters, event.partition, [event.key], [value], [max(event.timestamp, 1)], [headers]
        )


def _below(offsets: Ints, until: int) -> int:
    """How many of these ascending offsets lie below `until`."""
    if not len(offsets) or offsets[0] >= until:
        return 0
    return int(np.searchsorted(offsets, until))
