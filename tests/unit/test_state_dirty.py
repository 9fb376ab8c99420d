"""The queue of dirty rows: oldest first, none lost, none twice, and written as evenly as the interval allows."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.state.dirty import Dirty


@dataclass
class Model:
    """The same queue, row by row: (slot, since, clock, at)."""

    rows: list[tuple[int, int, int, float]] = field(default_factory=list)

    def head(self, written: int) -> tuple[int, int, float] | None:
        return self.rows[written][1:] if written < len(self.rows) else None


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int]]:
    return draw(st.lists(st.tuples(st.sampled_from(["add", "take", "plan"]), st.integers(0, 50)), max_size=40))


@given(histories())
def test_it_is_a_queue_whose_head_tells_from_where_to_replay(history: list[tuple[str, int]]) -> None:
    dirty, model, slot = Dirty(), Model(), 0
    for turn, (what, number) in enumerate(history):
        if what == "add":
            slots = np.arange(slot, slot + number)
            slot += number
            dirty.add(slots, turn * 10, turn * 1000, float(turn))
            model.rows += [(s, turn * 10, turn * 1000, float(turn)) for s in slots.tolist()]
        elif what == "take":
            number = min(number, len(model.rows))
            dirty.take(number)
            del model.rows[:number]
        oldest = dirty.oldest(number)
        assert oldest.dtype == np.int64
        assert oldest.tolist() == [row[0] for row in model.rows[:number]]
        head = dirty.after(number)
        assert (None if head is None else (head.since, head.clock, head.at)) == model.head(number)
        assert len(dirty) == len(model.rows)
        assert dirty.older(turn, 5.0) == sum(turn - row[3] >= 5.0 for row in model.rows)


@given(histories())
def test_looking_changes_nothing(history: list[tuple[str, int]]) -> None:
    dirty = Dirty()
    for turn, (_, number) in enumerate(history):
        dirty.add(np.arange(number), turn, turn, float(turn))
    before = dirty.oldest(len(dirty)).tolist()
    dirty.after(7)
    dirty.due(100.0, 10.0, 0.1)
    dirty.older(100.0, 1.0)
    assert dirty.oldest(len(dirty)).tolist() == before


def test_an_empty_queue_has_nothing_to_say() -> None:
    dirty = Dirty()
    assert (len(dirty), dirty.due(1.0, 10.0, 0.1), dirty.older(1.0, 0.0)) == (0, 0, 0)
    assert dirty.after(0) is None
    assert dirty.oldest(10).tolist() == []
    dirty.take(0)


@pytest.mark.parametrize(("interval", "gap"), [(10.0, 0.1), (1.0, 0.05), (60.0, 1.0)])
def test_a_million_rows_that_became_dirty_at_once_are_written_evenly(interval: float, gap: float) -> None:
    dirty, rows = Dirty(), 1_000_000
    dirty.add(np.arange(rows), 0, 0, 0.0)
    written, now = [], gap
    while len(dirty):
        assert now <= interval + gap / 2
        written.append(dirty.due(now, interval, gap))
        dirty.take(written[-1])
        now += gap
    assert sum(written) == rows
    even = rows * gap / interval
    assert max(written) <= even * 1.25, "a burst"
    assert min(written[:-1]) >= even * 0.8, "a lull"


@given(
    arrivals=st.lists(st.integers(0, 10_000), min_size=1, max_size=60),
    gap=st.sampled_from([0.05, 0.1, 0.5]),
    interval=st.sampled_from([0.5, 1.0, 3.0]),
)
def test_steady_writing_keeps_the_interval_whatever_comes(arrivals: list[int], gap: float, interval: float) -> None:
    dirty, now, turn = Dirty(), 0.0, 0
    while turn < len(arrivals) or len(dirty):
        dirty.take(dirty.due(now, interval, gap))
        head = dirty.after(0)
        assert head is None or now - head.at < interval
        if turn < len(arrivals):
            dirty.add(np.arange(arrivals[turn]), turn, 0, now)
        turn += 1
        now = turn * gap


def test_what_is_overdue_is_due_at_once_and_never_more_than_there_is() -> None:
    dirty = Dirty()
    dirty.add(np.arange(100), 0, 0, 0.0)
    dirty.add(np.arange(100, 300), 1, 0, 50.0)
    assert 100 <= dirty.due(50.0, 10.0, 0.1) < 110
    assert dirty.due(1e9, 10.0, 0.1) == 300


def test_an_interval_below_the_gap_writes_everything_at_each_chance() -> None:
    dirty = Dirty()
    dirty.add(np.arange(50), 0, 0, 0.0)
    assert dirty.due(0.0, 0.01, 0.1) == 50
