"""Rows are put back exactly; slots are handed out once; partitions keep their streams apart."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.bank import Bank
from engine.banked import BankedModel
from engine.device import CPU
from engine.model import Model, Network
from engine.slots import Full, Slots
from export.sample import random_model


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    random_model(path, hidden=2)
    return path


def written(bank: Bank, slots: list[int], value: float) -> None:
    where = np.array(slots, np.int64)
    bank.gather(where)
    width = bank.copy(where).rows.shape[1]
    numbers = np.full(len(slots), int(value), np.int64)
    bank.scatter(where, np.full((len(slots), width), value, np.float32), numbers, numbers, numbers, numbers)


@pytest.mark.parametrize("network", [Model, lambda path: BankedModel(path, CPU)], ids=["in memory", "on a device"])
def test_put_back_restores_the_rows_of_the_last_keep_through_overlapping_writes(
    network: Callable[[Path], Network], path: Path
) -> None:
    bank = network(path).bank(4)
    written(bank, [0, 1], 1)
    bank.keep()
    written(bank, [1, 2], 2)
    written(bank, [0, 1], 3)

    bank.put_back()

    assert bank.copy(np.arange(4)).rows[:, 0].tolist() == [1, 1, 0, 0]
    assert bank.step.tolist() == bank.offset.tolist() == bank.time.tolist() == [1, 1, 0, 0]


def test_the_same_key_in_two_partitions_is_two_streams() -> None:
    slots = Slots(10)
    first, second = slots.find(0, [b"a", b"b", b"a"]), slots.find(1, [b"a"])
    assert first[0] == first[2] != second[0]
    assert len(slots) == 3


def test_slots_of_a_dropped_partition_are_handed_out_again() -> None:
    slots = Slots(2)
    slots.find(0, [b"a", b"b"])
    with pytest.raises(Full):
        slots.find(1, [b"c"])
    slots.drop(0)
    assert sorted(slots.find(1, [b"d", b"e"]).tolist()) == [0, 1]
    assert slots.keys(slots.of(1)) in ([b"d", b"e"], [b"e", b"d"])


def test_a_forgotten_stream_leaves_its_slot_to_the_next_one() -> None:
    slots = Slots(2)
    first = slots.find(0, [b"a", b"b"])
    slots.forget(first[:1])
    assert not slots.has(0, b"a")
    assert slots.taken().tolist() == [int(first[1])]
    assert slots.key_bytes == 1
    assert slots.find(0, [b"b", b"c"]).tolist() == [int(first[1]), int(first[0])]
