"""Dead letters go back into the input topic, each once: the event, and a record in the dead-letter topic that says that
it was put back, are one transaction.

Whoever retries initialises one transactional.id, named after the dead-letter topic, before it looks at what was put
back already, and looks at all of it. So of two at the same time the first is fenced, and no letter is put back twice.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from stream.broker.browser import Browsed, browse
from stream.broker.port import Client, Identity, Sink
from stream.errors import EnvironmentFault, SinkFailed, SinkFenced
from stream.ops.deadletters import Say, original, survey, table
from stream.ops.letters import Letter, Selection, origin, receipt
from stream.topics import LEAST_BATCH

PIECE = 500  # letters of one transaction
PIECE_BYTES = 8 << 20
TIMEOUT = 30.0


def retry(client: Client, identity: Identity, topic: str, wanted: Selection, say: Say, *, yes: bool) -> int:
    """Put the letters that are meant back into their input; how many were. Without `yes` only tell which.

    Raises Refused where a topic is missing or refuses a record, Unavailable, EnvironmentFault where a transaction
    failed. What was put back before that stays so, and is not put back again.
    """
    if not yes:
        ready = _sorted_out(survey(identity, topic, wanted), say)
        for line in table(ready) if ready else ():
            say(line)
        say(f"--yes puts {len(ready)} back" if ready else "nothing to put back")
        return 0
    writer = replace(identity, slot=f"{topic}-retry")
    count = 0
    try:
        with closing(client.sink(writer, transactional=True, timeout=TIMEOUT, batch_bytes=LEAST_BATCH)) as sink:
            letters = _sorted_out(survey(identity, topic, wanted, settled=True), say)
            for piece in _pieces(_events(identity, topic, letters, say)):
                _put_back(sink, topic, piece)
                count += len(piece)
    except SinkFenced:
        raise EnvironmentFault(
            f"{topic}: somebody else began to retry letters of it meanwhile; {count} were put back here. Look with "
            "`statecast deadletter list` when that has ended"
        ) from None
    except SinkFailed as error:
        raise EnvironmentFault(
            f"{topic}: a transaction failed after {count} letters were put back ({error}); try again: what was put "
            "back is marked, and is not put back twice"
        ) from None
    say(f"put back {count}")
    return count


def _sorted_out(letters: Sequence[Letter], say: Say) -> list[Letter]:
    """Those that can be put back, and are not yet. Of the others it is told how many there are, and why."""
    ready: list[Letter] = []
    done = keyless = homeless = 0
    for letter in letters:
        if letter.retried:
            done += 1
        elif letter.key is None:
            keyless += 1
        elif not letter.topic:
            homeless += 1
        else:
            ready.append(letter)
    for count, why in (
        (done, "put back before"),
        (keyless, "without a key: they belong to no stream, and would be dead letters again"),
        (homeless, "whose headers name no input topic"),
    ):
        if count:
            say(f"left alone: {count} {why}")
    return ready


def _events(identity: Identity, topic: str, letters: Sequence[Letter], say: Say) -> Iterator[tuple[Letter, Browsed]]:
    """Each letter with the record that is put back: its own, or where its value was left out the input's."""
    meant = {(letter.partition, letter.offset): letter for letter in letters}
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    for partition, offset in meant:
        begins[partition] = min(offset, begins.get(partition, offset))
        ends[partition] = max(offset + 1, ends.get(partition, 0))
    for record in browse(identity, topic, begins, ends):
        letter = meant.get((record.partition, record.offset))
        if letter is None:
            continue
        event: Browsed | None = record
        if record.value is None:
            event = original(identity, letter)
        if event is None:
            say(f"left alone: {letter.place}: its value was left out, and the input no longer has {letter.source}")
        else:
            yield letter, event


def _pieces(events: Iterator[tuple[Letter, Browsed]]) -> Iterator[list[tuple[Letter, Browsed]]]:
    piece: list[tuple[Letter, Browsed]] = []
    size = 0
    for letter, event in events:
        piece.append((letter, event))
        size += len(event.value or b"") + len(event.key or b"")
        if len(piece) == PIECE or size >= PIECE_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _put_back(sink: Sink, topic: str, piece: Sequence[tuple[Letter, Browsed]]) -> None:
    """One transaction: the events, in order, and what says that they were put back."""
    sink.begin()
    for letter, event in piece:
        times = [max(letter.timestamp, 1)]
        sink.send(letter.topic, letter.source_partition, [event.key], [event.value], times, [origin(letter, topic)])
        sink.send(topic, letter.partition, [letter.key], [None], times, [receipt(letter)])
    sink.commit(TIMEOUT)
