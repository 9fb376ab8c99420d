"""One partition of one topic of the service, read in step with the input: the outputs, or the dead letters.

A lane takes what the input leads to, chunk by chunk, and reads just so far that every record which can belong to it
has been seen. What is compared, and how a finding is told, stands here too.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Generic

import numpy as np

from engine.columns import Bools, Ints
from loadtest import dead_letters
from loadtest.alignment import Alignment, Expected, Seen
from loadtest.dead_letters import Letters
from loadtest.findings import Counts, Example, VerifyResult
from loadtest.output_format import FIGURES, OutputFormat, Outputs
from loadtest.port import Records
from loadtest.reference import Dead, Predicted


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of one input partition that is verified."""

    partition: int
    start: int  # first offset
    end: int  # one past the last
    known: int  # one past the last offset that any record of the service can speak of; at or above end


class Lane(Generic[Expected, Seen]):
    """Feeds one alignment."""

    def __init__(
        self, span: Span, alignment: Alignment[Expected, Seen], pieces: Iterator[Seen], counts: Counts
    ) -> None:
        self._span, self._alignment, self._pieces, self._counts = span, alignment, pieces, counts
        self._piece: Seen | None = None
        self._entries: Ints = np.empty(0, np.int64)  # of the piece, not looked at yet
        self._highest: Ints = np.empty(0, np.int64)  # for each of them: the highest offset up to it

    def expect(self, expected: Expected, covered: int) -> None:
        """What the input up to and with offset `covered` leads to."""
        self._counts.expected += len(expected.offset)
        self._alignment.expect(expected)
        self._advance(covered)
        self._alignment.settle()

    def finish(self) -> None:
        """The input is at its end: look at the rest, and add up."""
        self._advance(self._span.known)
        self._alignment.finish()
        for kind in ("missing", "duplicated", "reordered", "different", "unexpected"):
            setattr(self._counts, kind, getattr(self._counts, kind) + getattr(self._alignment, kind))

    def _advance(self, covered: int) -> None:
        while True:
            if not len(self._entries):
                piece = next(self._pieces, None)
                if piece is None:
                    return
                self._take(piece)
            due = int(np.searchsorted(self._highest, covered, side="right"))
            if due and self._piece is not None:
                self._alignment.see(self._piece, self._entries[:due])
                self._entries, self._highest = self._entries[due:], self._highest[due:]
            if len(self._entries):
                return

    def _take(self, piece: Seen) -> None:
        span, offset = self._span, piece.offset
        # Records of events before the span, and of those that arrived after its end was fixed, are not ours to judge.
        ours = ((offset >= span.start) & (offset < span.end)) | (offset < 0) | (offset >= span.known)
        self._piece, self._entries = piece, np.flatnonzero(ours)
        self._counts.seen += len(self._entries)
        # A record that speaks of no known event must not make the lane wait for that event.
        offset = offset[ours]
        self._highest = np.maximum.accumulate(np.where(offset >= span.known, -1, offset))


def output_lane(
    span: Span, model: str, form: OutputFormat, parts: Iterator[Records], result: VerifyResult, examples: int
) -> Lane[Predicted, Outputs]:
    """The outputs of one partition; model: the first 8 hex digits of the fingerprint."""

    def pieces() -> Iterator[Outputs]:
        for records in parts:
            outputs, unreadable = form.read(records)
            result.outputs.unexpected += len(unreadable)
            for i in unreadable:
                seen = repr((records.values[i] or b"")[:200])
                _keep(result, examples, Example("unreadable", span.partition, -1, records.keys[i], "an output", seen))
            yield outputs

    def differs(expected: Predicted, i: Ints, seen: Outputs, j: Ints) -> Bools:
        bits = expected.figures[i].view(np.int32) == seen.figures[j].view(np.int32)
        bits |= np.isnan(expected.figures[i]) & np.isnan(seen.figures[j])
        same: Bools = bits.all(axis=(1, 2)) & (expected.step[i] == seen.step[j]) & (expected.time[i] == seen.time[j])
        same &= (expected.timestamp[i] == seen.timestamp[j]) & (seen.model[j] == model)
        same &= expected.keys[i] == seen.keys[j]
        return ~same

    def tell(kind: str, expected: Predicted | None, i: int, seen: Outputs | None, j: int) -> None:
        wanted = None if expected is None else _fields(expected, i) | {"model": model}
        got = None if seen is None else _fields(seen, j)
        if wanted is not None and got is not None and kind == "different":
            names = [name for name in wanted if repr(wanted[name]) != repr(got[name])]
            wanted, got = {n: wanted[n] for n in names}, {n: got[n] for n in names}
        offset, key = _place(expected, i, seen, j)
        _keep(result, examples, Example(kind, span.partition, offset, key, _text(wanted), _text(got)))

    return Lane(span, Alignment(differs, tell), pieces(), result.outputs)


def letter_lane(
    span: Span, topic: str, parts: Iterator[Records], result: VerifyResult, examples: int
) -> Lane[Dead, Letters]:
    """The dead letters of one partition; topic: the input topic."""
    if result.letters is None:
        result.letters = Counts()

    def differs(expected: Dead, i: Ints, seen: Letters, j: Ints) -> Bools:
        same: Bools = (expected.timestamp[i] == seen.timestamp[j]) & (expected.keys[i] == seen.keys[j])
        same &= expected.codes[i] == seen.codes[j]
        return ~same

    def tell(kind: str, expected: Dead | None, i: int, seen: Letters | None, j: int) -> None:
        offset, key = _place(expected, i, seen, j)
        wanted = "" if expected is None else f"a dead letter with the code {expected.codes[i]!r}"
        got = "" if seen is None else f"a dead letter with the code {seen.codes[j]!r}"
        _keep(result, examples, Example(f"dead letter {kind}", span.partition, offset, key, wanted, got))

    pieces = (dead_letters.read(records, topic, span.partition) for records in parts)
    return Lane(span, Alignment(differs, tell), pieces, result.letters)


def _keep(result: VerifyResult, most: int, example: Example) -> None:
    if sum(kept.kind == example.kind for kept in result.examples) < most:
        result.examples.append(example)


def _place(
    expected: Predicted | Dead | None, i: int, seen: Outputs | Letters | None, j: int
) -> tuple[int, bytes | None]:
    if expected is not None:
        return int(expected.offset[i]), expected.keys[i]
    assert seen is not None, "a finding has a side at least"
    return int(seen.offset[j]), seen.keys[j]


def _fields(of: Predicted | Outputs, i: int) -> dict[str, object]:
    figures = {name: " ".join(map(str, of.figures[i, n])) for n, name in enumerate(FIGURES)}
    plain = {f.name: getattr(of, f.name)[i] for f in fields(of) if f.name != "figures"}
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in plain.items()} | figures


def _text(of: dict[str, object] | None) -> str:
    return "" if of is None else ", ".join(f"{name} {value!r}" for name, value in of.items() if name != "offset")
