"""key -> slot, per partition. Hands slots out and takes them back; never touches a row."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.columns import Ints

NOBODY = -1  # the partition of a slot that is free


class Full(Exception):
    """Every slot is taken."""


class Slots:
    """The slots of one bank. Two partitions may hold the same key: these are two streams."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.key_bytes = 0  # of all keys
        self._fresh = 0  # slots at or above this were never handed out
        self._freed: list[int] = []
        self._handed_out: list[int] = []
        self._keys: list[bytes] = []  # [fresh]
        self._partition: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self._partitions: dict[int, _Keys] = {}

    def __len__(self) -> int:
        return self._fresh - len(self._freed)

    def find(self, partition: int, keys: Sequence[bytes]) -> Ints:
        """The slot of each key, [keys]; a key that is new here gets one. Raises Full at the capacity."""
        known = self._partitions.get(partition)
        if known is None:
            known = self._partitions[partition] = _Keys(self, partition)
        return np.fromiter(map(known.__getitem__, keys), np.int64, len(keys))

    @property
    def fresh(self) -> int:
        """Slots at or above this were never handed out."""
        return self._fresh

    def newcomers(self) -> Ints:
        """The slots that were handed out since this was last asked. Their rows hold what their last owner left."""
        handed_out, self._handed_out = self._handed_out, []
        return np.array(handed_out, np.int64)

    def has(self, partition: int, key: bytes) -> bool:
        """Whether the stream has a slot."""
        return key in self._partitions.get(partition, {})

    def keys(self, slots: Ints) -> list[bytes]:
        """Whose slots these are."""
        return [self._keys[slot] for slot in slots.tolist()]

    def part(self, start: int, stop: int) -> tuple[list[bytes], NDArray[np.int32]]:
        """Whose slots start..stop are, and in which partitions: NOBODY where one is free."""
        stop = min(stop, self._fresh)
        return self._keys[start:stop], self._partition[start:stop]

    def partitions(self, slots: Ints) -> NDArray[np.int32]:
        """The partition of each slot, NOBODY where it is free."""
        return self._partition[slots]

    def of(self, partition: int) -> Ints:
        """The slots of a partition's streams, ascending."""
        return np.flatnonzero(self._partition[: self._fresh] == partition)

    def taken(self) -> Ints:
        """The slots of all streams, ascending."""
        return np.flatnonzero(self._partition[: self._fresh] != NOBODY)

    def drop(self, partition: int) -> None:
        """Forget a partition's streams."""
        gone = self._partitions.pop(partition, None)
        if gone:
            freed = list(gone.values())
            self.key_bytes -= sum(map(len, gone))
            self._partition[freed] = NOBODY
            self._freed += freed

    def forget(self, slots: Ints) -> None:
        """Forget these streams."""
        for slot, partition in zip(slots.tolist(), self._partition[slots].tolist(), strict=True):
            key = self._keys[slot]
            del self._partitions[partition][key]
            self.key_bytes -= len(key)
            self._keys[slot] = b""
            self._freed.append(slot)
        self._partition[slots] = NOBODY

    def take(self, partition: int, key: bytes) -> int:
        """A free slot for a new stream. Raises Full where there is none."""
        if self._freed:
            slot = self._freed.pop()
            self._keys[slot] = key
        elif self._fresh == self.capacity:
            raise Full
        else:
            slot = self._fresh
            self._fresh += 1
            self._keys.append(key)
        self._partition[slot] = partition
        self.key_bytes += len(key)
        self._handed_out.append(slot)
        return slot


class _Keys(dict[bytes, int]):
    """A look-up that takes a slot for a key it does not know, so that the hot path is one C loop over the keys."""

    def __init__(self, slots: Slots, partition: int) -> None:
        self._slots = slots
        self._partition = partition

    def __missing__(self, key: bytes) -> int:
        slot = self[key] = self._slots.take(self._partition, key)
        return slot
