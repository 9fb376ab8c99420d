"""What lies in a dead-letter topic, and one letter of it in full. Reads what is committed, and writes nothing."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from stream.broker.admin import Admin
from stream.broker.browser import Browsed, browse
from stream.broker.port import Identity
from stream.errors import Refused, UsageError
from stream.ops.letters import Letter, Selection, collect, moment, name_of, read, retried

TIMEOUT = 10.0
MESSAGE_WIDTH = 80  # characters of a message in a table

Say = Callable[[str], None]


def survey(identity: Identity, topic: str, wanted: Selection, *, settled: bool = False) -> list[Letter]:
    """The letters that are meant, by partition and offset.

    settled: also of transactions that are open now, once they have ended. Raises Refused where there is no such topic,
    or no letter at a place that was named, UsageError where there is no such partition, Unavailable.
    """
    begins, ends = bounds(identity, topic, settled=settled)
    if beyond := wanted.partitions - begins.keys():
        raise UsageError(f"--partition {min(beyond)}: {topic} has {len(begins)} partitions, numbered from 0")
    found = collect(browse(identity, topic, begins, ends), wanted)
    if lost := wanted.places - {(letter.partition, letter.offset) for letter in found}:
        partition, offset = min(lost)
        raise Refused(
            f"{topic} {partition}:{offset}: there is no dead letter, or the other options leave it out; `statecast "
            "deadletter list` shows those that are there"
        )
    return found


def bounds(identity: Identity, topic: str, *, settled: bool = False) -> tuple[dict[int, int], dict[int, int]]:
    """Partition -> its first offset, and the one after its last that is committed; settled: after its last."""
    with closing(Admin(identity, timeout=TIMEOUT)) as admin:
        info = admin.describe(topic)
        if info is None:
            raise Refused(
                f"--dead-letter-topic {topic}: does not exist at {identity.bootstrap_servers}; check the name, or name "
                "the output topic with --output-topic"
            )
        numbers = range(info.partitions)
        marks = admin.watermarks(topic, numbers, TIMEOUT)
        ends = {p: high for p, (_, high) in marks.items()} if settled else admin.ends(topic, numbers, TIMEOUT)
        return {p: low for p, (low, _) in marks.items()}, ends


def show_all(letters: Sequence[Letter], say: Say, *, limit: int, json: bool, summary: bool) -> None:
    """A list: the newest `limit` letters in a table or as JSON lines, or counts by code."""
    if summary:
        _count(letters, say, json=json)
        return
    for line in map(_json, letters[-limit:]) if json else table(letters[-limit:]):
        say(line)
    if not json and len(letters) > limit:
        say(f"the last {limit} of {len(letters)}; --limit shows more")


def _count(letters: Sequence[Letter], say: Say, *, json: bool) -> None:
    waiting = Counter(letter.code for letter in letters if not letter.retried)
    done = Counter(letter.code for letter in letters if letter.retried)
    codes = sorted(waiting.keys() | done.keys(), key=lambda code: (-waiting[code] - done[code], code))
    if json:
        say(msgspec.json.encode({code: {"waiting": waiting[code], "retried": done[code]} for code in codes}).decode())
        return
    rows = [(_line(code), f"{waiting[code]:,}", f"{done[code]:,}") for code in codes]
    total = ("all", f"{waiting.total():,}", f"{done.total():,}")
    for line in _aligned([("code", "waiting", "retried"), *rows, total]):
        say(line)


def table(letters: Sequence[Letter]) -> list[str]:
    """Lines for people."""
    rows: list[tuple[str, ...]] = [("letter", "time", "code", "key", "from", "retried", "why")]
    for one in letters:
        why = one.message if len(one.message) <= MESSAGE_WIDTH else one.message[: MESSAGE_WIDTH - 1] + "…"
        answer = "yes" if one.retried else "no"
        row = (one.place, moment(one.timestamp), one.code, name_of(one.key), one.source, answer, why)
        rows.append(tuple(map(_line, row)))
    return _aligned(rows)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _line(text: str) -> str:
    """Text of a stranger's on one line, without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else " " for c in text)


def _json(letter: Letter) -> str:
    return msgspec.json.encode(_told(letter)).decode()


def _told(letter: Letter) -> dict[str, Any]:
    return {
        "letter": letter.place,
        "time": moment(letter.timestamp),
        "code": letter.code,
        "message": letter.message,
        "key": None if letter.key is None else name_of(letter.key),
        "topic": letter.topic,
        "partition": letter.source_partition,
        "offset": letter.source_offset,
        "value_bytes": letter.size,
        "retried": letter.retried,
    }


def show(
    identity: Identity, topic: str, place: tuple[int, int], say: Say, *, limit: int, out: Path | None, json: bool
) -> None:
    """One letter in full. limit: bytes of the value that are shown; out: a file for all of them."""
    records = list(_from(identity, topic, place))
    found = records[0] if records and records[0].offset == place[1] else None
    letter = None if found is None else read(found)
    if found is None or letter is None:
        raise Refused(
            f"{topic} {place[0]}:{place[1]}: there is no dead letter; `statecast deadletter list` shows those"
        )
    letter.retried = any(place[1] in retried(record.headers) for record in records)
    value, left_out = found.value, False
    if value is None and (there := original(identity, letter)) is not None:
        value, left_out = there.value, True
    if out is not None:
        _write(out, value, letter)
    kind, text = _shown(value, limit)
    if json:
        say(msgspec.json.encode({**_told(letter), "headers": _headers(found), kind: text}).decode())
        return
    for name, told in _told(letter).items():
        say(f"{name:<12} {_line(str(told))}")
    for name, told in _headers(found).items():
        say(f"header       {_line(f'{name}: {told}')}")
    size = 0 if value is None else len(value)
    if value is None:
        say("value        none: it was left out, and the input no longer has it" if letter.key else "value        none")
    else:
        say(f"value        {size} bytes{', read from the input' if left_out else ''}, as {kind}:")
        say(_line(text) + (" …" if size > limit else ""))


def _headers(record: Browsed) -> Mapping[str, str]:
    return {name: (value or b"").decode(errors="replace") for name, value in record.headers}


def _shown(value: bytes | None, limit: int) -> tuple[str, str]:
    """("text" or "hex", the beginning of the value)."""
    part = (value or b"")[:limit]
    text = part.decode(errors="replace")
    cut = len(value or b"") > limit and text.endswith("\ufffd")  # in the middle of a character
    text = text.removesuffix("\ufffd") if cut else text
    readable = "\ufffd" not in text and all(c.isprintable() or c.isspace() for c in text)
    return ("text", text) if readable else ("hex", part.hex(" "))


def _write(out: Path, value: bytes | None, letter: Letter) -> None:
    if value is None:
        raise Refused(f"--out {out}: letter {letter.place} has no value, and the input no longer has it")
    try:
        out.write_bytes(value)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written ({error.strerror}); name another file") from None


def original(identity: Identity, letter: Letter) -> Browsed | None:
    """The record that became this letter, from the input; None where it is no longer there, or is another one."""
    with closing(Admin(identity, timeout=TIMEOUT)) as admin:
        info = admin.describe(letter.topic)
        if info is None or letter.source_partition >= info.partitions:
            return None
        low, high = admin.watermarks(letter.topic, [letter.source_partition], TIMEOUT)[letter.source_partition]
    at = letter.source_offset
    if not low <= at < high:
        return None
    partition = letter.source_partition
    for record in browse(identity, letter.topic, {partition: at}, {partition: at + 1}):
        if record.key == letter.key and max(record.timestamp, 1) == max(letter.timestamp, 1):
            return record
    return None


def _from(identity: Identity, topic: str, place: tuple[int, int]) -> Iterator[Browsed]:
    """The records of a partition from this one on; none where the place is not there."""
    partition, offset = place
    begins, ends = bounds(identity, topic)
    if partition in begins and begins[partition] <= offset < ends[partition]:
        yield from browse(identity, topic, {partition: offset}, {partition: ends[partition]})
