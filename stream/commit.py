"""The numbered order of a commit, in both delivery modes. Knows sinks; nothing of rows, partitions or the loop.

exactly_once    One transaction holds the outputs, the dead letters, the state and the input offsets.
at_least_once   Outputs and dead letters go at once through a plain idempotent producer. A commit first proves that
                all of them arrived, then writes state and offsets in a transaction of their own: never ahead of
                outputs.

After SinkFailed nothing here may be used again but `close`: a new Delivery takes its place, and the committed offsets
tell what took place.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream import failpoint
from stream.broker.port import Client, Headers, Identity, Sink, Source
from stream.errors import SinkFailed


@dataclass(slots=True)
class Entries:
    """Records for one partition of the changelog, columns of equal length."""

    keys: list[bytes]
    values: list[bytes | None]


class Delivery:
    """What was published since the last commit, and how it becomes visible."""

    def __init__(
        self,
        client: Client,
        identity: Identity,
        state_topic: str,
        *,
        exactly_once: bool,
        timeout: float,
        batch_bytes: int,
        queue_bytes: int,
    ) -> None:
        """Fences this slot's predecessor and aborts what it left open (init_transactions). timeout: seconds, of each
        call; batch_bytes: the most that one batch of records may have; queue_bytes: the most that is under way."""
        self._timeout = timeout
        self._state_topic = state_topic
        queue_bytes //= 1 if exactly_once else 2

        def sink(transactional: bool) -> Sink:
            return client.sink(
                identity,
                transactional=transactional,
                timeout=timeout,
                batch_bytes=batch_bytes,
                queue_bytes=queue_bytes,
            )

        self._ledger = sink(True)
        self._outlet = self._ledger if exactly_once else sink(False)
        self._open = False

    def publish(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        headers: Sequence[Headers] | None = None,
    ) -> None:
        """Send records of one partition; they are proven delivered by the next `commit`."""
        if self._outlet is self._ledger:
            self._begin()
        self._outlet.send(topic, partition, keys, values, timestamps, headers)

    def write(self, state: Mapping[int, Entries]) -> float:
        """Send rows into the transaction that the next `commit` ends. Returns the seconds that it took."""
        self._begin()
        began = time.perf_counter()
        now = int(time.time() * 1000)
        for partition, entries in state.items():
            self._ledger.send(self._state_topic, partition, entries.keys, entries.values, [now] * len(entries.keys))
        return time.perf_counter() - began

    def commit(
        self, positions: Mapping[int, int], state: Mapping[int, Entries], source: Source, within: float | None = None
    ) -> float:
        """Make everything published so far, this state and these input positions durable and visible together.

        within: seconds for the whole of it; None: each call has its own. Returns the seconds that handing over the
        state took.
        """
        deadline = None if within is None else time.monotonic() + within

        def left() -> float:
            return self._timeout if deadline is None else max(0.1, deadline - time.monotonic())

        failpoint.reach("commit")
        # 1. At least once: every output has arrived before any offset moves past its event.
        if self._outlet is not self._ledger:
            self._outlet.flush(left())
            failpoint.reach("flushed")
        # 2. The transaction, unless outputs have opened it.
        self._begin()
        failpoint.reach("begun")
        # 3. Tombstones and markers, and rows that were not written before.
        took = self.write(state)
        failpoint.reach("state")
        # 4. Input offsets, with the group's metadata as it is now: a member that was expelled is refused (KIP-447).
        self._ledger.send_offsets(positions, source.group(), left())
        failpoint.reach("offsets")
        # 5. All or nothing.
        self._ledger.commit(left())
        self._open = False
        failpoint.reach("committed")
        return took

    def abort(self) -> None:
        """What was published and not committed is not to be seen. Only after GenerationOver. Raises SinkFenced, too."""
        self._ledger.abort(self._timeout)
        self._open = False

    def prove(self) -> None:
        """Raise SinkFenced where another process has taken this slot's transactions since. What was published and not
        committed is lost with it."""
        self._begin()
        self._ledger.send(self._state_topic, 0, [b"?"], [None], [int(time.time() * 1000)])  # nobody ever reads it
        self._ledger.flush(self._timeout)

    def close(self) -> None:
        """Let go; an open transaction is aborted where the broker still answers."""
        if self._open:
            with contextlib.suppress(SinkFailed):  # the next init_transactions of this slot aborts it
                self._ledger.abort(min(self._timeout, 5.0))
        for sink in {id(s): s for s in (self._ledger, self._outlet)}.values():
            sink.close()

    def _begin(self) -> None:
        if not self._open:
            self._ledger.begin()
            self._open = True
