"""The set of events that every reader makes, whatever it reads. Knows polars, nothing of files.

One row is one event: a key, a time, one or more values, perhaps a class.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

# Names of our own columns, such as no file of the user's has.
KEY, TIME, STREAM, LABEL = "(key)", "(time)", "(stream)", "(label)"


@dataclass(slots=True)
class Events:
    """Columns of equal length, in time order; events of the same time keep the order of the files."""

    keys: list[bytes]  # each stream's key, once, in order of its first event
    stream: NDArray[np.int64]  # [events] index into keys
    time: NDArray[np.int64]  # [events] milliseconds since the epoch; the stream's event number where there is no time
    values: NDArray[np.float64]  # [events, features]; NaN where missing
    features: tuple[str, ...]
    timed: bool  # whether the data had a time
    symbols: tuple[str, ...] = ()  # task symbol: values are indexes into these, which stand in order of appearance
    label: NDArray[np.int64] | None = None  # task class: [events] index into classes, -1 where none is told
    classes: tuple[str, ...] = ()  # sorted
    notes: tuple[str, ...] = ()  # what the user should know of the data, a line each

    def __len__(self) -> int:
        return len(self.stream)

    def by_stream(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indexes of the events sorted by stream, in time order within it, [events], and each stream's first place
        there, [streams + 1]."""
        order = np.argsort(self.stream, kind="stable").astype(np.int64)
        return order, np.searchsorted(self.stream[order], np.arange(len(self.keys) + 1)).astype(np.int64)

    def per_stream(self) -> list[NDArray[np.int64]]:
        """For each stream the indexes of its events, in time order."""
        order, bounds = self.by_stream()
        return [order[first:last] for first, last in pairwise(bounds.tolist())]


def keyed(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[bytes]]:
    """The frame with STREAM, an index into the keys, in place of KEY (String)."""
    streams = frame.select(KEY).unique(maintain_order=True).with_row_index(STREAM)
    joined = frame.join(streams, on=KEY, how="left", maintain_order="left").drop(KEY)
    return joined, [str(name).encode() for name in streams[KEY].to_list()]


def assemble(frame: pl.DataFrame, keys: list[bytes], features: tuple[str, ...], timed: bool) -> Events:
    """Rows in the order of the data as events in the order of time.

    frame: STREAM, TIME (Int64 milliseconds, where timed), each feature (Float64, NaN where missing; or String, null
    where missing, of a single feature: then these are symbols), and perhaps LABEL (String).
    """
    if not timed:
        frame = frame.with_columns(pl.int_range(pl.len()).over(STREAM).alias(TIME))
    if not frame[TIME].is_sorted():
        frame = frame.sort(TIME, maintain_order=True)
    renamed = frame.select(STREAM).unique(maintain_order=True)[STREAM].to_numpy()
    place = np.empty(len(keys), np.int64)
    place[renamed] = np.arange(len(renamed))
    symbols: list[str] = []
    if frame[features[0]].dtype == pl.String:
        codes, symbols = _codes(frame[features[0]])
        frame = frame.with_columns(codes.cast(pl.Float64).fill_null(float("nan")))
    label, classes = None, []
    if LABEL in frame.columns:
        classes = sorted(frame[LABEL].drop_nulls().unique().to_list())
        found = frame[LABEL].cast(pl.Enum(classes)).to_physical()
        label = found.cast(pl.Int64).fill_null(-1).to_numpy()
    return Events(
        keys=[keys[i] for i in renamed],
        stream=place[frame[STREAM].to_numpy()],
        time=frame[TIME].to_numpy().astype(np.int64),
        values=frame.select(features).to_numpy().astype(np.float64).reshape(len(frame), len(features)),
        features=features,
        timed=timed,
        symbols=tuple(symbols),
        label=label,
        classes=tuple(classes),
    )


def _codes(texts: pl.Series) -> tuple[pl.Series, list[str]]:
    """Each text's place among the texts in order of first appearance, null for null; and these texts."""
    symbols = texts.drop_nulls().unique(maintain_order=True)
    return texts.cast(pl.Enum(symbols)).to_physical().alias(texts.name), symbols.to_list()


def repeated(events: Events) -> Events:
    """The events, with a note where some repeat the event before them: they stay, as serving would step them, too."""
    if not events.timed or len(events) < 2:
        return events
    order = np.argsort(events.stream, kind="stable")
    stream, time, values = events.stream[order], events.time[order], events.values[order]
    at_once = (stream[1:] == stream[:-1]) & (time[1:] == time[:-1])
    alike = ((values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))).all(1)
    same, exact = int(at_once.sum()), int((at_once & alike).sum())
    if not same:
        return events
    note = (
        f"{same} of {len(events)} events have the time of the event before them in their stream, {exact} its values, "
        "too; all of them are kept, in the order of the data, as serving would step them"
    )
    return replace(events, notes=(*events.notes, note))
