"""Rows of one partition that the changelog lacks, oldest first, and how fast they have to be written. Pure."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from engine.columns import Ints


@dataclass(slots=True)
class Chunk:
    """Rows that became dirty between two commits."""

    slots: Ints
    since: int  # the input offset from which on the changelog lacks their events
    clock: int  # the partition's clock before that offset, milliseconds
    at: float  # when, seconds


class Dirty:
    """A queue. A row is in it at most once."""

    def __init__(self, grain: float = 0.0) -> None:
        """grain: seconds within which what became dirty is taken together, so that the queue stays short."""
        self._grain = grain
        self._chunks: deque[Chunk] = deque()
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def add(self, slots: Ints, since: int, clock: int, now: float) -> None:
        """These rows became dirty. since and now never go back."""
        if not len(slots):
            return
        last = self._chunks[-1] if self._chunks else None
        if last is not None and now - last.at < self._grain:
            last.slots = np.concatenate([last.slots, slots])
        else:
            self._chunks.append(Chunk(slots, since, clock, now))
        self._rows += len(slots)

    def oldest(self, most: int) -> Ints:
        """At most so many of the rows that have been dirty longest."""
        found, left = [np.empty(0, np.int64)], most
        for chunk in self._chunks:
            if left <= 0:
                break
            found.append(chunk.slots[:left])
            left -= len(found[-1])
        return np.concatenate(found)

    def after(self, written: int) -> Chunk | None:
        """What is the oldest when so many of the oldest rows are written; None where all are."""
        for chunk in self._chunks:
            if written < len(chunk.slots):
                return chunk
            written -= len(chunk.slots)
        return None

    def take(self, written: int) -> None:
        """So many of the oldest rows are written."""
        self._rows -= written
        while written:
            chunk = self._chunks[0]
            if written < len(chunk.slots):
                chunk.slots = chunk.slots[written:]
                return
            written -= len(chunk.slots)
            self._chunks.popleft()

    def due(self, now: float, interval: float, gap: float) -> int:
        """How many of the oldest rows must be written now, so that by steady writing each is written within interval
        of becoming dirty, where the next chance comes in gap. Seconds."""
        most, before = 0.0, 0
        for chunk in self._chunks:
            before += len(chunk.slots)
            left = max(chunk.at + interval - now, gap)
            most = max(most, before * gap / left)
        return min(self._rows, int(most))

    def older(self, now: float, age: float) -> int:
        """How many rows have been dirty for at least age seconds."""
        count = 0
        for chunk in self._chunks:
            if now - chunk.at < age:
                break
            count += len(chunk.slots)
        return count
