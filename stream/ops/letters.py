"""Dead letters as an operator sees them: what a record of the topic says, and which of them are meant. Pure.

A record with a code is a letter. One that names a letter's offset instead says that this letter, of the same partition,
was put back into the input: the two are written in one transaction.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote_from_bytes, unquote_to_bytes

from stream.broker.browser import Browsed
from stream.broker.port import Headers
from stream.deadletters import CODE, MESSAGE, OFFSET, PARTITION, RETRIED, RETRY_OF, TOPIC
from stream.errors import UsageError

_PLACE = re.compile(r"(\d{1,9}):(\d{1,18})")
_NUMBER = re.compile(rb"[0-9]{1,18}")  # others write to the topic, too: what no partition or offset can be is no letter


@dataclass(slots=True)
class Letter:
    """One dead letter, without its value."""

    partition: int
    offset: int  # in the dead-letter topic
    timestamp: int  # of the record that it was, milliseconds
    key: bytes | None
    size: int | None  # bytes of the value; None: it has none, or was left out
    code: str
    message: str
    topic: str  # where the record stands in the input, with the next two
    source_partition: int
    source_offset: int
    retried: bool = False

    @property
    def place(self) -> str:
        return f"{self.partition}:{self.offset}"

    @property
    def source(self) -> str:
        return f"{self.topic}:{self.source_partition}:{self.source_offset}"


@dataclass(frozen=True)
class Selection:
    """Which letters are meant: those that fit each of these. Empty, or None: whatever it is."""

    codes: frozenset[str] = frozenset()
    partitions: frozenset[int] = frozenset()
    places: frozenset[tuple[int, int]] = frozenset()
    key: bytes | None = None
    prefix: bytes = b""
    since: int | None = None  # milliseconds, by the records' timestamps
    topic: str = ""  # of the input

    def __contains__(self, letter: Letter) -> bool:
        return (
            (not self.codes or letter.code in self.codes)
            and (not self.partitions or letter.partition in self.partitions)
            and (not self.places or (letter.partition, letter.offset) in self.places)
            and (self.key is None or letter.key == self.key)
            and (letter.key or b"").startswith(self.prefix)
            and (self.since is None or letter.timestamp >= self.since)
            and (not self.topic or letter.topic == self.topic)
        )


def read(record: Browsed) -> Letter | None:
    """The letter that a record of the topic is; None where it is none, or does not say where it comes from."""
    told = {name: value for name, value in record.headers if value is not None}
    partition, offset = told.get(PARTITION, b""), told.get(OFFSET, b"")
    if CODE not in told or not _NUMBER.fullmatch(partition) or not _NUMBER.fullmatch(offset):
        return None
    return Letter(
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        None if record.value is None else len(record.value),
        told[CODE].decode(errors="replace"),
        told.get(MESSAGE, b"").decode(errors="replace"),
        told.get(TOPIC, b"").decode(errors="replace"),
        int(partition),
        int(offset),
    )


def collect(records: Iterable[Browsed], wanted: Selection) -> list[Letter]:
    """The letters that are meant, by partition and offset; of each whether it was put back since."""
    found: dict[tuple[int, int], Letter] = {}
    done: set[tuple[int, int]] = set()
    for record in records:
        letter = read(record)
        if letter is None:
            done |= {(record.partition, offset) for offset in retried(record.headers)}
        elif letter in wanted:
            found[letter.partition, letter.offset] = letter
    for place in done & found.keys():
        found[place].retried = True
    return [found[place] for place in sorted(found)]


def retried(headers: Headers) -> list[int]:
    """Offsets of the letters that a record says were put back."""
    return [int(value) for name, value in headers if name == RETRIED and value is not None and value.isdigit()]


def receipt(letter: Letter) -> Headers:
    """Of the record that says that this letter was put back."""
    return [(RETRIED, str(letter.offset).encode())]


def origin(letter: Letter, topic: str) -> Headers:
    """Of the record that is put back: which letter of this topic it was."""
    return [(RETRY_OF, f"{topic}:{letter.place}".encode())]


def places(told: Sequence[str]) -> frozenset[tuple[int, int]]:
    """Of PARTITION:OFFSET. Raises UsageError."""
    found = set()
    for text in told:
        match = _PLACE.fullmatch(text)
        if match is None:
            raise UsageError(f"PARTITION:OFFSET {text}: is no place; give two numbers, e.g. 0:17, as `list` tells them")
        found.add((int(match[1]), int(match[2])))
    return frozenset(found)


def since(told: str | None, now: float) -> int | None:
    """Milliseconds since the epoch, of ISO 8601 (UTC where it names no zone) or of seconds before now (seconds since
    the epoch). Raises UsageError."""
    if told is None:
        return None
    try:
        return round((now - float(told)) * 1000)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(told)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since {told}: is neither seconds before now nor ISO 8601; give e.g. 3600, or 2026-01-31T20:00:00Z"
        ) from None


def key_of(text: str) -> bytes:
    """The key that an operator means: its text in UTF-8, and %XX for a byte, as in the service's addresses."""
    return unquote_to_bytes(text.encode(errors="surrogateescape"))  # what is no UTF-8 came as the shell's raw bytes


def name_of(key: bytes | None) -> str:
    """A key for people, so that `key_of` gives it back."""
    if key is None:
        return "(none)"
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return quote_from_bytes(key, safe=" ")
    return text.replace("%", "%25") if text.isprintable() else quote_from_bytes(key, safe=" ")


def moment(milliseconds: int) -> str:
    """ISO 8601 in UTC, as `since` reads it."""
    try:
        told = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError):
        return f"{milliseconds} ms"
    return told.isoformat(timespec="milliseconds").replace("+00:00", "Z")
