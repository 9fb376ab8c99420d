"""Reads dead letters: which input record each one stands for. Headers after KIP-1034."""

from dataclasses import dataclass

import numpy as np

from engine.columns import Ints
from loadtest.output_format import Objects, objects
from loadtest.port import Records

TOPIC, PARTITION, OFFSET, CODE = (f"__statecast.errors.{name}" for name in ("topic", "partition", "offset", "code"))


@dataclass(slots=True)
class Letters:
    """Dead letters of one partition, as columns."""

    offset: Ints  # [letters] of the input record; -1 where the headers do not tell
    timestamp: Ints
    keys: Objects
    codes: Objects  # str


def read(records: Records, topic: str, partition: int) -> Letters:
    """The dead letters of one input partition; those of another input topic are left out."""
    offsets, where, codes = [], [], []
    for i, pairs in enumerate(records.headers):
        headers = dict(pairs)
        if headers.get(TOPIC) != topic.encode():
            continue
        place = headers.get(PARTITION), headers.get(OFFSET)
        here = place[0] == b"%d" % partition and place[1] is not None and place[1].isdigit()
        offsets.append(int(place[1]) if here and place[1] is not None else -1)
        codes.append((headers.get(CODE) or b"").decode(errors="replace"))
        where.append(i)
    return Letters(
        offset=np.array(offsets, np.int64),
        timestamp=np.array([records.timestamps[i] for i in where], np.int64),
        keys=objects([records.keys[i] for i in where]),
        codes=objects(codes),
    )
