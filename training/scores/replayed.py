"""The exported file, run as serving does: one pass over all events with carried state, through the engine.

Knows the file's signature and the events' columns, nothing of scores. What is kept of each event's prediction is the
caller's choice: all of it takes too much room where there are many symbols.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from engine.columns import Columns, Outcome
from engine.model import Model
from engine.replay import replay
from training.data import Events

BATCH = 8192
LIMIT = float(np.finfo(np.float32).max)

Keep = Callable[[Outcome], NDArray[np.float32]]  # of a batch's outcome, [events, ...]


def replayed(model: Model, events: Events, keep: Keep) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """[events, ...] what is kept of the outcome of each event, and [events] whether it was stepped, not refused."""
    values = inputs(model, events)
    mask = np.isfinite(values)
    columns = Columns(
        runs=[(0, 0, len(events))],
        keys=[events.keys[i] for i in events.stream.tolist()],
        offset=np.arange(len(events), dtype=np.int64),
        time=events.time,
        timestamp=events.time,
        x=np.where(mask, values.clip(-LIMIT, LIMIT), 0).astype(np.float32),
        mask=mask.astype(np.float32),
    )
    outcomes = [(keep(outcome), outcome.stepped) for outcome in _outcomes(model, columns, len(events.keys))]
    return np.concatenate([kept for kept, _ in outcomes]), np.concatenate([stepped for _, stepped in outcomes])


def inputs(model: Model, events: Events) -> NDArray[np.float64]:
    """[events, features]: what the file is given; a symbol is its index in the signature, 0 where it is not there."""
    signature = model.signature
    columns = [events.features.index(feature) for feature in signature.features]
    if signature.task != "symbol":
        return events.values[:, columns]
    index = {symbol: i for i, symbol in enumerate(signature.symbols)}
    place = np.array([index.get(symbol, 0) for symbol in events.symbols], np.float64)
    seen = events.values[:, columns]
    there = np.isfinite(seen)
    return np.where(there, place[np.where(there, seen, 0).astype(np.int64)], np.nan)


def _outcomes(model: Model, columns: Columns, streams: int) -> Iterator[Outcome]:
    for _, outcome in replay(model, columns, batch=BATCH, streams=streams):
        yield outcome
