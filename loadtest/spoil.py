"""Input that is no event: records that must become dead letters, of every kind, and resets. No Kafka, no clock.

Whether an event is spoiled, and how, is told by its number, so that it can be known without making the events.
"""

from collections.abc import Sequence
from dataclasses import replace

from engine.columns import Bools, Ints
from loadtest.chance import chance
from loadtest.codecs import JSON, Codec
from loadtest.events import Batch

WHETHER, HOW = 201, 202  # purposes of draws
MOST_BYTES = 900_000  # of a record: brokers and clients take a million unless they are told to take more
NEEDS_ROOM = ("key_too_long", "value_too_long")


class Spoiler:
    """Replaces a share of the events by bad input, and a share by resets."""

    def __init__(
        self,
        features: Sequence[str],
        bad: float,
        resets: float,
        *,
        max_key_bytes: int,
        max_value_bytes: int,
        seed: int = 0,
        codec: Codec = JSON,
    ) -> None:
        """bad, resets: shares of all events. max_key_bytes, max_value_bytes: the service's limits."""
        self._bad, self._resets, self._seed = bad, resets, seed
        self._limits = {"key_too_long": max_key_bytes, "value_too_long": max_value_bytes}
        self.values = _values(features, codec)  # per code, the forms of it
        self.left_out = [kind for kind in NEEDS_ROOM if self._limits[kind] > MOST_BYTES]
        self.kinds = [kind for kind in (*self.values, "no_key", *NEEDS_ROOM) if kind not in self.left_out]

    def silent(self, index: Ints) -> Bools:
        """Which of the events with these numbers are no events any more, and so have no output."""
        marked: Bools = chance(self._seed, WHETHER, index) < self._bad + self._resets
        return marked

    def spoil(self, batch: Batch) -> Batch:
        """The batch with its share of bad input; its index must be set."""
        if not (self._bad or self._resets) or batch.index is None:
            return batch
        silent = self.silent(batch.index)
        keys, values = list(batch.keys), list(batch.values)
        reset = chance(self._seed, WHETHER, batch.index) >= self._bad
        how = chance(self._seed, HOW, batch.index) * len(self.kinds)
        for i in silent.nonzero()[0].tolist():
            if reset[i]:
                values[i] = None
            else:
                kind = self.kinds[int(how[i])]
                keys[i], values[i] = self._spoiled(kind, how[i] % 1.0, keys[i] or b"", values[i] or b"")
        return replace(batch, keys=keys, values=values, silent=silent)

    def _spoiled(self, kind: str, draw: float, key: bytes, value: bytes) -> tuple[bytes | None, bytes]:
        if kind == "no_key":
            return None, value
        if kind == "key_too_long":
            return key.ljust(self._limits[kind] + 1, b"-"), value
        if kind == "value_too_long":
            return key, value.ljust(self._limits[kind] + 1)  # else a good event
        forms = self.values[kind]
        return key, forms[int(draw * len(forms))]


def _values(features: Sequence[str], codec: Codec) -> dict[str, list[bytes]]:
    """Per code of a dead letter, values that must lead to it."""
    good = dict.fromkeys(features, 1.5)
    first = features[0]
    text: dict[str, list[object]] = {
        "wrong_field": [{}, [1], good | {first: "warm"}, good | {first: True}, good | {"ts": 1.5}],
        "not_finite": [good | {first: 1e39}, good | {first: -3.5e38}],
        "bad_time": [good | {"ts": "soon"}, good | {"ts": -1}, good | {"ts": 10**15}],
    }
    return {
        codec.broken: codec.breaks(codec.document(good)),
        **{code: [codec.document(value) for value in values] for code, values in text.items()},
    }
