"""What is remembered of the last minutes: only what was committed and published, and no more than it has room for."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from engine.columns import Columns, Outcome
from stream import recent
from stream.inquiries import Second
from stream.recent import FOLLOWED, LAPSE, SPAN, SPANS, TOLD, Recent, Trail

NOW = 1_000_000.0  # seconds
KEY = b"a"


def batch(
    keys: Sequence[bytes],
    surprise: Sequence[float],
    partition: int = 0,
    first: int = 0,
    steps: Sequence[int] | None = None,
    refused: Sequence[int] = (),
) -> tuple[Columns, Outcome]:
    """Events from this offset on, of one feature; each one's prediction says its offset."""
    count = len(keys)
    offset = np.arange(first, first + count)
    stepped = np.ones(count, np.bool_)
    stepped[list(refused)] = False
    x = np.arange(count, dtype=np.float32)[:, None]
    columns = Columns([(partition, 0, count)], list(keys), offset, offset * 10, offset * 10, x, np.ones_like(x))
    predicted = np.repeat(offset[:, None, None], 5, axis=2).astype(np.float32)
    told = np.array(surprise, np.float32).reshape(count, -1)
    step = np.array(steps if steps is not None else range(2, count + 2), np.int64)
    return columns, Outcome(step, predicted, told, stepped)


def noted(some: Recent, columns: Columns, outcome: Outcome, until: int = 0) -> None:
    some.note(columns, outcome, {partition: until for partition, _, _ in columns.runs})


def ranking(some: Recent, now: float = NOW) -> list[tuple[bytes, float]]:
    return [(one.key, one.surprise) for one in some.surprising(now)]


def followed(some: Recent, key: bytes = KEY, partition: int = 0) -> Trail:
    assert some.follow(key, NOW)
    return some.begin(partition, key)


def offsets(trail: Trail, after: int = -1) -> list[int]:
    return [event.offset for event, _ in trail.after(after)]


def test_what_is_not_committed_is_not_shown_and_what_is_put_back_never_was() -> None:
    some = Recent(5)
    trail = followed(some)
    noted(some, *batch([KEY, b"b"], [1.0, 2.0]))
    assert (ranking(some), offsets(trail)) == ([], [])

    some.put_back()
    some.keep(NOW)
    assert (ranking(some), offsets(trail)) == ([], [])

    noted(some, *batch([KEY, b"b"], [1.0, 2.0]))
    some.keep(NOW)
    assert (ranking(some), offsets(trail)) == ([(b"b", 2.0), (KEY, 1.0)], [0])


def test_events_that_were_stepped_silently_refused_or_had_nothing_to_surprise_are_left_out() -> None:
    some = Recent(5)
    trail = followed(some)
    noted(some, *batch([KEY, KEY, KEY, b"c", b"d"], [9, 8, 1, np.nan, 2], refused=[1]), until=1)
    some.keep(NOW)
    assert ranking(some) == [(b"d", 2.0), (KEY, 1.0)]
    assert offsets(trail) == [2]


def test_a_stream_stands_once_with_its_most_surprising_event_and_of_several_targets_the_highest_counts() -> None:
    some = Recent(5)
    noted(some, *batch([KEY, b"b", KEY], [[1, 7], [2, np.nan], [3, 4]]))
    noted(some, *batch([KEY], [[9, 0]], partition=1))
    some.keep(NOW)
    assert [(one.partition, one.key, one.surprise, one.offset) for one in some.surprising(NOW)] == [
        (1, KEY, 9.0, 0),
        (0, KEY, 7.0, 0),
        (0, b"b", 2.0, 1),
    ]


def test_the_table_tells_the_highest_whatever_the_order_in_which_they_come() -> None:
    some = Recent(5)
    surprise = np.random.default_rng(0).permutation(20_000).astype(float)
    keys = [b"%d" % value for value in surprise]
    for start in range(0, 20_000, 400):
        part = slice(start, start + 400)
        noted(some, *batch(keys[part], surprise[part], first=start))
        if start % 2000 == 0:
            some.keep(NOW)
    some.keep(NOW)
    assert ranking(some) == [(b"%d" % value, value) for value in np.arange(19_999.0, 19_999 - TOLD, -1)]


def test_what_surprised_minutes_ago_is_forgotten_and_what_came_after_it_is_not() -> None:
    some = Recent(5)
    noted(some, *batch([b"old"], [99.0]))
    some.keep(NOW)
    later = NOW + SPAN * SPANS / 2
    noted(some, *batch([b"new"], [1.0]))
    some.keep(later)
    assert ranking(some, later) == [(b"old", 99.0), (b"new", 1.0)]
    assert ranking(some, NOW + SPAN * (SPANS + 1)) == [(b"new", 1.0)]


def test_an_event_of_a_followed_stream_knows_what_was_predicted_before_it() -> None:
    some = Recent(5)
    trail = followed(some)
    noted(some, *batch([KEY, b"b", KEY], [1, 1, 1], steps=[5, 9, 6]))
    some.keep(NOW)
    # Then it starts cold, and at last something is missing in between
    noted(some, *batch([KEY, KEY, KEY], [1, 1, 1], first=3, steps=[1, 2, 4]))
    some.keep(NOW)
    before = [None if before is None else before[0, 0] for _, before in trail.after(-1)]
    assert before == [None, 0, None, 3, None]
    assert offsets(trail, after=2) == [3, 4, 5]


def test_the_first_event_knows_what_the_row_said_when_the_following_began() -> None:
    some = Recent(5)
    trail = followed(some)
    trail.before = 4, np.full((1, 5), 7, np.float32)
    noted(some, *batch([KEY], [1], steps=[5]))
    some.keep(NOW)
    ((_, before),) = trail.after(-1)
    assert before is not None
    assert before[0, 0] == 7


def test_a_trail_is_a_ring_and_still_knows_what_came_before_its_first_event() -> None:
    some = Recent(recent.RING_FLOATS // 3)  # large predictions: three events have room
    trail = followed(some)
    for first in range(0, 10, 2):
        noted(some, *batch([KEY, KEY], [1, 1], first=first, steps=[first + 2, first + 3]))
        some.keep(NOW)
    assert offsets(trail) == [7, 8, 9]
    assert [before[0, 0] for _, before in trail.after(-1) if before is not None] == [6, 7, 8]


def test_of_a_batch_the_newest_events_of_followed_streams_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "TAKEN", 3)
    some = Recent(5)
    first, second = followed(some), followed(some, b"b")
    noted(some, *batch([KEY, b"b"] * 5, [1] * 10))
    some.keep(NOW)
    assert (offsets(first), offsets(second)) == ([8], [7, 9])


def test_a_stream_that_nobody_asks_for_any_more_is_forgotten_and_there_is_room_for_so_many() -> None:
    some = Recent(5)
    keys = [b"%d" % i for i in range(FOLLOWED)]
    assert all(some.follow(key, NOW) for key in keys)
    assert not some.follow(b"one more", NOW)
    some.begin(0, keys[0])
    assert some.follow(keys[1], NOW + LAPSE)
    assert some.follow(b"one more", NOW + LAPSE + 1)
    assert some.trail(0, keys[0]) is None


def test_a_partition_that_goes_takes_what_is_known_of_its_streams() -> None:
    some = Recent(5)
    followed(some)
    noted(some, *batch([KEY], [1.0]))
    noted(some, *batch([b"b"], [2.0], partition=1))
    some.keep(NOW)
    some.drop(0)
    assert ranking(some) == [(b"b", 2.0)]
    assert some.trail(0, KEY) is None


def test_the_surprise_of_a_streams_last_event_is_known_where_it_is_remembered() -> None:
    some = Recent(5)
    noted(some, *batch([KEY, b"b"], [1.5, 2.0]))
    some.keep(NOW)
    assert some.surprise(0, KEY, 0) == 1.5
    assert some.surprise(0, KEY, 9) is None
    followed(some)
    noted(some, *batch([KEY], [0.25], first=9))
    some.keep(NOW)
    assert some.surprise(0, KEY, 9) == 0.25


def test_the_history_has_a_line_for_each_second_in_which_something_was_committed() -> None:
    some = Recent(5)
    for now, latency in ((NOW, 0.1), (NOW + 0.3, 0.5), (NOW + 0.9, 0.2), (NOW + 3, None)):
        some.committed(now, 10, 8, 1, latency)
    at = int(NOW) * 1000
    first, last = Second(at, 30, 24, 3, 0.2, 0.5), Second(at + 3000, 10, 8, 1, None, None)
    assert some.seconds(0, NOW + 3) == (first, last)
    assert some.seconds(at + 1, NOW + 3) == (last,)
    assert some.seconds(0, NOW + recent.HISTORY + 2) == (last,)


def test_the_history_has_an_end() -> None:
    some = Recent(5)
    for second in range(2 * recent.HISTORY):
        some.committed(NOW + second, 1, 1, 0, 0.1)
    told = some.seconds(0, NOW)
    assert len(told) == recent.HISTORY
    assert all(later.at - earlier.at == 1000 for earlier, later in itertools.pairwise(told))
