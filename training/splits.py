"""Cuts events into a training, a validation and a test part. Knows events, nothing of networks.

Where events have times, a part is decided by an event's own time alone, for all streams at once, so no stream's future
is in another's training. Where they have none, each stream is cut for itself. Sequences that have one class each, and
streams that are held out, are in one part as a whole.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.signature import Per
from training.data.events import Events
from training.data.times import moment
from training.errors import DataError

TRAIN, VALID, TEST = 0, 1, 2

Parts = NDArray[np.int8]


@dataclass(frozen=True)
class Split:
    """Each event's part, and the times at which the parts begin, in milliseconds, where they are cut by time."""

    part: Parts  # [events] TRAIN, VALID or TEST
    valid: int | None
    test: int | None


def split(
    events: Events,
    train_share: float,
    valid_share: float,
    *,
    valid_from: str | None = None,
    test_from: str | None = None,
    hold_out_streams: float = 0.0,
    whole_sequences: bool = False,
    seed: int = 0,
) -> Split:
    """Training, then validation, then test; the shares are of the events, and what they leave is the test part.

    With times: cut at one time for all streams; events of one time stay in one part. valid_from, test_from: times that
    cut instead of shares; the shares then hold for what they leave open. Without times: each stream is cut by shares of
    its own events. hold_out_streams: this share of the streams, drawn with the seed, is in the test part alone, and has
    no say in where the others are cut. whole_sequences: each stream is in one part; they are drawn with the seed, each
    class by itself, and with valid_from or test_from they go where their last event goes.

    Raises DataError: a part is empty, a time cannot be understood, a class has no sequence to train on.
    """
    held = _held_out(events, hold_out_streams, seed)
    rest = ~held[events.stream]
    valid = test = None
    if valid_from is not None or test_from is not None:
        if not events.timed:
            option, told = ("--valid-from", valid_from) if valid_from is not None else ("--test-from", test_from)
            raise DataError(f"{option} {told}: the data has no times; name their column with --time, or give shares")
        valid, test = _told(events.time[rest], train_share, valid_share, valid_from, test_from)
    elif events.timed and not whole_sequences:
        valid, test = _cut(events.time[rest], train_share, valid_share)
    if valid is not None and test is not None:
        part = split_at(events, valid, test).part
        if whole_sequences:
            stream_labels(events)  # refuses a sequence of several classes
            part = _last(events, part)[events.stream]
    elif whole_sequences:
        part = _drawn(events, held, train_share, valid_share, seed)[events.stream]
    else:
        part = _by_place(events, train_share, valid_share)
    part = np.where(rest, part, TEST).astype(np.int8)
    counts = np.bincount(part, minlength=3)
    if (counts == 0).any():
        raise DataError(
            f"{len(events)} events cannot be split {'by time ' if valid is not None else ''}into training, validation "
            f"and test ({counts[TRAIN]}, {counts[VALID]} and {counts[TEST]} events); give more events or other shares"
        )
    return Split(part, valid, test)


def cut_times(events: Events, train_share: float, valid_share: float) -> tuple[int, int]:
    """The times at which validation and test begin, by shares of the events in time order."""
    return _cut(events.time, train_share, valid_share)


def split_at(events: Events, valid: int, test: int) -> Split:
    """Training is all before the time `valid`, validation before `test`, the test part the rest."""
    part = ((events.time >= valid).astype(np.int8) + (events.time >= test)).astype(np.int8)
    return Split(part, valid, test)


def _cut(time: NDArray[np.int64], train_share: float, valid_share: float) -> tuple[int, int]:
    valid, test = (time[int(len(time) * share)] for share in (train_share, train_share + valid_share))
    return int(valid), int(test)


def _told(
    time: NDArray[np.int64], train_share: float, valid_share: float, valid_from: str | None, test_from: str | None
) -> tuple[int, int]:
    """Where validation and test begin, at least one of them told by the user."""
    valid = None if valid_from is None else moment("--valid-from", valid_from)
    test = None if test_from is None else moment("--test-from", test_from)
    if valid is None and test is not None:
        before = time[time < test]
        share = train_share / (train_share + valid_share)
        valid = int(before[int(len(before) * share)]) if len(before) else test
    if test is None and valid is not None:
        after = time[time >= valid]
        share = valid_share / (1 - train_share)
        test = int(after[int(len(after) * share)]) if len(after) else valid
    assert valid is not None
    assert test is not None
    if valid > test:
        raise DataError(f"--valid-from {valid_from}: lies behind --test-from {test_from}; validation comes first")
    return valid, test


def _held_out(events: Events, share: float, seed: int) -> NDArray[np.bool_]:
    """[streams] whether it is in the test part alone: at least one where there is a share, and never all of them."""
    streams = len(events.keys)
    held = np.zeros(streams, np.bool_)
    if share > 0:
        if streams < 2:
            raise DataError(f"--hold-out-streams {share}: there is only one stream; leave it out, or give more streams")
        count = min(max(round(share * streams), 1), streams - 1)
        held[np.random.default_rng(seed).permutation(streams)[:count]] = True
    return held


def _by_place(events: Events, train_share: float, valid_share: float) -> Parts:
    """By each event's number in its stream, which is its time where there is none."""
    place = events.time / np.bincount(events.stream, minlength=len(events.keys))[events.stream]
    return ((place >= train_share).astype(np.int8) + (place >= train_share + valid_share)).astype(np.int8)


def _last(events: Events, part: Parts) -> Parts:
    """[streams] the part of each stream's last event."""
    found = np.empty(len(events.keys), np.int8)
    found[events.stream] = part  # events are in time order, so that the last one stays
    return found


def _drawn(events: Events, held: NDArray[np.bool_], train_share: float, valid_share: float, seed: int) -> Parts:
    """[streams] drawn for each class by itself, so that all parts have the classes in like shares."""
    random = np.random.default_rng([seed, 1])
    found = np.full(len(events.keys), TEST, np.int8)
    of_stream = stream_labels(events)
    for label in np.unique(of_stream[~held]):
        streams = random.permutation(np.flatnonzero((of_stream == label) & ~held))
        # A place between the streams' numbers that differs from class to class, so that small classes round evenly.
        place = (np.arange(len(streams)) + random.random()) / len(streams)
        part = (place >= train_share).astype(np.int8) + (place >= train_share + valid_share)
        part[0] = TRAIN
        found[streams] = part
    return found


def stream_labels(events: Events) -> NDArray[np.int64]:
    """[streams] index into classes, -1 where none is told. Raises DataError where a stream has several."""
    found = np.full(len(events.keys), -1, np.int64)
    if events.label is None:
        return found
    told = np.flatnonzero(events.label >= 0)[::-1]
    found[events.stream[told]] = events.label[told]  # backwards, so that a stream's first one stays
    other = (events.label >= 0) & (events.label != found[events.stream])
    if other.any():
        at = int(other.argmax())
        stream = int(events.stream[at])
        one, two = (events.classes[i] for i in (found[stream], events.label[at]))
        raise DataError(
            f"stream {events.keys[stream].decode(errors='replace')!r} has the classes {one!r} and {two!r}; give each "
            "sequence one class, or say --per event"
        )
    return found


def one_class_each(events: Events) -> bool:
    """Whether the class never changes within a stream, so that it is the sequence's and not the event's."""
    try:
        stream_labels(events)
    except DataError:
        return False
    return events.label is not None


def what_is_labelled(events: Events, asked: Per | None) -> Per:
    """What has a class: as asked, else the sequence where no stream has two."""
    return asked or ("sequence" if one_class_each(events) else "event")


def check_classes(events: Events, split: Split) -> None:
    """Raise DataError where there are fewer than two classes, or one that the training part has not."""
    if events.label is None or len(events.classes) < 2:
        raise DataError(
            f"the labels name {len(events.classes)} classes ({', '.join(events.classes)}); give data with two or more"
        )
    trained = np.unique(events.label[split.part == TRAIN])
    for label, name in enumerate(events.classes):
        if label not in trained:
            at = int((events.label == label).argmax())
            stream = events.keys[events.stream[at]].decode(errors="replace")
            raise DataError(
                f"class {name!r} is not in the training part, only later (first in stream {stream!r}); give it "
                "examples there, by more data or a larger --train-share, or leave it out"
            )


def check_values(events: Events, split: Split) -> None:
    """Raise DataError where there is nothing to learn of a feature, or nothing to validate by."""
    part = split.part
    there = np.isfinite(events.values)
    for name, column in zip(events.features, there.T, strict=True):
        if not column.any():
            raise DataError(
                f"--value {name}: all {len(column)} values are missing; mend the data, or name another column"
            )
        if not column[part == TRAIN].any():
            raise DataError(
                f"--value {name}: all {(part == TRAIN).sum()} values of the training part are missing, {column.sum()} "
                "later ones are there; leave out the time before them, or give a larger --train-share"
            )
    if not there[part == VALID].any():
        raise DataError(
            f"--value {' '.join(events.features)}: all {(part == VALID).sum()} values of the validation part are "
            "missing; mend the data, or give another --train-share or --valid-share"
        )
