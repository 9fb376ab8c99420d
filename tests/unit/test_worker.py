"""The loop against a broker in memory, for what a real one only does by bad luck."""
# ruff: noqa: ARG002  # the ports' parameters

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.model import Model
from engine.step import Engine
from export.sample import random_model
from stream.broker.port import Identity, Listener, Records
from stream.codec import Codec
from stream.errors import SinkFailed
from stream.link import Access
from stream.pipeline import Pipeline, Topics
from stream.worker import Plan, Worker


class Broker:
    """Topic, committed offsets and outputs; a Client, and its Source and Sink at once."""

    name = "memory"

    def __init__(self, ends: Mapping[int, int], committed: Mapping[int, int], polls: Sequence[int]) -> None:
        """polls: most records of a partition that each poll delivers; the last one for good."""
        self.ends, self.offsets = ends, dict(committed)
        self.polls = itertools.chain(polls, itertools.repeat(polls[-1]))
        self.commits: list[dict[int, int]] = []
        self.outputs: list[tuple[int, int]] = []  # (partition, offset) that a read_committed reader sees
        self.failures = 0  # commits to fail, without effect
        self._at = dict.fromkeys(ends, 0)
        self._paused = set(ends)
        self._fresh: Listener | None = None
        self._open: list[tuple[int, int]] = []
        self._moving: dict[int, int] = {}

    def source(self, *_: Any, **__: Any) -> Any:
        return self

    def sink(self, *_: Any, **__: Any) -> Any:
        return self

    # The source.

    def subscribe(self, listener: Listener) -> None:
        self._fresh = listener

    def poll(self, max_records: int, timeout: float) -> list[Records]:
        if self._fresh is not None:
            self._fresh.assigned(list(self.ends))
            self._fresh = None
            return []
        most, found = next(self.polls), []
        for partition in sorted(self.ends.keys() - self._paused):
            offsets = list(range(self._at[partition], min(self._at[partition] + most, self.ends[partition])))
            if offsets:
                keys: list[bytes | None] = [b"stream-%d" % partition] * len(offsets)
                values: list[bytes | None] = [b'{"value": %d}' % offset for offset in offsets]
                found.append(Records(partition, offsets, [1] * len(offsets), keys, values))
                self._at[partition] = offsets[-1] + 1
        return found

    def pause(self, partitions: Sequence[int]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[int]) -> None:
        self._paused.difference_update(partitions)

    def seek(self, partition: int, offset: int) -> None:
        self._at[partition] = offset

    def committed(self, partitions: Sequence[int], timeout: float) -> dict[int, int | None]:
        return {p: self.offsets.get(p) for p in partitions}

    def watermarks(self, partition: int, timeout: float) -> tuple[int, int]:
        return 0, self.ends[partition]

    def end_offsets(self, partitions: Sequence[int], timeout: float) -> dict[int, int]:
        return dict(self.ends)

    def position(self, partition: int) -> int | None:
        return self._at[partition]

    def group(self) -> object:
        return None

    def close(self, leave: bool = False) -> None:
        pass

    # The sink.

    def begin(self) -> None:
        self._open, self._moving = [], {}

    def send(self, topic: str, partition: int, keys: Any, values: Any, timestamps: Any, headers: Any = None) -> None:
        self._open += [(partition, msgspec.json.decode(value)["offset"]) for value in values]

    def send_offsets(self, positions: Mapping[int, int], group: object, timeout: float) -> None:
        self._moving = dict(positions)

    def commit(self, timeout: float) -> None:
        if self.failures:
            self.failures -= 1
            raise SinkFailed("the broker fell over")
        self.commits.append(self._moving)
        self.offsets.update(self._moving)
        self.outputs += self._open

    def abort(self, timeout: float) -> None:
        self._open, self._moving = [], {}


def run(broker: Broker, folder: Path, *, interval: float = 0.01) -> None:
    path = folder / "model.onnx"
    random_model(path, hidden=4)
    model = Model(path)
    engine = Engine(model, 10)
    codec = Codec(model.signature, model.fingerprint, max_key_bytes=100, max_value_bytes=100)
    ticks = itertools.count()
    worker = Worker(
        Plan("in", len(broker.ends), batch=100, commit_interval=interval, leave=False, until_end=True),
        Access(broker, Identity("", "g", "g-a", {}), "in", exactly_once=True, session_timeout=10, broker_timeout=60),
        engine,
        Pipeline(Topics("in", "out", "dead", 1000), engine, codec),
        stopping=lambda: False,
        clock=lambda: float(next(ticks)),
    )
    worker.run()


def test_a_partition_that_was_only_restored_does_not_pass_for_a_transaction_that_took_place(tmp_path: Path) -> None:
    # Partition 0 has nothing new: its position is its committed offset whatever becomes of the transaction.
    broker = Broker(ends={0: 10, 1: 10}, committed={0: 10, 1: 5}, polls=[100])
    broker.failures = 1
    run(broker, tmp_path)
    assert broker.outputs == [(1, offset) for offset in range(5, 10)]
    assert broker.offsets == {0: 10, 1: 10}


def test_a_restored_partition_that_is_put_back_never_commits_below_its_committed_offset(tmp_path: Path) -> None:
    broker = Broker(ends={0: 10, 1: 10}, committed={0: 10, 1: 5}, polls=[100, 2])
    broker.failures = 1
    run(broker, tmp_path)
    assert sorted(broker.outputs) == [(1, offset) for offset in range(5, 10)]
    for partition, committed in {0: 10, 1: 5}.items():
        history = [commit[partition] for commit in broker.commits if partition in commit]
        assert history == sorted(history)
        assert all(offset >= committed for offset in history)


def test_the_end_is_not_reached_before_it_is_committed(tmp_path: Path) -> None:
    broker = Broker(ends={0: 10}, committed={}, polls=[100])
    broker.failures = 3
    run(broker, tmp_path, interval=60.0)
    assert broker.outputs == [(0, offset) for offset in range(10)]
    assert broker.offsets == {0: 10}
