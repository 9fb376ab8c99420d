"""Lives of the service's loop on a Kafka in memory: what befalls them, and what a reader of their outputs must see.

The process that lives is app-a. Another one, app-b, visits: it takes partitions which the first loses or gives away,
works on them, dies or stops, and they come back. All in one thread, so that a life is the same each time.
"""

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Generic, TypeVar
from unittest import mock

import msgspec

from engine.banked import BankedModel
from engine.device import CPU
from engine.model import Model
from engine.step import Engine
from stream.assembly import Storage, assemble
from stream.broker.admin import TopicInfo
from stream.broker.port import Identity, Records
from stream.codec import Codec
from stream.errors import SinkFailed, SlotTaken, Unavailable
from stream.formats import Json
from stream.link import Access
from stream.settings import Settings
from stream.topics import Layout
from stream.worker import Worker
from tests.fragile import fragile_model
from tests.memory import Cluster, Crash, Memory, Source

T = TypeVar("T")

Options = dict[str, Any]  # sections of the settings; most: records of a partition in one poll
Event = tuple[int, int, int]  # partition, stream, kind
PLAIN, RESET, NO_EVENT, MISSING, POISON = range(5)  # kinds

SINKING = frozenset({"send", "flush", "offsets", "commit", "answer"})  # steps of a sink
STEPS = 5000  # of one life; one that takes more comes to no end
TURNS = 150  # of a visit: what it waits for may be what the visited one holds


@cache
def model_file() -> Path:
    return fragile_model(Path(mkdtemp()) / "model.onnx", hidden=4, scaling="stream", lags=(1, 2))


@cache
def model() -> Model:
    return Model(model_file())


@cache
def banked_model() -> BankedModel:
    """The same, with rows on a device; it is the processor."""
    return BankedModel(model_file(), CPU)


class Later(Generic[T]):
    """An answer that comes with some later poll; whoever looks again and again without a poll is waiting for it."""

    def __init__(self, questions: "Late", call: Callable[[], T]) -> None:
        self._questions, self._call = questions, call
        self.value: T | None = None
        self.error: Exception | None = None
        self._there = False

    @property
    def there(self) -> bool:
        self._questions.looks += 1
        if self._questions.looks > 50:
            self._questions.answer_all()
        return self._there

    def get(self) -> T:
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]

    def answer(self) -> None:
        try:
            self.value = self._call()
        except Exception as error:
            self.error = error
        self._there = True


class Late:
    """Questions that are answered one after the other, each so many polls after it was asked, or after the one before.

    What `delays` says is repeated; 0 is at once.
    """

    def __init__(self, memory: Memory, delays: Iterable[int]) -> None:
        self._memory = memory
        self._delays = itertools.cycle(list(delays) or [0])
        self._waiting: deque[Later[Any]] = deque()
        self._left = 0  # polls until the next answer
        self.looks = 0  # since the last poll
        memory.time_passes = self._time_passes

    def ask(self, call: Callable[[], T]) -> Later[T]:
        answer = Later(self, call)
        self._waiting.append(answer)
        if len(self._waiting) == 1:
            self._next()
        return answer

    def answer_all(self) -> None:
        while self._waiting:
            self._answer()

    def _next(self) -> None:
        while self._waiting and not (delay := next(self._delays)):
            self._answer()
        self._left = delay if self._waiting else 0

    def _answer(self) -> None:
        self._memory.on_another_thread = True
        try:
            self._waiting.popleft().answer()
        finally:
            self._memory.on_another_thread = False

    def _time_passes(self) -> None:
        self.looks = 0
        if self._waiting:
            self._left -= 1
            if self._left <= 0:
                self._answer()
                self._next()


@dataclass
class Quiet:
    """Topics and a group that stay as they are."""

    layout: Layout

    def topic(self, name: str) -> TopicInfo:
        return self.layout.input if name == "in" else self.layout.changelog

    def unowned(self, *_: Any) -> set[int]:
        return set()


@dataclass(frozen=True)
class Visit:
    """The other process takes some of this one's partitions, and gives them back."""

    what: str  # revoked: they are asked for; lost: this process was thrown out of the group, and hears of it later
    share: int  # how many of the partitions it takes
    heard: int  # polls until this process hears that they are gone
    back: int  # polls until they come back
    turns: int  # of the other process before it stops; it also stops at the input's end
    faults: tuple[tuple[int, str], ...] = ()  # of the other process


When = int | tuple[str, int]  # the n-th step of a life; or the n-th of those that have this name


@dataclass
class Life:
    """How one process lives: what it is told, and what happens to it."""

    faults: Mapping[Any, Any] = field(default_factory=dict)  # When -> a name, a Visit, a call, or several
    delays: tuple[int, ...] = ()  # of the answers to its questions, polls
    tells_generations: bool = False  # whether its client does
    steps: int = 0
    counts: Counter[str] = field(default_factory=Counter)  # of steps, by name
    visit: Callable[[Visit, list[int]], None] = lambda *_: None
    memory: Memory | None = None  # once it lives

    def fault(self, memory: Memory, name: str) -> None:
        self.steps += 1
        self.counts[name] += 1
        assert self.steps < STEPS, "this life comes to no end"
        for when in (self.steps, (name, self.counts[name])):
            if when in self.faults:
                self._happen(self.faults[when], memory, name)

    def _happen(self, what: Any, memory: Memory, name: str) -> None:
        source = memory.the_source
        here = sorted(source.at) if source is not None else []
        sinking, looping = name in SINKING, not memory.on_another_thread
        if isinstance(what, tuple):
            for one in what:
                self._happen(one, memory, name)
        elif callable(what):
            what(memory)
        elif what == "crash":
            raise Crash
        elif what == "fail" and sinking:
            raise SinkFailed(f"the broker fell over at {name}")
        elif what == "away" and not sinking:
            raise Unavailable(f"no broker at {name}")
        elif what == "fenced":
            memory.cluster.fence(memory.slot)
        elif what == "compact":
            memory.cluster.compact("state")
        elif what == "taken" and name == "poll" and looping:
            memory.cluster.expel(memory.slot)
            raise SlotTaken("the consumer was fenced")
        elif source is not None and here and looping:
            self._rebalance(what, source, here, in_poll=name == "poll")

    def _rebalance(self, what: Any, source: Source, here: list[int], in_poll: bool) -> None:
        if isinstance(what, Visit):
            some = here[: what.share]
            if what.what == "revoked":
                source.rebalance("revoked", some, wait=what.heard, then=lambda gone: self.visit(what, gone))
            else:
                source.expelled(heard=what.heard)
                self.visit(what, some)
            source.rebalance("assigned", here, wait=what.back)
        elif what in ("revoked", "lost") and in_poll:
            some = here[: max(1, len(here) // 2)]
            source.rebalance(what, some)
            source.rebalance("assigned", some)
        elif what == "both" and in_poll and len(here) > 1:
            source.rebalance("lost", here[:1])
            source.rebalance("revoked", here[1:2])
            source.rebalance("assigned", here[:2])


def ticking() -> Callable[[], float]:
    """A clock of its own, on which each look takes 10 ms."""
    ticks = itertools.count()
    return lambda: next(ticks) * 0.01


def worker(
    memory: Memory,
    options: Options,
    engine: Engine | None = None,
    storage: Storage | None = None,
    delays: Iterable[int] = (),
    stopping: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] | None = None,
) -> Worker:
    sections: dict[str, Any] = {"kafka": {"input_topic": "in", "output_topic": "out"}, "delivery": {"until_end": True}}
    for section, values in options.items():
        sections[section] = {**sections.get(section, {}), **values}
    told = Settings(**sections)
    layout = Layout(
        TopicInfo("in", memory.partitions, 1, "id", {}),
        TopicInfo("state", memory.partitions, 1, "id2", {"delete.retention.ms": "86400000"}),
        1_000_000,
    )
    access = Access(
        memory, Identity("", "app", memory.slot, {}), "in", "state", 1 << 18, 1 << 20, 1 << 28,
        exactly_once=told.delivery.delivery == "exactly_once", session_timeout=10, broker_timeout=1e9,
    )  # fmt: skip
    return assemble(
        told, access, layout, engine or Engine(model(), 64), storage, Quiet(layout),
        stopping=stopping, clock=clock or ticking(), questions=Late(memory, delays),  # type: ignore[arg-type]
    )  # fmt: skip


def live(cluster: Cluster, partitions: int, life: Life, options: Options, **more: Any) -> bool:
    """One process from its start to its end. Whether it ended by itself."""
    options = dict(options)
    most: Any = options.pop("most", 7)
    life.memory = memory = Memory(cluster, partitions)
    life.visit = lambda visit, some: _visit(Memory(cluster, partitions, slot="app-b"), visit, some, options, most)
    memory.fault = lambda name: life.fault(memory, name)
    memory.most, memory.tells_generations = most, life.tells_generations
    return _run(memory, options, delays=life.delays, **more)


def _visit(memory: Memory, visit: Visit, some: list[int], options: Options, most: int) -> None:
    """The other process works on these partitions, from its start to its end."""
    life = Life(dict(visit.faults))
    memory.share, memory.most = some, most
    memory.fault = lambda name: life.fault(memory, name)
    turns = itertools.count()
    _run(memory, options, stopping=lambda: next(turns) >= min(visit.turns, TURNS))


def _run(memory: Memory, options: Options, **more: Any) -> bool:
    # Nothing here waits for time to pass.
    with mock.patch("stream.link.time"), mock.patch("stream.mending.FENCE_LOOK", 0.1):
        try:
            worker(memory, options, **more).run()
        except (Crash, SlotTaken):
            return False
    return True


def told(cluster: Cluster, partition: int) -> list[tuple[int, bytes]]:
    """(input offset, prediction) that a read_committed reader finds."""
    return [(msgspec.json.decode(e.value or b"")["offset"], e.value or b"") for e in cluster.seen("out", partition)]


def letters(cluster: Cluster, partition: int) -> list[int]:
    """Timestamps of the dead letters that a read_committed reader finds."""
    return [e.timestamp for e in cluster.seen("out.dead-letters", partition)]


def expected(cluster: Cluster, partition: int, ttl: int | None = None) -> list[tuple[int, bytes]]:
    """What `told` must give."""
    return alone(cluster, partition, ttl)[0]


def alone(
    cluster: Cluster, partition: int, ttl: int | None, poison: str = "skip"
) -> tuple[list[tuple[int, bytes]], list[int]]:
    """What `told` and `letters` must give, by the engine alone, one event at a time.

    It knows no poison policy: what is refused becomes a reset here, and frozen streams stand in a set.
    """
    codec = Codec(Json(), model().signature, model().fingerprint, max_key_bytes=4096, max_value_bytes=1000)
    engine = Engine(model(), 64)
    found = list[tuple[int, bytes]]()
    refused, frozen = [], set[bytes | None]()

    def step(offset: int, entry: Any, value: bytes | None) -> bool:
        """Whether the event was taken."""
        decoded = codec.decode([Records(partition, [offset], [entry.timestamp], [entry.key], [value])])
        outcome = engine.step(decoded.columns, ttl)
        engine.keep()
        found.extend((offset, text) for text in codec.encode(decoded.columns, outcome, 0, len(decoded.columns))[1])
        return not decoded.rejected and not outcome.refused

    for offset, entry in enumerate(cluster.logs["in", partition]):
        if entry.state == "committed":
            if entry.value is None:
                frozen.discard(entry.key)
            if entry.key in frozen or not step(offset, entry, entry.value):
                refused.append(max(entry.timestamp, 1))
                if poison != "skip":
                    step(offset, entry, None)
                if poison == "freeze":
                    frozen.add(entry.key)
    return found, refused


def correct(cluster: Cluster, partitions: int) -> None:
    """Every event once, as one run would have it, and nobody meddled with what was not his."""
    assert cluster.misdeeds == []
    for partition in range(partitions):
        seen, wanted = told(cluster, partition), expected(cluster, partition)
        assert [offset for offset, _ in seen] == [offset for offset, _ in wanted]
        assert seen == wanted


def replay(cluster: Cluster, partition: int) -> int:
    """Where a restore would begin to step, by the changelog's last marker."""
    marker = [e for e in cluster.seen("state", partition) if e.key == b"m"][-1]
    return int(msgspec.json.decode(marker.value or b"")["replay"])


def same(cluster: Cluster) -> Cluster:
    """Another cluster with the same records and offsets."""
    again = Cluster()
    again.logs.update({place: [replace(entry) for entry in log] for place, log in cluster.logs.items()})
    again.committed.update(cluster.committed)
    return again


def filled(partitions: int, events: list[Event]) -> Cluster:
    """A cluster with these events."""
    cluster = Cluster()
    fill(cluster, partitions, events)
    return cluster


def fill(cluster: Cluster, partitions: int, events: list[Event]) -> None:
    first = sum(len(log) for (topic, _), log in cluster.logs.items() if topic == "in")
    for i, (partition, stream, kind) in enumerate(events, first):
        values: dict[int, bytes | None] = {
            RESET: None,
            NO_EVENT: b"no event",
            MISSING: b'{"value": null}',
            POISON: b'{"value": -5000}',
        }
        value = values.get(kind, b'{"value": %d}' % (i * 37 % 101))
        cluster.produce("in", partition % partitions, b"stream-%d" % stream, value, 1000 * i)


def numbers(count: int) -> Iterator[Event]:
    for i in range(count):
        yield i % 2, i % 5, RESET if i % 23 == 22 else PLAIN
