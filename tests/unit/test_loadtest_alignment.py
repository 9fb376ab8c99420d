"""Offsets in any disorder are counted as a plain reading of the definitions counts them, however they are cut up."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.columns import Bools, Ints
from loadtest.alignment import Alignment
from loadtest.findings import Counts
from loadtest.lanes import Lane, Span

LAST = 40


@dataclass
class Numbers:
    offset: Ints
    payload: Ints


def numbers(offsets: list[int], payload: list[int] | None = None) -> Numbers:
    return Numbers(np.array(offsets, np.int64), np.array(offsets if payload is None else payload, np.int64))


def differs(expected: Numbers, i: Ints, seen: Numbers, j: Ints) -> Bools:
    different: Bools = expected.payload[i] != seen.payload[j]
    return different


def plainly(expected: list[int], seen: list[tuple[int, int]]) -> Counts:
    """The definitions, one output at a time."""
    counts, known = Counts(expected=len(expected), seen=len(seen)), set[int]()
    for offset, payload in seen:
        if offset not in expected:
            counts.unexpected += 1
            continue
        counts.different += payload != offset
        counts.duplicated += offset in known
        counts.reordered += offset not in known and any(other > offset for other in known)
        known.add(offset)
    counts.missing = len(set(expected) - known)
    return counts


outputs = st.lists(st.tuples(st.integers(0, LAST + 3), st.integers(0, 5)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(
    expected=st.sets(st.integers(0, LAST - 1)),
    mess=outputs,
    tidy=st.booleans(),
    piece=st.integers(1, 9),
    chunk=st.integers(1, 9),
)
def test_any_disorder(expected: set[int], mess: list[tuple[int, int]], tidy: bool, piece: int, chunk: int) -> None:
    """tidy: the right outputs come first. A payload of 0 among the mess is the right one."""
    wanted = sorted(expected)
    seen = [(offset, offset + payload) for offset, payload in mess]
    if tidy:
        seen = [(offset, offset) for offset in wanted] + seen
    counts = Counts()

    def pieces() -> Iterator[Numbers]:
        for i in range(0, len(seen), piece):
            yield numbers([offset for offset, _ in seen[i : i + piece]], [value for _, value in seen[i : i + piece]])

    lane = Lane(Span(0, 0, LAST, LAST), Alignment(differs, lambda *_: None), pieces(), counts)
    for start in range(0, LAST, chunk):
        last = min(start + chunk, LAST) - 1
        lane.expect(numbers([offset for offset in wanted if start <= offset <= last]), last)
    lane.finish()

    assert counts == plainly(wanted, seen)
