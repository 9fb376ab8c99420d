"""The offline reference: the same engine over events that are all there, no Kafka.

What `serve` publishes must be, bit for bit, what comes out here for the same events and the same model file.
"""

from collections.abc import Iterator

from engine.columns import Columns, Outcome
from engine.model import Network
from engine.rows import Policy
from engine.step import Engine


def replay(
    model: Network, columns: Columns, *, batch: int, streams: int, ttl: int | None = None, poison: Policy = "skip"
) -> Iterator[tuple[Columns, Outcome]]:
    """Step all events from the cold state, `batch` at a time at most; a slice of the columns and its outcome each time.

    streams: how many different streams the columns hold, at least. ttl: time to live, milliseconds; None: for ever.
    """
    engine, batch = Engine(model, streams), min(batch, model.most_events)
    for start in range(0, len(columns), batch):
        part = cut(columns, start, min(start + batch, len(columns)))
        outcome = engine.step(part, ttl, poison)
        engine.keep()
        yield part, outcome


def cut(columns: Columns, start: int, stop: int) -> Columns:
    """Events start..stop of the columns."""
    return Columns(
        runs=[
            (partition, max(first, start) - start, min(last, stop) - start)
            for partition, first, last in columns.runs
            if first < stop and last > start
        ],
        keys=columns.keys[start:stop],
        offset=columns.offset[start:stop],
        time=columns.time[start:stop],
        timestamp=columns.timestamp[start:stop],
        x=columns.x[start:stop],
        mask=columns.mask[start:stop],
        reset=None if columns.reset is None else columns.reset[start:stop],
        poison=None if columns.poison is None else columns.poison[start:stop],
    )
