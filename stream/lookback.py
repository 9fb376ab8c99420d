"""The broker's part of an answer: records of the input that are read again, null records that are put into it. All of
it on one thread of its own, with handles that are made when they are first needed; whoever asks waits for so long.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from stream.broker.port import Offsets, Reader, Records, Sink
from stream.desk import STOPPING
from stream.errors import BrokerFault, SinkFailed, Unavailable
from stream.state.questions import Questions

T = TypeVar("T")

POLL = 500  # records
CALL = 5.0  # seconds that one call to the broker may take


class Broker(Protocol):
    """Makes handles to it, on the thread that asks."""

    def reader(self, topic: str) -> Reader: ...

    def offsets(self, topic: str) -> Offsets: ...

    def sink(self) -> Sink: ...


@dataclass(frozen=True, slots=True)
class Null:
    """A null record that is to be written."""

    key: bytes
    partition: int
    timestamp: int  # milliseconds


class Lookback:
    """Lookback of one process."""

    def __init__(self, broker: Broker, topic: str, questions: Questions) -> None:
        """topic: the input."""
        self._broker = broker
        self._topic = topic
        self._questions = questions
        self._reader: Reader | None = None
        self._sink: Sink | None = None
        self._offsets: Offsets | None = None
        self._waiting: set[Future[Any]] = set()
        self._closed = False

    def read(self, partition: int, start: int, stop: int, within: float) -> Records:
        """Records start..stop of a partition, those that are there. Raises BrokerFault."""
        return self._ask(
            lambda deadline: self._read(partition, start, lambda _, at: at >= stop, deadline).below(stop), within
        )

    def reset(self, nulls: list[Null], within: float) -> Mapping[int, int]:
        """Write them; partition -> the offset where its null record lies. Raises BrokerFault, SinkFailed."""
        return self._ask(lambda deadline: self._write(nulls, deadline), within)

    def close(self) -> None:
        """Let go, without waiting. Whoever waits is told so."""
        self._closed = True
        for answer in list(self._waiting):
            self._fail(answer, Unavailable(STOPPING))
        self._questions.ask(self._let_go)

    def _ask(self, call: Callable[[float], T], within: float) -> T:
        """What it gives when it is called on the other thread with its deadline. Raises Unavailable where it takes too
        long."""
        answer: Future[T] = Future()
        deadline = time.monotonic() + within

        def run() -> None:
            if self._closed or answer not in self._waiting:
                return
            try:
                told = call(deadline)
            except Exception as error:  # whoever waits raises it
                self._let_go()
                self._fail(answer, error)
            else:
                with suppress(InvalidStateError):  # it was told that the service stops
                    answer.set_result(told)

        self._waiting.add(answer)
        try:
            if self._closed:
                raise Unavailable(STOPPING)
            self._questions.ask(run)
            return answer.result(within)
        except TimeoutError:
            raise Unavailable(f"topic {self._topic}: no answer within {within:g} s; ask again later") from None
        finally:
            self._waiting.discard(answer)

    def _fail(self, answer: "Future[Any]", error: Exception) -> None:
        with suppress(InvalidStateError):
            answer.set_exception(error)

    def _read(self, partition: int, start: int, done: Callable[[Records, int], bool], deadline: float) -> Records:
        """What there is from `start` on, until it is done: that is asked of what was read last, and of the offset that
        is next. Raises Unavailable where that is not so in time."""
        self._reader = self._reader or self._broker.reader(self._topic)
        found = Records(partition, [], [], [], [])
        self._reader.add(partition, start)
        try:
            while time.monotonic() < deadline:
                for batch in self._reader.poll(POLL, min(0.1, max(0.0, deadline - time.monotonic()))):
                    if batch.partition == partition:
                        found = _joined(found, batch)
                if done(found, self._reader.position(partition) or 0):
                    return found
        finally:
            self._reader.remove(partition)
        raise Unavailable(
            f"topic {self._topic} [{partition}] cannot be read on from {start}: a transaction is open; ask again later"
        )

    def _write(self, nulls: list[Null], deadline: float) -> dict[int, int]:
        self._offsets = self._offsets or self._broker.offsets(self._topic)
        ends = self._offsets.watermarks([null.partition for null in nulls], CALL)
        self._sink = self._sink or self._broker.sink()
        for null in nulls:
            self._sink.send(self._topic, null.partition, [null.key], [None], [max(1, null.timestamp)])
        self._sink.flush(max(0.1, deadline - time.monotonic()))
        return {null.partition: self._lies(null, ends[null.partition][1], deadline) for null in nulls}

    def _lies(self, null: Null, start: int, deadline: float) -> int:
        """The offset of a null record that was just written, at or after `start`."""

        def there(records: Records) -> list[int]:
            each = zip(records.offsets, records.keys, records.values, strict=True)
            return [offset for offset, key, value in each if key == null.key and value is None]

        try:
            return there(self._read(null.partition, start, lambda found, _: bool(there(found)), deadline))[0]
        except BrokerFault as error:
            raise Unavailable(f"the null record was written and is not to be seen yet: {error}") from None

    def _let_go(self) -> None:
        handles = self._reader, self._sink, self._offsets
        self._reader = self._sink = self._offsets = None
        for handle in handles:
            if handle is not None:
                with suppress(BrokerFault, SinkFailed):
                    handle.close()


def _joined(first: Records, then: Records) -> Records:
    return Records(
        first.partition,
        first.offsets + then.offsets,
        first.timestamps + then.timestamps,
        first.keys + then.keys,
        first.values + then.values,
    )
