"""Fewer streams, for trials that need not see all of them. Knows events, nothing of networks."""

import numpy as np

from training.data import Events
from training.splits import Split


def thin(events: Events, parts: Split, most: int) -> tuple[Events, Split]:
    """Every k-th stream, so that about `most` events are left; all of them where there are no more, or one stream."""
    every = min(-(-len(events) // most), len(events.keys))
    if every <= 1:
        return events, parts
    place = np.where(np.arange(len(events.keys)) % every == 0, np.arange(len(events.keys)) // every, -1)
    there = place[events.stream] >= 0
    fewer = Events(
        keys=events.keys[::every],
        stream=place[events.stream][there],
        time=events.time[there],
        values=events.values[there],
        features=events.features,
        timed=events.timed,
        symbols=events.symbols,
        label=None if events.label is None else events.label[there],
        classes=events.classes,
    )
    return fewer, Split(parts.part[there], parts.valid, parts.test)
