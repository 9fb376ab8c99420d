"""How messages are written, as `serve --codec` names it. No code is shared with the service's own formats."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
import orjson

from engine.columns import Ints
from loadtest.events import Doubles

CodecName = Literal["json", "msgpack"]


class Codec(Protocol):
    """One way to write messages."""

    broken: str  # the code of a dead letter that is no document of it

    def values(self, features: Sequence[str], x: Doubles, time: Ints | None) -> list[bytes]:
        """One object per event. x [events, features], NaN where missing; time: epoch milliseconds, None: no ts."""

    def document(self, content: object) -> bytes:
        """Any content."""

    def decoder(self, kind: type) -> Callable[[bytes], Any]:
        """Reads a `kind`, strictly; raises ValidationError where the content does not fit, else MsgspecError."""

    def breaks(self, whole: bytes) -> list[bytes]:
        """Values that are no document, made from one."""


class Json:
    """Objects in UTF-8."""

    broken = "not_json"

    def values(self, features: Sequence[str], x: Doubles, time: Ints | None) -> list[bytes]:
        # Numbers become text in one call per column (0.1 us a number) and the rest is one % per event, 0.2 us: a third
        # of what encoding an object per event costs.
        columns = [_texts(x[:, i]) for i in range(len(features))]
        names = list(features)
        if time is not None:
            columns.append(_texts(time))
            names.append("ts")
        pairs = b", ".join(orjson.dumps(name).replace(b"%", b"%%") + b": %b" for name in names)
        form = b"{" + pairs + b"}"
        return [form % row for row in zip(*columns, strict=True)]

    def document(self, content: object) -> bytes:
        return orjson.dumps(content)

    def decoder(self, kind: type) -> Callable[[bytes], Any]:
        return msgspec.json.Decoder(kind).decode

    def breaks(self, whole: bytes) -> list[bytes]:
        return [b"", b"\xff\xfe", b"no json", whole[:-1], whole + b",{}", whole[:-1] + b',"deep":' + b"[" * 5000]


def _texts(column: Doubles | Ints) -> list[bytes]:
    if not len(column):
        return []
    return orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


class MsgPack:
    """Maps."""

    broken = "not_msgpack"

    def values(self, features: Sequence[str], x: Doubles, time: Ints | None) -> list[bytes]:
        content = x.astype(np.object_)
        content[np.isnan(x)] = None
        columns = [content[:, i].tolist() for i in range(len(features))]
        names = list(features)
        if time is not None:
            columns.append(time.tolist())
            names.append("ts")
        encode = msgspec.msgpack.Encoder().encode
        return [encode(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]

    def document(self, content: object) -> bytes:
        return msgspec.msgpack.encode(content)

    def decoder(self, kind: type) -> Callable[[bytes], Any]:
        return msgspec.msgpack.Decoder(kind).decode

    def breaks(self, whole: bytes) -> list[bytes]:
        return [b"", b"\xc1", whole[:-1], whole + whole]  # C1 begins nothing


CODECS: dict[CodecName, Codec] = {"json": Json(), "msgpack": MsgPack()}
JSON = CODECS["json"]
