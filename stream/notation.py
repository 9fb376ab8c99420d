"""The pieces of a message in JSON and in MessagePack, so that both say the same. Knows no predictions.

A piece is a template for the operator % on bytes: what changes from message to message is a HOLE.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Singles = NDArray[np.float32]

HOLE = b"%b"


def constant(text: bytes) -> bytes:
    """A piece that never changes."""
    return text.replace(b"%", b"%%")


class Notation(Protocol):
    """One way to write what messages consist of."""

    def text(self, text: str) -> bytes:
        """What fills a hole."""

    def integers(self, column: Integers) -> list[bytes]:
        """What fills a hole, for each message."""

    def singles(self, column: Singles) -> list[bytes]:
        """The same; NaN is null."""

    def array(self, pieces: Sequence[bytes]) -> bytes:
        """A piece of pieces."""

    def table(self, pieces: Sequence[tuple[str, bytes]]) -> bytes:
        """A piece of pieces by name."""


class Json:
    """Floats as the shortest decimal that reads back as the same float32."""

    def text(self, text: str) -> bytes:
        return orjson.dumps(text)

    def integers(self, column: Integers) -> list[bytes]:
        return self._numbers(column)

    def singles(self, column: Singles) -> list[bytes]:
        return self._numbers(column)

    def array(self, pieces: Sequence[bytes]) -> bytes:
        return b"[" + b",".join(pieces) + b"]"

    def table(self, pieces: Sequence[tuple[str, bytes]]) -> bytes:
        return b"{" + b",".join(constant(self.text(name)) + b":" + piece for name, piece in pieces) + b"}"

    def _numbers(self, column: NDArray[Any]) -> list[bytes]:
        text = orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
        return text.split(b",") if text else []


class MsgPack:
    """Floats as float32, integers as 64 bits."""

    def text(self, text: str) -> bytes:
        return msgspec.msgpack.encode(text)

    def integers(self, column: Integers) -> list[bytes]:
        return self._numbers(column.astype(">i8"), b"\xd3")

    def singles(self, column: Singles) -> list[bytes]:
        values = self._numbers(column.astype(">f4"), b"\xca")
        for i in np.flatnonzero(np.isnan(column)).tolist():
            values[i] = b"\xc0"
        return values

    def array(self, pieces: Sequence[bytes]) -> bytes:
        return constant(b"\xdc" + len(pieces).to_bytes(2, "big")) + b"".join(pieces)

    def table(self, pieces: Sequence[tuple[str, bytes]]) -> bytes:
        head = constant(b"\xde" + len(pieces).to_bytes(2, "big"))
        return head + b"".join(constant(self.text(name)) + piece for name, piece in pieces)

    def _numbers(self, column: NDArray[Any], mark: bytes) -> list[bytes]:
        data, size = column.tobytes(), column.itemsize
        return [mark + data[at : at + size] for at in range(0, len(data), size)]
