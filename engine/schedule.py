"""A batch -> rectangles: which events run together in one call of the network. Knows nothing of rows or models.

Streams with the same number of events in the batch form one rectangle [time, stream]. N events make at most
sqrt(2 N) different counts, so about that many calls at most; nothing is padded. A reset, and an event that starts its
stream cold, cut a stream's events in two: what follows runs in a later wave.
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
class Clearing:
    """Resets that take place together."""

    events: Ints  # [stream] the resets' indices in the batch
    slots: Ints  # [stream], all different


MOST_STREAMS = 4096  # in one rectangle: beyond it a step's tensors leave the cache, and an event costs a fifth more


def schedule(
    slots: Ints, reset: Bools | None = None, cold: Bools | None = None, new: Bools | None = None
) -> list[Rectangle | Clearing]:
    """What to do in which order, for a batch in which event i belongs to the stream in slots[i].

    reset: these events are not stepped, they clear their stream; cold: these start theirs from the cold state; new:
    the others are left out. Each [events]; None: no such event, or for new: every event.
    """
    events = np.arange(len(slots)) if new is None else np.flatnonzero(new)
    order: Ints = events[np.argsort(slots[events], kind="stable")]
    resets = None if reset is None or not reset[order].any() else reset[order]
    colds = None if cold is None or not cold[order].any() else cold[order]
    if not len(order):
        return []
    if resets is None and colds is None:
        return [*_rectangles(slots, order, cold=False)]
    return _waves(slots, order, _or_none(resets, order), _or_none(colds, order))


def _or_none(flags: Bools | None, order: Ints) -> Bools:
    return np.zeros(len(order), np.bool_) if flags is None else flags


def _waves(slots: Ints, order: Ints, reset: Bools, cold: Bools) -> list[Rectangle | Clearing]:
    """order, reset, cold: [events], sorted by slot, a stream's events in their order."""
    first = _first(slots[order])
    cuts: Ints = np.cumsum(cold) + np.cumsum(reset) - reset  # at or before each event, over all streams
    wave: Ints = cuts - np.repeat((cuts - cold)[first], np.diff(np.append(first, len(order))))
    by_wave = np.argsort(wave, kind="stable")
    bounds = np.flatnonzero(np.diff(wave[by_wave], prepend=-1, append=-1))
    plan: list[Rectangle | Clearing] = []
    for members in np.split(by_wave, bounds[1:-1]):
        stepped = members[~reset[members]]
        if len(stepped):
            # A stream has one run of events in a wave, and starts cold where the first of them does.
            begins = _first(slots[order[stepped]])
            starts_cold = np.repeat(cold[stepped[begins]], np.diff(np.append(begins, len(stepped))))
            for which in (False, True):
                some = order[stepped[starts_cold == which]]
                if len(some):
                    plan += _rectangles(slots, some, cold=which)
        ends = order[members[reset[members]]]
        if len(ends):
            plan.append(Clearing(ends, slots[ends]))
    return plan


def _first(sorted_slots: Ints) -> Ints:
    """Where each stream's events begin."""
    begins = np.ones(len(sorted_slots), np.bool_)
    np.not_equal(sorted_slots[1:], sorted_slots[:-1], out=begins[1:])
    return begins.nonzero()[0]


def _rectangles(slots: Ints, order: Ints, cold: bool) -> list[Rectangle]:
    """order: event indices, sorted by slot, a stream's events in their order."""
    sorted_slots = slots[order]
    first = _first(sorted_slots)
    if len(first) == len(order):
        by_length = {1: first}  # every stream once, as in most batches that are small
    else:
        count = np.diff(first, append=len(order))
        by_length = {int(length): first[count == length] for length in np.bincount(count).nonzero()[0]}
    rectangles = []
    for length, all_starts in by_length.items():
        ahead = np.arange(length)[:, None]
        for at in range(0, len(all_starts), MOST_STREAMS):
            starts = all_starts[at : at + MOST_STREAMS]
            rectangles.append(Rectangle(order[starts + ahead], sorted_slots[starts], cold))
    return rectangles
