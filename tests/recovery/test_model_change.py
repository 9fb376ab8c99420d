"""A new model takes over from the old one while both are in one group, and partitions go back and forth."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.model import Model
from export.sample import random_model
from loadtest.input_format import MAX_KEY_BYTES, MAX_VALUE_BYTES
from loadtest.output_format import OutputFormat
from loadtest.port import Records
from loadtest.reference import Reference
from tests.recovery.world import CHECKPOINTS, PARTITIONS, World, live, predicted, progress, shared, until
from tests.service import read

STRETCH = ("--warmup", "2", "--on-stop", "leave", *CHECKPOINTS)  # seconds: less than there is
ALL = set(range(PARTITIONS))

Row = tuple[Any, ...]


def columns(records: Sequence[Any]) -> Records:
    return Records(
        [r.partition for r in records], [r.offset for r in records], [r.timestamp for r in records],
        [r.key for r in records], [r.value for r in records],
    )  # fmt: skip


def replayed(model: Path, partition: int, events: Sequence[Any]) -> dict[int, Row]:
    """What the model predicts for these events, the first of them met cold: offset -> the output's columns."""
    reference = Reference(model, MAX_KEY_BYTES, MAX_VALUE_BYTES, step_batch=1)
    (chunk,) = reference.chunks(partition, [columns(events)])
    there = chunk.predicted
    rows = zip(there.time, there.timestamp, there.step, there.figures, there.keys, strict=True)
    return {int(offset): row for offset, row in zip(there.offset, rows, strict=True)}


def same(a: Row, b: Row) -> bool:
    return all(np.array_equal(x, y, equal_nan=i == 3) for i, (x, y) in enumerate(zip(a, b, strict=True)))


def origins(world: World, fingerprint: str) -> dict[int, int]:
    """Partition -> the input offset where a model's state began, by the last marker."""
    records = read(world.servers, f"{world.output}.{fingerprint[:12]}.state")
    return {r.partition: json.loads(r.value)["origin"] for r in records if r.key == b"m"}


def check(world: World, models: Sequence[Path]) -> dict[str, int]:
    """Each event has one prediction, in order, that is bit-identical to its model's replay from that model's origin.

    Returns how many came from each model.
    """
    inputs, outputs = read(world.servers, world.input), read(world.servers, world.output)
    signature = Model(models[0]).signature
    fingerprints = {Model(path).fingerprint: path for path in models}
    share = dict.fromkeys((fingerprint[:8] for fingerprint in fingerprints), 0)
    for partition in range(PARTITIONS):
        events = [r for r in inputs if r.partition == partition]
        seen, bad = OutputFormat(signature).read(columns([r for r in outputs if r.partition == partition]))
        assert not bad
        assert seen.offset.tolist() == [r.offset for r in events], "one prediction for each event, in order"
        rows = zip(seen.time, seen.timestamp, seen.step, seen.figures, seen.keys, strict=True)
        found = dict(zip(zip(seen.offset.tolist(), seen.model, strict=True), rows, strict=True))
        for fingerprint, path in fingerprints.items():
            origin = origins(world, fingerprint).get(partition)
            expected = {} if origin is None else replayed(path, partition, [r for r in events if r.offset >= origin])
            for (offset, model), row in found.items():
                if model == fingerprint[:8]:
                    assert offset in expected, f"{model} predicted {partition}:{offset} before its origin {origin}"
                    assert same(row, expected[offset]), f"{model}, {partition}:{offset}: {row} != {expected[offset]}"
                    share[model] += 1
    assert sum(share.values()) == len(outputs)
    return share


def test_two_models_in_one_group_predict_each_event_once_and_each_as_its_own_replay(
    modern: World, tmp_path: Path
) -> None:
    world = modern
    new = tmp_path / "new.onnx"
    random_model(new, hidden=8, scaling="stream", lags=(1, 2), seed=1)
    with world.watch() as watch:
        with world.feed(pace=300) as feed, world.serve("a", *STRETCH) as old:
            until(world, "the old model serves everything", lambda: live(old) == ALL)
            progress(world, watch, 1200)  # longer than the stretch of the warm-up
            with world.serve("b", *STRETCH, model=new) as first:
                shared(world, old, first)
                progress(world, watch)
                first.terminate()
                assert first.wait() == 0
            until(world, "the old model has everything back", lambda: live(old) == ALL)
            progress(world, watch)
            with world.serve("c", *STRETCH, model=new) as second:
                shared(world, old, second)
                old.terminate()
                assert old.wait() == 0
                until(world, "the new model serves everything", lambda: live(second) == ALL)
                progress(world, watch)
                second.terminate()
                assert second.wait() == 0
        with world.serve("b", *STRETCH, model=new):
            predicted(world, watch, feed.sent)
    share = check(world, [world.model, new])
    assert all(share.values()), share
