"""`statecast state reset`: null records into streams' own partitions of the input, which start them cold.

Nothing else resets a stream: whoever reads the input topic, now or in a replay, comes to the same. The changelog tells
which partition a stream is in; one that it does not know is taken to be where producers place its key, by murmur2.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from stream.broker.admin import Admin
from stream.broker.clients import choose
from stream.broker.placement import home
from stream.broker.port import Client, Identity
from stream.errors import EnvironmentFault, SinkFailed, UsageError
from stream.ops.changelogs import CALL, find, unreset
from stream.ops.exporting import input_of_group
from stream.ops.letters import name_of
from stream.ops.look import partitions
from stream.settings import Settings
from stream.state.changelog import Marker
from stream.topics import LEAST_BATCH

Placed = list[tuple[int, bytes, int]]  # partition, key, timestamp


def reset(
    settings: Settings,
    identity: Identity,
    keys: Sequence[bytes],
    *,
    model: Path | None,
    all: bool,
    prefix: bytes,
    yes: bool,
    say: Callable[[str], None],
) -> None:
    """Reset these streams, or with `all` those that the changelog has whose key begins so, once `yes` says so.

    Raises UsageError, Refused, Unavailable, and EnvironmentFault where some may not have been reset.
    """
    if bool(keys) == all:
        raise UsageError(
            "KEY: give keys, or --all with --prefix, and not both" if keys else "KEY: is missing; name streams"
        )
    if prefix and not all:
        raise UsageError("--prefix: is of --all; name streams by their keys, or add --all")
    client = choose(settings.kafka.client)
    with closing(Admin(identity, timeout=CALL)) as admin:
        source = input_of_group(admin, identity, settings.kafka.input_topic)
        named = find(admin, identity, model)
        placed: Placed = []
        for number, newest, _ in partitions(client, identity, admin, named):
            here = unreset(newest, prefix) if all else [key for key in keys if key in newest.rows]
            placed += [(number, key, _time(newest.marker)) for key in here]
    if all:
        say(f"{len(placed)} streams of {named.name}" + (f" begin with {name_of(prefix)}" if prefix else ""))
        if not yes:
            say(f"--yes sends {len(placed)} null records to {source.name}")
            return
    known = {key for _, key, _ in placed}
    for key in keys:
        if key not in known:
            number = home(key, source.partitions)
            placed.append((number, key, _time(None)))
            say(f"{name_of(key)}: no row in {named.name}; producers place this key in partition {number}")
    _send(client, identity, source.name, placed)
    for number, key, _ in placed if not all else []:
        say(f"{name_of(key)}: reset by a null record to {source.name} [{number}]")
    if all:
        say(f"sent {len(placed)} null records to {source.name}")


def _time(marker: Marker | None) -> int:
    """The record's timestamp, milliseconds: now, but never ahead of the partition's clock, or it would move that, and
    with --state-ttl every stream of a partition whose events are old would begin anew."""
    now = int(time.time() * 1000)
    return min(now, marker.clock) if marker is not None and marker.clock > 0 else now


def _send(client: Client, identity: Identity, topic: str, placed: Placed) -> None:
    try:
        with closing(client.sink(identity, transactional=False, timeout=CALL, batch_bytes=LEAST_BATCH)) as sink:
            for number in sorted({number for number, _, _ in placed}):
                mine = [(key, at) for there, key, at in placed if there == number]
                sink.send(topic, number, [key for key, _ in mine], [None] * len(mine), [at for _, at in mine])
            sink.flush(60.0)
    except SinkFailed as failed:
        raise EnvironmentFault(
            f"--input-topic {topic}: not every null record arrived ({failed}); a reset does no harm twice: try again"
        ) from None
