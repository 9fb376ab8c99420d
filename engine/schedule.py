"""A batch -> rectangles: which events run together in one call of the network. Knows nothing of rows or models.

Streams with the same number of events in the batch form one rectangle [time, stream]. N events make at most
sqrt(2 N) different counts, so about that many calls at most; nothing is padded. A reset cuts a stream's events in two:
what comes after it runs in a later wave, from the cold state.
"""

from dataclasses import dataclass

import numpy as np

from engine.columns import Bools, Ints


@dataclass(slots=True)
class Rectangle:
    """Events that run in one call."""

    events: Ints  # [time, stream] indices into the batch
    slots: Ints  # [stream], all different
    cold: bool  # these streams start from the cold state, whatever their rows hold


@dataclass(slots=True)
class Schedule:
    """Rectangles in an order that keeps every stream's events in theirs, then the slots that end up reset."""

    rectangles: list[Rectangle]
    cleared: Ints  # [stream] slots whose last event was a reset
    cleared_by: Ints  # [stream] that reset's index in the batch


MOST_STREAMS = 4096  # in one rectangle: beyond it a step's tensors leave the cache, and an event costs a fifth more
_NONE = np.empty(0, np.int64)


def schedule(slots: Ints, reset: Bools | None = None) -> Schedule:
    """Rectangles for a batch in which event i belongs to the stream in slots[i]."""
    order = np.argsort(slots, kind="stable")
    if reset is None or not reset.any():
        return Schedule(_rectangles(slots, order, cold=False), _NONE, _NONE)

    sorted_slots, sorted_reset = slots[order], reset[order]
    last = np.append(sorted_slots[1:] != sorted_slots[:-1], True)
    first = np.flatnonzero(np.append(True, last[:-1]))
    before: Ints = np.cumsum(sorted_reset) - sorted_reset  # resets before each event, over all streams
    wave: Ints = before - np.repeat(before[first], np.diff(np.append(first, len(order))))
    rectangles = []
    for number in range(int(wave.max()) + 1):
        members = order[(wave == number) & ~sorted_reset]
        if len(members):
            rectangles += _rectangles(slots, members, cold=number > 0)
    ends = order[last & sorted_reset]
    return Schedule(rectangles, slots[ends], ends)


def _rectangles(slots: Ints, order: Ints, cold: bool) -> list[Rectangle]:
    """order: event indices, sorted by slot, a stream's events in their order."""
    sorted_slots = slots[order]
    first = np.flatnonzero(np.append(True, sorted_slots[1:] != sorted_slots[:-1]))
    count = np.diff(np.append(first, len(order)))
    rectangles = []
    for length in np.unique(count):
        ahead = np.arange(length)[:, None]
        all_starts = first[count == length]
        for starts in np.split(all_starts, range(MOST_STREAMS, len(all_starts), MOST_STREAMS)):
            rectangles.append(Rectangle(order[starts + ahead], sorted_slots[starts], cold))
    return rectangles
