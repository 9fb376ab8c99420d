"""Events that have no prediction, as records of the dead-letter topic (headers after KIP-1034). Pure."""

from bisect import bisect_left
from collections.abc import Sequence

from engine.columns import Outcome
from stream.broker.port import Headers, Records
from stream.codec import Decoded, Rejected

CODE, MESSAGE, TOPIC, PARTITION, OFFSET = (
    f"__statecast.errors.{name}" for name in ("code", "message", "topic", "partition", "offset")
)
RETRIED = "__statecast.retried.offset"  # of a record that is no letter: the offset of one that was put back
RETRY_OF = "__statecast.retry.of"  # of an event that was a letter: which

ROOM = 65_536  # bytes by which a dead letter may be larger than its event: headers, and what a record costs beside them
_RECORD_OVERHEAD = 512


def letter(event: Rejected, topic: str, limit: int) -> tuple[bytes | None, Headers]:
    """(value, headers) of the dead letter; a value that would not fit the topic's limit (bytes) stays behind."""
    headers: Headers = [
        (CODE, event.code.encode()),
        (MESSAGE, event.message.encode()),
        (TOPIC, topic.encode()),
        (PARTITION, str(event.partition).encode()),
        (OFFSET, str(event.offset).encode()),
    ]
    size = sum(len(name) + len(text) for name, text in headers) + len(event.key or b"") + len(event.value or b"")
    return (event.value if size + _RECORD_OVERHEAD <= limit else None), headers


def refusals(decoded: Decoded, outcome: Outcome, batches: Sequence[Records]) -> list[Rejected]:
    """Events that were decoded but not stepped, as rejected records: refused by the network, or of a frozen stream."""
    if not outcome.refused and not outcome.frozen:
        return []
    why = [(event, "not_steppable", message) for event, message in outcome.refused.items()]
    why = sorted(why + [(event, "stream_frozen", message) for event, message in outcome.frozen.items()])
    raw = {(b.partition, offset): value for b in batches for offset, value in zip(b.offsets, b.values, strict=True)}
    columns, found = decoded.columns, []
    for partition, start, stop in columns.runs:
        for event, code, message in why[bisect_left(why, (start,)) : bisect_left(why, (stop,))]:
            offset = int(columns.offset[event])
            timestamp, value = int(columns.timestamp[event]), raw[partition, offset]
            found.append(Rejected(partition, offset, timestamp, columns.keys[event], value, code, message))
    return found
