"""Reads the service's outputs: bytes -> columns, and which records are no outputs at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.columns import Floats, Ints
from export.signature import Signature
from loadtest.codecs import JSON, Codec
from loadtest.port import Records

Objects = NDArray[np.object_]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
FIGURES = ("prediction", "lower", "upper", "surprise")


@dataclass(slots=True)
class Outputs:
    """Records of one output partition that can be read, as columns; floats are the float32 nearest to the decimals."""

    offset: Ints  # [outputs] of the input event
    time: Ints
    timestamp: Ints  # of the output record
    step: Ints
    figures: Floats  # [outputs, 4, targets]: prediction, lower, upper, surprise (NaN: null)
    keys: Objects  # bytes or None
    model: Objects  # str

    def __len__(self) -> int:
        return len(self.offset)


def objects(values: Sequence[Any]) -> Objects:
    """A column of Python objects."""
    column = np.empty(len(values), np.object_)
    column[:] = values
    return column


class OutputFormat:
    """Reads the service's outputs for the task `number`."""

    def __init__(self, signature: Signature, codec: Codec = JSON) -> None:
        self._targets = signature.targets
        number: Any = float
        missing: Any = float | None
        if len(self._targets) > 1:
            names = [f"target{i}" for i in range(len(self._targets))]
            rename = dict(zip(names, self._targets, strict=True))
            number, missing = (
                msgspec.defstruct(name, [(n, kind) for n in names], rename=rename)
                for name, kind in (("Number", float), ("Missing", float | None))
            )
        self._decode = codec.decoder(
            msgspec.defstruct(
                "Prediction",
                [
                    ("offset", Int64),
                    ("ts", Int64),
                    ("step", Int64),
                    ("prediction", number),
                    ("lower", number),
                    ("upper", number),
                    ("surprise", missing),
                    ("model", str),
                ],
            )
        )

    def read(self, records: Records) -> tuple[Outputs, list[int]]:
        """The outputs as columns, and the positions of records that are no outputs."""
        try:
            decoded = [self._decode(value) for value in records.values if value is not None]
            good = range(len(records))
            if len(decoded) < len(records):
                raise ValueError
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
            return self._read_singly(records)
        return self._columns(records, decoded, good), []

    def _read_singly(self, records: Records) -> tuple[Outputs, list[int]]:
        decoded, good, bad = [], [], []
        for i, value in enumerate(records.values):
            try:
                decoded.append(self._decode(value if value is not None else b""))
                good.append(i)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                bad.append(i)
        return self._columns(records, decoded, good), bad

    def _columns(self, records: Records, decoded: list[Any], good: Sequence[int]) -> Outputs:
        where = np.array(good, np.int64)
        figures = np.empty((len(decoded), 4, len(self._targets)), np.float32)
        for i, name in enumerate(FIGURES):
            column = [getattr(output, name) for output in decoded]
            rows = column if len(self._targets) == 1 else [msgspec.structs.astuple(one) for one in column]
            with np.errstate(over="ignore"):
                figures[:, i] = np.array(rows, np.float64).reshape(len(decoded), -1)
        return Outputs(
            offset=np.array([output.offset for output in decoded], np.int64),
            time=np.array([output.ts for output in decoded], np.int64),
            timestamp=np.array(records.timestamps, np.int64)[where],
            step=np.array([output.step for output in decoded], np.int64),
            figures=figures,
            keys=objects(records.keys)[where],
            model=objects([output.model for output in decoded]),
        )
