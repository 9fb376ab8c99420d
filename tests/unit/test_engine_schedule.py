"""A batch becomes rectangles: every event once, every stream in order, few calls, resets as cuts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.schedule import Clearing, Rectangle, schedule

batches = st.lists(
    st.tuples(st.integers(0, 12), st.booleans(), st.booleans(), st.sampled_from([True, True, False])),
    min_size=1,
    max_size=120,
)


@given(batches)
def test_done_one_after_another_the_plan_does_to_each_stream_what_its_events_say(
    batch: list[tuple[int, bool, bool, bool]],
) -> None:
    """Each stream's history is told as a word: its events, "0" where it is cold before one, "!" where it is reset."""
    slots = np.array([event[0] for event in batch], np.int64)
    reset, cold, new = (np.array([event[i] for event in batch]) for i in (1, 2, 3))

    told: dict[int, list[object]] = {}
    for act in schedule(slots, reset, cold, new):
        assert len(set(act.slots.tolist())) == len(act.slots)
        for column, slot in enumerate(act.slots.tolist()):
            history = told.setdefault(slot, [])
            if isinstance(act, Clearing):
                history += [int(act.events[column]), "!"]
            else:
                history += [*(["0"] if act.cold else []), *act.events[:, column].tolist()]

    expected: dict[int, list[object]] = {}
    for event, (slot, is_reset, is_cold, is_new) in enumerate(batch):
        if is_new:
            before = ["0"] if is_cold and not is_reset else []
            expected.setdefault(slot, []).extend([*before, event, *(["!"] if is_reset else [])])
    assert told == expected


@given(st.lists(st.integers(0, 40), min_size=1, max_size=400))
def test_calls_stay_below_the_square_root_of_twice_the_events(streams: list[int]) -> None:
    plan = schedule(np.array(streams, np.int64))
    assert len(plan) <= (2 * len(streams)) ** 0.5 + 1
    assert sum(r.events.size for r in plan) == len(streams)


def test_a_hot_stream_is_one_call() -> None:
    plan = schedule(np.zeros(5000, np.int64))
    assert [(type(act), act.events.shape) for act in plan] == [(Rectangle, (5000, 1))]
