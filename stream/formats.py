"""How one event and one prediction are written: JSON, MessagePack, or as a module of the user's says.

A format knows bytes and columns of numbers; what a record must be, and what is told of one that is not, is codec's.
"""

import contextlib
import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
import orjson

from export.signature import Signature
from stream import notation
from stream.chances import Chances, encoder
from stream.errors import EnvironmentFault, UsageError
from stream.notation import HOLE, Integers, Singles, constant

Decode = Callable[[bytes], Any]


@dataclass(slots=True)
class Outputs:
    """What the messages of some predictions say, columns of equal length."""

    offset: Integers
    time: Integers
    step: Integers
    prediction: Singles  # [events, targets], as the next two
    lower: Singles
    upper: Singles
    surprise: Singles  # NaN: null


Encode = Callable[[Outputs], list[bytes]]
EncodeChances = Callable[[Chances], list[bytes]]


class Format(Protocol):
    """One way to write messages."""

    code: str  # of the dead letter of a value that is none of its documents
    document: str  # what a value should have been

    def decoder(self, event: type) -> Decode:
        """Turns a value into an `event`, a msgspec.Struct; raises one of UNREADABLE where it cannot."""

    def encoder(self, targets: Sequence[str], fingerprint: str) -> Encode:
        """Turns predictions into values. With several targets their numbers are told by name."""

    def chances(self, signature: Signature, fingerprint: str) -> EncodeChances:
        """The same of symbols and classes."""


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # what a decoder raises of a bad value


def find(name: str) -> Format:
    """The format of a name: json, msgpack or MODULE:ATTRIBUTE. Raises UsageError."""
    if name in FORMATS:
        return FORMATS[name]
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise UsageError(f"--codec {name}: must be {', '.join(FORMATS)} or MODULE:ATTRIBUTE")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"--codec {name}: cannot be imported ({reason}); put its folder on PYTHONPATH") from None
    for method in ("decode", "encode"):
        try:
            with contextlib.suppress(ValueError):  # what is built in may not tell
                inspect.signature(getattr(found, method)).bind(None)
        except (AttributeError, TypeError):
            mend = "it needs decode(bytes) -> dict and encode(dict) -> bytes; static ones, if it is a class"
            raise UsageError(f"--codec {name}: has no {method}() that takes one argument; {mend}") from None
    return Custom(name, found)


class Json:
    """One object in UTF-8. Floats leave as the shortest decimal that reads back as the same float32."""

    code = "not_json"
    document = "a JSON object in UTF-8"

    def decoder(self, event: type) -> Decode:
        return msgspec.json.Decoder(event).decode

    def encoder(self, targets: Sequence[str], fingerprint: str) -> Encode:
        json = notation.Json()
        names = ("offset", "ts", "step", "prediction", "lower", "upper", "surprise")
        form = json.table([*((name, HOLE) for name in names), ("model", constant(json.text(fingerprint)))])
        by_name = json.table([(name, HOLE) for name in targets])

        def encode(outputs: Outputs) -> list[bytes]:
            columns = [json.integers(column) for column in (outputs.offset, outputs.time, outputs.step)]
            for values in (outputs.prediction, outputs.lower, outputs.upper, outputs.surprise):
                columns.append(json.singles(values[:, 0]) if len(targets) == 1 else by_target(values))
            return [form % row for row in zip(*columns, strict=True)]

        def by_target(values: Singles) -> list[bytes]:
            return [by_name % row for row in zip(*map(json.singles, values.T), strict=True)]

        return encode

    def chances(self, signature: Signature, fingerprint: str) -> EncodeChances:
        return encoder(notation.Json(), signature, fingerprint)


class MsgPack:
    """One map. Floats leave as float32, integers as 64 bits: what has no null has one length, so that numpy writes all
    of it at once."""

    code = "not_msgpack"
    document = "a MessagePack map"

    def decoder(self, event: type) -> Decode:
        return msgspec.msgpack.Decoder(event).decode

    def encoder(self, targets: Sequence[str], fingerprint: str) -> Encode:
        message, shape = _blank(targets, fingerprint)
        size = len(message)
        surprises = [shape.fields[f"surprise {i}"][1] - 1 for i in range(len(targets))]  # type: ignore[index]

        def encode(outputs: Outputs) -> list[bytes]:
            data = bytearray(message * len(outputs.offset))
            records = np.frombuffer(data, shape)
            records["offset"], records["ts"], records["step"] = outputs.offset, outputs.time, outputs.step
            for name in ("prediction", "lower", "upper", "surprise"):
                numbers = getattr(outputs, name)
                for i in range(len(targets)):
                    records[f"{name} {i}"] = numbers[:, i]
            written = bytes(data)
            values = [written[at : at + size] for at in range(0, len(written), size)]
            null = np.isnan(outputs.surprise)
            for event in np.flatnonzero(null.any(axis=1)).tolist():
                values[event] = _with_null(
                    values[event], [at for at, no in zip(surprises, null[event], strict=True) if no]
                )
            return values

        return encode

    def chances(self, signature: Signature, fingerprint: str) -> EncodeChances:
        return encoder(notation.MsgPack(), signature, fingerprint)


def _with_null(message: bytes, places: Sequence[int]) -> bytes:
    """The message with null for the float32 that begin there."""
    parts, at = [], 0
    for place in places:
        parts += [message[at:place], b"\xc0"]
        at = place + 5
    return b"".join([*parts, message[at:]])


def _blank(targets: Sequence[str], fingerprint: str) -> tuple[bytes, np.dtype[np.void]]:
    """A message without null, and where its numbers are to be written."""
    text, several = msgspec.msgpack.encode, len(targets) > 1
    pieces: list[bytes | tuple[str, str]] = [b"\x88"]  # a map of eight
    for name in ("offset", "ts", "step"):
        pieces += [text(name) + b"\xd3", (name, ">i8")]
    for name in ("prediction", "lower", "upper", "surprise"):
        pieces.append(text(name) + (b"\xde" + len(targets).to_bytes(2, "big") if several else b""))
        for i, target in enumerate(targets):
            pieces += [(text(target) if several else b"") + b"\xca", (f"{name} {i}", ">f4")]
    pieces.append(text("model") + text(fingerprint))
    data, fields = b"", []
    for piece in pieces:
        if isinstance(piece, bytes):
            data += piece
        else:
            fields.append((*piece, len(data)))
            data += bytes(np.dtype(piece[1]).itemsize)
    names, kinds, offsets = zip(*fields, strict=True)
    return data, np.dtype({"names": names, "formats": kinds, "offsets": offsets, "itemsize": len(data)})


class Custom:
    """An object of the user's with decode(bytes) -> dict and encode(dict) -> bytes, called once per message, or twice
    where something in its batch is no event.

    The dicts are the JSON objects that the other formats write. What decode raises makes the event a dead letter.
    """

    code = "not_decodable"

    def __init__(self, name: str, codec: Any) -> None:
        self._name, self._codec = name, codec
        self.document = f"what {name} decodes"

    def decoder(self, event: type) -> Decode:
        def decode(value: bytes) -> Any:
            try:
                told = self._codec.decode(value)
            except Exception as error:
                raise msgspec.DecodeError(f"{type(error).__name__}: {error}") from None
            return msgspec.convert(told, event)

        return decode

    def encoder(self, targets: Sequence[str], fingerprint: str) -> Encode:
        plain = Json().encoder(targets, fingerprint)
        return lambda outputs: self._encoded(plain(outputs))

    def chances(self, signature: Signature, fingerprint: str) -> EncodeChances:
        plain = Json().chances(signature, fingerprint)
        return lambda told: self._encoded(plain(told))

    def _encoded(self, texts: list[bytes]) -> list[bytes]:
        values = []
        for text in texts:
            try:
                value = self._codec.encode(orjson.loads(text))
            except Exception as error:
                raise EnvironmentFault(f"--codec {self._name}: encode failed for {text!r}: {error!r}") from None
            if not isinstance(value, bytes):
                raise EnvironmentFault(f"--codec {self._name}: encode returned {type(value).__name__}, not bytes")
            values.append(value)
        return values


FORMATS: dict[str, Format] = {"json": Json(), "msgpack": MsgPack()}
