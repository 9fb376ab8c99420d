"""Predictions of symbols and of classes: which outcomes a message tells, and how; which symbols an event may have.

Knows probabilities and names. What a record must be is codec's, how numbers are written is notation's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.columns import Columns, Ints, Outcome
from export.signature import Signature
from stream.notation import HOLE, Integers, Notation, Singles, constant

TOP = 5  # symbols that a message tells


@dataclass(slots=True)
class Chances:
    """What the messages of some predictions say, columns of equal length."""

    offset: Integers
    time: Integers
    step: Integers
    likeliest: Integers  # [events] an index into the symbols or classes
    place: Integers  # [events, told] the same; of symbols the likeliest ones in order, of classes all as they stand
    chance: Singles  # [events, told]
    surprise: Singles  # [events]; NaN: null; a class has none


def chances(signature: Signature, columns: Columns, outcome: Outcome, stepped: Ints) -> Chances:
    """The predictions of these events."""
    chance = outcome.predicted[stepped, 0]
    if signature.task == "symbol":
        place = likeliest(chance, TOP)
    else:
        place = np.broadcast_to(np.arange(chance.shape[1]), chance.shape)
    return Chances(
        columns.offset[stepped],
        columns.time[stepped],
        outcome.step[stepped],
        chance.argmax(axis=1),
        place,
        np.take_along_axis(chance, place, axis=1),
        outcome.surprise[stepped, 0],
    )


def likeliest(chance: Singles, most: int) -> Integers:
    """[events, most]: the likeliest outcomes in order; of equal ones the first that stands there."""
    most = min(most, chance.shape[1])
    lowest = np.partition(chance, -most, axis=1)[:, -most, None]
    above, level = chance > lowest, chance == lowest
    # Of those that are level with the last one that is told, the first ones fill what room is left.
    room = most - above.sum(axis=1, keepdims=True)
    told = np.nonzero(above | (level & (level.cumsum(axis=1) <= room)))[1].reshape(-1, most)
    order = np.argsort(-np.take_along_axis(chance, told, axis=1), axis=1, kind="stable")
    return np.take_along_axis(told, order, axis=1)


def encoder(notation: Notation, signature: Signature, fingerprint: str) -> Callable[[Chances], list[bytes]]:
    """Turns predictions of symbols or classes into values."""
    symbols = signature.task == "symbol"
    names = [notation.text(name) for name in signature.symbols or signature.classes]
    pieces = [(name, HOLE) for name in ("offset", "ts", "step", "prediction")]
    if symbols:
        one = notation.array([HOLE, HOLE])
        pieces += [("top", notation.array([one] * min(TOP, len(names)))), ("surprise", HOLE)]
    else:
        pieces.append(("probabilities", notation.table([(name, HOLE) for name in signature.classes])))
    form = notation.table([*pieces, ("model", constant(notation.text(fingerprint)))])

    def named(column: Integers) -> list[bytes]:
        return [names[i] for i in column.tolist()]

    def encode(told: Chances) -> list[bytes]:
        columns = [notation.integers(column) for column in (told.offset, told.time, told.step)]
        columns.append(named(told.likeliest))
        for place, chance in zip(told.place.T, told.chance.T, strict=True):
            columns += [named(place), notation.singles(chance)] if symbols else [notation.singles(chance)]
        if symbols:
            columns.append(notation.singles(told.surprise))
        return [form % row for row in zip(*columns, strict=True)]

    return encode


class Places(dict[str | int | None, float | None]):
    """From a symbol to its place among the model's, 0 where it is not there; a missing one stays missing.

    A whole number stands for its digits; where the symbols are bytes, for the byte.
    """

    def __init__(self, signature: Signature) -> None:
        super().__init__({symbol: i for i, symbol in enumerate(signature.symbols)})
        self[None] = None
        self._digits = "02x" if signature.text == "bytes" else "d"

    def __missing__(self, symbol: str | int) -> float | None:
        return self.get(format(symbol, self._digits), 0) if isinstance(symbol, int) else 0
