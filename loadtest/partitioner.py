"""Kafka's default placement of keys: murmur2(key) modulo partitions, over many keys at once.

Done here and not in the client, because it is the same for both clients then, and because a stream's partition is
computed once instead of once for each event.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.columns import Ints

Words = NDArray[np.uint32]
SEED, M = np.uint32(0x9747B28C), np.uint32(0x5BD1E995)


def partition_of(keys: Sequence[bytes], partitions: int) -> Ints:
    """The partition of each key, [keys]."""
    hashes = np.empty(len(keys), np.uint32)
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    for length in np.unique(lengths):
        where = np.flatnonzero(lengths == length)
        text = b"".join(keys[i] for i in where.tolist()) if len(where) < len(keys) else b"".join(keys)
        hashes[where] = _murmur2(np.frombuffer(text, np.uint8).reshape(len(where), length))
    return _placed(hashes, partitions)


def place(names: NDArray[np.uint8], partitions: int) -> Ints:
    """The partition of each key, where all are equally long; names [keys, bytes]."""
    return _placed(_murmur2(names), partitions)


def _placed(hashes: Words, partitions: int) -> Ints:
    placed: Ints = (hashes & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions
    return placed


def _murmur2(text: NDArray[np.uint8]) -> Words:
    """text [keys, length]; after org.apache.kafka.common.utils.Utils.murmur2. uint32 wraps around, as it should."""
    keys, length = text.shape
    words = length // 4
    state: Words = np.full(keys, SEED ^ np.uint32(length), np.uint32)
    blocks = np.ascontiguousarray(text[:, : words * 4]).view("<u4")
    for i in range(words):
        k = blocks[:, i] * M
        k = (k ^ (k >> np.uint32(24))) * M
        state = (state * M) ^ k
    tail = text[:, words * 4 :].astype(np.uint32)
    for i in reversed(range(tail.shape[1])):
        state = state ^ (tail[:, i] << np.uint32(8 * i))
    if tail.shape[1]:
        state = state * M
    state = (state ^ (state >> np.uint32(13))) * M
    return state ^ (state >> np.uint32(15))
