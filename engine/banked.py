"""Rows on a device, and the network that steps them there: only inputs and outputs move.

What an undo needs is copied on the device, too, so a failed commit is mended as with rows in this process's memory.
"""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from engine.bank import Bank, Copies
from engine.columns import Bools, Floats, Ints
from engine.device import MOST_FLOATS, Device, Program
from engine.graphs import COLD, FINITE, OLD, ROWS, SLOTS, reading, with_bank, writing
from engine.model import Network
from export.signature import ModelFileError

AT_ONCE = 16384  # rows that go to the device, or come from it, in one call: bounds what is held there beside the bank
PEEPHOLES = 7  # the place of this input of ONNX's LSTM


class BankedModel(Network):
    """It runs on a device, on rows that stand there."""

    def __init__(self, path: Path | str, device: Device) -> None:
        self.device, self.provider = device, device.name
        self._path = path
        super().__init__(path)
        if device.kind != "cpu":
            self.most_streams = MOST_FLOATS // self.row_width

    def _open(self, proto: ModelProto) -> None:
        if self.device.kind != "cpu" and any(_has_peepholes(node) for node in proto.graph.node):
            raise ModelFileError(
                f"model {self._path}: its LSTM has peepholes, which no kernel of CUDA takes; give --provider cpu"
            )
        graph, width = with_bank(proto, self.signature), self.row_width
        self.stepping = Program(self.device, graph, kept=[OLD], told=[self.signature.output, "surprise", FINITE])
        self.copying = Program(self.device, reading(proto, width), kept=[OLD])
        self.reading = Program(self.device, reading(proto, width), told=[OLD])
        self.writing = Program(self.device, writing(proto, width))
        nothing = np.zeros((1, 1, self.columns), np.float32)
        self.bank(1).run(np.zeros(1, np.int64), True, nothing, nothing)

    def bank(self, capacity: int) -> "DeviceBank":
        return DeviceBank(capacity, self, self.device.reserve(self.proto, capacity, self.row_width))


class DeviceBank(Bank):
    """The floats are one tensor on the device."""

    def __init__(self, capacity: int, model: BankedModel, tensor: Any) -> None:
        super().__init__(capacity)
        self._model, self._tensor, self._width = model, tensor, model.row_width

    def run(self, slots: Ints, cold: bool, x: Floats, mask: Floats) -> tuple[Copies, Floats, Floats, Bools | None]:
        given = {SLOTS: slots, COLD: np.array(cold), "x": x, "mask": mask}
        old, predicted, surprise, finite = self._model.stepping.run(self._tensor, given)
        return self._remember(slots, old), predicted, surprise, None if finite.all() else finite

    def _kept(self, slots: Ints) -> Any:
        return self._model.copying.run(self._tensor, {SLOTS: slots})[0]

    def _read(self, slots: Ints) -> Floats:
        rows = np.empty((len(slots), self._width), np.float32)
        for start in range(0, len(slots), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            rows[part] = self._model.reading.run(self._tensor, {SLOTS: slots[part]})[0]
        return rows

    def _write(self, slots: Ints, rows: Any) -> None:
        if not isinstance(rows, np.ndarray):
            self._model.writing.run(self._tensor, {SLOTS: slots, ROWS: rows})
            return
        distinct, backwards = np.unique(slots[::-1], return_index=True)
        if len(distinct) < len(slots):  # a scatter on a device has no order
            slots, rows = distinct, rows[len(slots) - 1 - backwards]
        for start in range(0, len(slots), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            self._model.writing.run(self._tensor, {SLOTS: slots[part], ROWS: rows[part]})

    def _clear(self, slots: Ints) -> None:
        self._write(slots, np.zeros((len(slots), self._width), np.float32))


def _has_peepholes(node: Any) -> bool:
    return node.op_type == "LSTM" and len(node.input) > PEEPHOLES and bool(node.input[PEEPHOLES])
