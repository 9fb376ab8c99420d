"""key -> slot, per partition. Hands slots out and takes them back; never touches a row."""

from collections.abc import Iterator, Sequence

import numpy as np

from engine.columns import Ints


class Full(Exception):
    """Every slot is taken."""


class Slots:
    """The slots of one bank. Two partitions may hold the same key: these are two streams."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._fresh = 0  # slots at or above this were never handed out
        self._freed: list[int] = []
        self._partitions: dict[int, _Keys] = {}

    def __len__(self) -> int:
        return self._fresh - len(self._freed)

    def find(self, partition: int, keys: Sequence[bytes]) -> Ints:
        """The slot of each key, [keys]; a key that is new here gets one. Raises Full at the capacity."""
        known = self._partitions.get(partition)
        if known is None:
            known = self._partitions[partition] = _Keys(self)
        return np.fromiter(map(known.__getitem__, keys), np.int64, len(keys))

    def streams(self, partition: int) -> Iterator[tuple[bytes, int]]:
        """(key, slot) of every stream of a partition."""
        yield from self._partitions.get(partition, {}).items()

    def drop(self, partition: int) -> Ints:
        """Forget a partition; the slots it had, [streams]."""
        freed = list(self._partitions.pop(partition, {}).values())
        self._freed += freed
        return np.array(freed, np.int64)

    def take(self) -> int:
        """A free slot. Raises Full where there is none."""
        if self._freed:
            return self._freed.pop()
        if self._fresh == self.capacity:
            raise Full
        self._fresh += 1
        return self._fresh - 1


class _Keys(dict[bytes, int]):
    """A look-up that takes a slot for a key it does not know, so that the hot path is one C loop over the keys."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def __missing__(self, key: bytes) -> int:
        slot = self[key] = self._slots.take()
        return slot
