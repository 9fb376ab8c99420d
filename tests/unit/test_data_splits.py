"""Which event is for what: by time, by dates, by streams that are held out, by sequences of one class."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import Events
from training.errors import DataError
from training.splits import TEST, TRAIN, VALID, check_classes, one_class_each, split, stream_labels

DAY = 86_400_000


def made(lengths: list[int], timed: bool = True, labels: list[int] | None = None, classes: str = "abc") -> Events:
    """Streams that all begin on 1970-01-01, an event a day; labels: each stream's class."""
    time = np.concatenate([np.arange(n) for n in lengths])
    order = np.argsort(time, kind="stable")
    stream = np.repeat(np.arange(len(lengths)), lengths)[order]
    return Events(
        keys=[f"s{i}".encode() for i in range(len(lengths))],
        stream=stream,
        time=time[order] * (DAY if timed else 1),
        values=np.zeros((len(time), 1)),
        features=("value",),
        timed=timed,
        label=None if labels is None else np.array(labels)[stream],
        classes=() if labels is None else tuple(classes),
    )


def counts(events: Events, **options: Any) -> list[int]:
    return np.bincount(split(events, 0.7, 0.1, **options).part, minlength=3).tolist()


def day(number: int) -> str:
    return datetime.fromtimestamp(number * 86400, UTC).date().isoformat()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"valid_from": day(50), "test_from": day(60)}, [100, 20, 80]),
        ({"test_from": day(80)}, [140, 20, 40]),  # seven eighths of what is before are for training
        ({"valid_from": day(70)}, [140, 20, 40]),  # a third of what is after is for validation
        ({"valid_from": "4320000", "test_from": "1970-03-02T00:00:00Z"}, [100, 20, 80]),
    ],
)
def test_dates_cut_in_place_of_shares_and_shares_say_the_rest(options: dict[str, str], expected: list[int]) -> None:
    events = made([100, 100])
    assert counts(events, **options) == expected
    parts = split(events, 0.7, 0.1, **options)
    for part, later in ((TRAIN, VALID), (VALID, TEST)):
        assert events.time[parts.part == part].max() < events.time[parts.part == later].min()
    assert parts.valid == events.time[parts.part == VALID].min()
    assert parts.test == events.time[parts.part == TEST].min()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"valid_from": day(60), "test_from": day(50)}, "--valid-from 1970-03-02: lies behind --test-from 1970-02-20"),
        ({"test_from": "soon"}, "--test-from soon: cannot be understood as a time"),
        ({"test_from": day(500)}, "cannot be split by time into training, validation and test"),
        ({"valid_from": day(500)}, "cannot be split by time into training, validation and test"),
        ({"hold_out_streams": 0.5}, "--hold-out-streams 0.5: there is only one stream"),
    ],
)
def test_dates_and_shares_that_cannot_cut_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message.replace(".", r"\.")):
        counts(made([100]), **options)


def test_without_times_each_stream_is_cut_for_itself_and_dates_are_refused() -> None:
    events = made([100, 10, 1], timed=False)
    parts = split(events, 0.7, 0.1)
    per_stream = [np.bincount(parts.part[index], minlength=3).tolist() for index in events.per_stream()]
    assert per_stream == [[70, 10, 20], [7, 1, 2], [1, 0, 0]]
    assert (parts.valid, parts.test) == (None, None)
    with pytest.raises(DataError, match="--test-from 1970-01-09: the data has no times; name their column with --time"):
        split(events, 0.7, 0.1, test_from=day(8))


def test_streams_that_are_held_out_are_tested_on_alone_and_cut_nobody() -> None:
    events = made([100] * 9 + [1000])
    first = split(events, 0.7, 0.1, hold_out_streams=0.2, seed=1)
    held = [i for i, index in enumerate(events.per_stream()) if (first.part[index] == TEST).all()]
    assert len(held) == 2
    np.testing.assert_array_equal(split(events, 0.7, 0.1, hold_out_streams=0.2, seed=1).part, first.part)
    assert any(
        (split(events, 0.7, 0.1, hold_out_streams=0.2, seed=seed).part != first.part).any() for seed in range(2, 9)
    )
    rest = ~np.isin(events.stream, held)
    shares = np.bincount(first.part[rest], minlength=3) / rest.sum()
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.02)


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5), seed=st.integers(0, 1000), data=st.data())
def test_sequences_of_a_class_stay_whole_and_every_class_is_trained(
    sizes: list[int], seed: int, data: st.DataObject
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes).tolist()
    lengths = [data.draw(st.integers(1, 9)) for _ in labels]
    events = made(lengths, data.draw(st.booleans()), labels, "abcde"[: len(sizes)])
    try:
        parts = split(events, 0.6, 0.2, whole_sequences=True, seed=seed)
    except DataError:  # too few sequences for three parts
        assert len(labels) < 20
        return
    of_stream = np.array([parts.part[index][0] for index in events.per_stream()])
    assert all((parts.part[index] == of_stream[i]).all() for i, index in enumerate(events.per_stream()))
    check_classes(events, parts)
    for label, size in enumerate(sizes):
        of_class = np.bincount(of_stream[stream_labels(events) == label], minlength=3)
        np.testing.assert_allclose(of_class, np.array([0.6, 0.2, 0.2]) * size, atol=1.01)


def test_sequences_with_dates_go_where_their_last_event_goes() -> None:
    events = made([10, 20, 40], labels=[0, 1, 0])
    parts = split(events, 0.7, 0.1, valid_from=day(15), test_from=day(30), whole_sequences=True)
    assert [set(parts.part[index].tolist()) for index in events.per_stream()] == [{TRAIN}, {VALID}, {TEST}]
    assert events.label is not None
    events.label[0] = 1
    with pytest.raises(DataError, match="stream 's0' has the classes"):
        split(events, 0.7, 0.1, valid_from=day(15), test_from=day(30), whole_sequences=True)


def test_a_class_that_is_not_in_the_training_part_is_refused() -> None:
    events = made([100, 100], labels=[0, 0], classes="ab")
    assert events.label is not None
    events.label[180:] = 1
    with pytest.raises(DataError, match=r"class 'b' is not in the training part, only later \(first in stream 's0'\)"):
        check_classes(events, split(events, 0.7, 0.1))
    with pytest.raises(DataError, match=r"the labels name 1 classes \(a\); give data with two or more"):
        check_classes(made([100], labels=[0], classes="a"), split(made([100]), 0.7, 0.1))


def test_a_sequence_has_one_class_or_none() -> None:
    events = made([3, 3, 3], labels=[0, 2, 1])
    assert events.label is not None
    events.label[events.per_stream()[0][1:]] = -1
    events.label[events.per_stream()[1]] = -1
    assert stream_labels(events).tolist() == [0, -1, 1]
    assert one_class_each(events)
    events.label[events.per_stream()[2][1]] = 2
    with pytest.raises(DataError, match="stream 's2' has the classes 'b' and 'c'; give each sequence one class"):
        stream_labels(events)
    assert not one_class_each(events)
    assert not one_class_each(made([3]))
