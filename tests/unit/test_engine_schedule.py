"""A batch becomes rectangles: every event once, every stream in order, few calls, resets as cuts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.schedule import schedule

batches = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=120)


@given(batches)
def test_every_event_that_is_no_reset_runs_once_and_in_the_order_of_its_stream(batch: list[tuple[int, bool]]) -> None:
    slots = np.array([slot for slot, _ in batch], np.int64)
    reset = np.array([is_reset for _, is_reset in batch])

    plan = schedule(slots, reset)

    ran: dict[int, list[int]] = {}
    for rectangle in plan.rectangles:
        assert len(set(rectangle.slots)) == len(rectangle.slots)
        for column, slot in enumerate(rectangle.slots):
            assert (slots[rectangle.events[:, column]] == slot).all()
            ran.setdefault(int(slot), []).extend(rectangle.events[:, column].tolist())
    for slot in set(slots.tolist()):
        assert ran.get(slot, []) == np.flatnonzero((slots == slot) & ~reset).tolist()


@given(batches)
def test_a_stream_starts_cold_exactly_after_its_reset(batch: list[tuple[int, bool]]) -> None:
    slots = np.array([slot for slot, _ in batch], np.int64)
    reset = np.array([is_reset for _, is_reset in batch])

    plan = schedule(slots, reset)

    for rectangle in plan.rectangles:
        for column, slot in enumerate(rectangle.slots):
            first = rectangle.events[0, column]
            before = np.flatnonzero(slots[:first] == slot)
            assert rectangle.cold == (reset[before].any() if len(before) else False)
            inside = np.arange(first, rectangle.events[-1, column])
            assert not reset[inside][slots[inside] == slot].any()
    ends = [slot for slot in set(slots.tolist()) if reset[np.flatnonzero(slots == slot)[-1]]]
    assert sorted(plan.cleared.tolist()) == sorted(ends)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=400))
def test_calls_stay_below_the_square_root_of_twice_the_events(streams: list[int]) -> None:
    plan = schedule(np.array(streams, np.int64))
    assert len(plan.rectangles) <= (2 * len(streams)) ** 0.5 + 1
    assert sum(r.events.size for r in plan.rectangles) == len(streams)


def test_a_hot_stream_is_one_call() -> None:
    plan = schedule(np.zeros(5000, np.int64))
    assert [r.events.shape for r in plan.rectangles] == [(5000, 1)]
