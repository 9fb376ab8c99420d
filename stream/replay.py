"""The offline reference as the service's messages: a file of events in, JSON lines out. No Kafka.

Stands here, beside the codec, so that what `statecast replay` writes is encoded by the code that encodes for the topic.
"""

from collections.abc import Iterable, Sequence
from math import isfinite
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.columns import Columns
from engine.model import Model
from engine.replay import replay
from engine.rows import Policy
from export.signature import Signature
from stream.chances import Places
from stream.codec import Codec
from stream.errors import UsageError
from stream.formats import Json


def milliseconds(state_ttl: float, time: str | None) -> int:
    """The option --state-ttl, seconds, for the engine. Raises UsageError where no clock can go by it."""
    if not (state_ttl >= 0.001 and isfinite(state_ttl)):
        raise UsageError(f"--state-ttl {state_ttl:g}: must be seconds, at least 0.001; leave it out for ever")
    if time is None:
        raise UsageError(f"--state-ttl {state_ttl:g}: needs the events' times; give --time COLUMN too")
    return round(state_ttl * 1000)


def check_output(output: Path, inputs: Iterable[Path]) -> None:
    """Raise UsageError where what is read would be written over."""
    if output.exists() and any(path.exists() and output.samefile(path) for path in inputs):
        raise UsageError(f"--output {output}: is an input; give another path")


def places(signature: Signature, symbols: Sequence[str], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Indexes into a file's own symbols as indexes into the model's; NaN stays."""
    own = Places(signature)
    table = np.array([*(own[symbol] for symbol in symbols), np.nan], np.float64)
    return table[np.where(np.isfinite(values), values, len(symbols)).astype(np.int64)]


def write_predictions(
    model: Model,
    keys: list[bytes],
    stream: NDArray[np.int64],
    time: NDArray[np.int64],
    values: NDArray[np.float64],
    output: Path,
    batch: int,
    ttl: int | None = None,
    poison: Policy = "skip",
) -> None:
    """Step all events in their order and write one line for each.

    keys: each stream's key; stream, time: [events]; values: [events, features], within float32, NaN where missing.
    ttl: time to live, milliseconds, by a clock that the times drive; None: for ever. poison: the poison policy.
    Raises UsageError where the values do not fit the model, or the file cannot be written.
    """
    features = len(model.signature.features)
    if values.shape[1] != features:
        raise UsageError(f"--value: {values.shape[1]} columns; the model has {features}: {model.signature.features}")
    x = values.astype(np.float32)
    there = ~np.isnan(x)
    x[~there] = 0
    columns = Columns(
        runs=[(0, 0, len(stream))],
        keys=[keys[s] for s in stream],
        offset=np.arange(len(stream)),
        time=time,
        timestamp=time,
        x=x,
        mask=there.astype(np.float32),
    )
    codec = Codec(Json(), model.signature, model.fingerprint, max_key_bytes=2**31, max_value_bytes=2**31)
    try:
        with output.open("wb") as sink:
            for part, outcome in replay(model, columns, batch=batch, streams=len(keys), ttl=ttl, poison=poison):
                index, texts = codec.encode(part, outcome, 0, len(part))
                for event, text in zip(index, texts, strict=True):
                    name = orjson.dumps(part.keys[event].decode())
                    sink.write(b'{"key":%b,%b\n' % (name, text[1:]))
    except OSError as error:
        raise UsageError(f"--output {output}: cannot be written ({error.strerror}); give another path") from None
