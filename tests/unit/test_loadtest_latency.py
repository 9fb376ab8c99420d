"""The schedule, and what latencies mean: from the intended time, whoever was slow."""

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from loadtest.events import Batch
from loadtest.follow import Goal, follow
from loadtest.latency import Arrivals, figures_ms
from loadtest.offer import Offered, chunk_size, offer
from loadtest.pace import schedule
from loadtest.port import Records


class Hands:
    """A clock that only moves when told, or when somebody waits."""

    def __init__(self, at: float = 1_000_000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def wait(self, until: float) -> None:
        self.at = max(self.at, until)


class Sent:
    """A writer that keeps when each record was sent, and with which timestamp; a send may take its time."""

    def __init__(self, clock: Hands, stall: Callable[[int], float] = lambda _: 0.0) -> None:
        self.clock, self.stall = clock, stall
        self.moments: list[float] = []
        self.timestamps: list[int] = []

    def send(
        self,
        topic: str,  # noqa: ARG002
        partitions: Sequence[int],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
    ) -> None:
        assert len(partitions) == len(keys) == len(values) == len(timestamps)
        self.timestamps += timestamps
        self.moments += [self.clock.now()] * len(timestamps)
        self.clock.at += self.stall(len(self.timestamps))

    def flush(self, timeout: float) -> None:
        pass


def batches(size: int, number: int) -> list[Batch]:
    return [Batch([0] * size, [b"k"] * size, [b"{}"] * size)] * number


def offered(writer: Sent, clock: Hands, size: int, number: int, rate: float = 0.0, **options: float) -> Offered:
    due = schedule(rate) if rate else None
    return offer(batches(size, number), writer, "t", schedule=due, clock=clock, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("rate", "size"), [(250.0, 10), (3000.0, 30), (40_000.0, 400), (700.0, 7)])
def test_events_are_sent_on_the_ticks_of_the_schedule(rate: float, size: int) -> None:
    clock = Hands()
    writer = Sent(clock)

    result = offered(writer, clock, size, 10, rate=rate)

    assert result.events == len(writer.moments) == size * 10
    assert writer.timestamps == (result.started + schedule(rate)(np.arange(size * 10))).tolist()
    assert writer.moments == writer.timestamps, "each at its time, none before"
    assert result.late == 0
    assert schedule(rate)(np.array([9999])) == pytest.approx(9999 / rate * 1000, abs=1)


def test_a_sender_that_was_held_up_keeps_the_schedule_and_says_so() -> None:
    clock = Hands()
    writer = Sent(clock, stall=lambda sent: 500.0 if sent == 100 else 0.0)

    result = offered(writer, clock, 10, 100, rate=1000.0)

    assert writer.timestamps == (result.started + np.arange(1000)).tolist(), "the intended times do not move"
    assert max(np.array(writer.moments) - writer.timestamps) == result.late == 499
    assert writer.moments[-1] == writer.timestamps[-1], "it has caught up"


@pytest.mark.parametrize(
    ("options", "events"),
    [
        ({"events": 37}, 37),
        ({"events": 37, "rate": 1000.0}, 37),
        ({"rate": 1000.0, "seconds": 0.25}, 250),
        ({"rate": 1000.0, "seconds": 0.25, "events": 100}, 100),
        ({"seconds": 0.25}, 260),
        ({"events": 0}, 0),
        ({}, 1000),
    ],
)
def test_events_and_seconds_bound_the_load(options: dict[str, float], events: int) -> None:
    clock = Hands()
    writer = Sent(clock, stall=lambda _: 0.0 if "rate" in options else 10.0)

    result = offered(writer, clock, 10, 100, **options)

    assert result.events == len(writer.timestamps) == events


def test_few_events_are_made_ahead() -> None:
    assert [chunk_size(rate) for rate in (0, 10, 20_000, 10_000_000)] == [8192, 1, 200, 8192]


def outputs(events: Sequence[tuple[int, int, int]]) -> Records:
    """(partition, offset, timestamp) of each."""
    partitions, offsets, timestamps = (list(column) for column in zip(*events, strict=True)) if events else ([],) * 3
    values: list[bytes | None] = [json.dumps({"offset": offset, "step": 1}).encode() for offset in offsets]
    return Records(partitions, offsets, timestamps, [b"k"] * len(values), values)


def test_a_latency_runs_from_the_intended_time_to_the_read() -> None:
    arrivals = Arrivals({0: 0})

    arrivals.take(outputs([(0, 0, 1000), (0, 1, 1000), (0, 2, 1003)]), 1_005_500)

    assert figures_ms(arrivals.histogram) == {
        name: pytest.approx(value, rel=1e-3)
        for name, value in {"p50": 5.5, "p90": 5.5, "p99": 5.5, "p999": 5.5, "max": 5.5}.items()
    }
    assert arrivals.histogram.get_value_at_percentile(33) == pytest.approx(2500, rel=1e-3)


def test_old_outputs_copies_and_rubbish_are_not_counted() -> None:
    arrivals = Arrivals({0: 5, 1: 0})

    arrivals.take(outputs([(0, 4, 1), (0, 5, 1), (1, 0, 1), (0, 5, 1), (0, 6, 1)]), 2000)
    arrivals.take(outputs([(0, 6, 1), (1, 0, 1)]), 3000)
    arrivals.take(Records([0, 0], [9, 10], [1, 1], [b"k", None], [b"rubbish", None]), 4000)

    assert (arrivals.count, arrivals.first_us, arrivals.last_us) == (3, 2000, 2000)
    assert arrivals.reached({0: 6, 1: 0})
    assert not arrivals.reached({0: 7, 1: 0})


class Service:
    """Gives the output of event i (intended at i ms after the start) `delay(i)` ms later; a poll takes 1 ms or more."""

    def __init__(self, clock: Hands, events: int, delay: Callable[[int], float]) -> None:
        self.clock, self.start, self.given = clock, clock.at, 0
        # A stream's outputs come in order, so each waits for those before it.
        self.ready = np.maximum.accumulate([clock.at + i + delay(i) for i in range(events)])

    def assign(self, positions: Mapping[int, int]) -> None:
        pass

    def poll(self, max_records: int, timeout: float) -> Records:  # noqa: ARG002
        self.clock.at += 1
        if self.given < len(self.ready) and self.ready[self.given] > self.clock.at:
            self.clock.at = min(float(self.ready[self.given]), self.clock.at + timeout * 1000)
        until = int(np.searchsorted(self.ready, self.clock.at, side="right"))
        due, self.given = range(self.given, until), until
        return outputs([(0, i, int(self.start) + i) for i in due])

    def position(self, partition: int) -> int:  # noqa: ARG002
        return self.given

    def close(self) -> None:
        pass


def followed(service: Service, events: int, **options: float) -> tuple[Arrivals, bool]:
    arrivals, goal = Arrivals({0: 0}), Goal(events, {0: events - 1})
    options.setdefault("timeout", 60.0)
    done = follow(service, arrivals, lambda: goal, service.clock, progress=lambda _: None, **options)
    return arrivals, done


def test_a_stall_is_charged_to_every_event_that_was_due_meanwhile() -> None:
    """One event a millisecond, and the service stands still for 1 s in the middle of 4 s. A figure that only counted
    the event it stalled on would call this a p99 of 2 ms."""
    clock = Hands()

    arrivals, done = followed(Service(clock, 4000, lambda i: 1000.0 if i == 2000 else 1.0), 4000)

    assert done
    assert arrivals.count == 4000
    figures = figures_ms(arrivals.histogram)
    assert figures["p50"] < 4
    assert figures["max"] == pytest.approx(1000, abs=5)
    assert figures["p90"] == pytest.approx(600, abs=10), "a quarter was late, evenly by 0 to 1000 ms"
    assert figures["p99"] == pytest.approx(960, abs=10)


def test_a_follower_that_stalled_itself_is_charged_too() -> None:
    clock = Hands()
    service = Service(clock, 1000, lambda _: 1.0)
    clock.at += 2000  # everything is there long before the first read

    arrivals, _ = followed(service, 1000)

    figures = figures_ms(arrivals.histogram)
    assert figures["max"] == pytest.approx(2001, abs=3)
    assert figures["p50"] == pytest.approx(1501, abs=5)


def test_following_ends_when_nothing_comes_any_more() -> None:
    clock = Hands()
    began = clock.at

    arrivals, done = followed(Service(clock, 10, lambda _: 1.0), 11, timeout=3.0)

    assert not done
    assert arrivals.count == 10
    assert 3000 < clock.at - began < 3300


def test_following_ends_at_the_last_offset_though_some_outputs_are_lost() -> None:
    service = Service(Hands(), 10, lambda _: 1.0)
    arrivals = Arrivals({0: 0})

    goal = Goal(12, {0: 9})

    assert follow(service, arrivals, lambda: goal, service.clock, timeout=9.0, progress=lambda _: None)
