"""The loop that reads outputs as they appear, until all have arrived or none comes any more. Knows no client."""

from collections.abc import Callable
from dataclasses import dataclass

from loadtest.latency import Arrivals
from loadtest.offer import Clock
from loadtest.port import Reader

MOST = 20_000  # records of one read
PAUSE = 0.05  # seconds that a read waits while there is nothing
TELL = 250.0  # ms between two words about the progress


@dataclass(frozen=True, slots=True)
class Goal:
    """When every output has arrived."""

    events: int  # this many have
    last: dict[int, int]  # or, per partition, that of the event at this input offset


def follow(
    reader: Reader,
    arrivals: Arrivals,
    goal: Callable[[], Goal | None],
    clock: Clock,
    *,
    timeout: float,
    progress: Callable[[int], None],
) -> bool:
    """Read until the goal is reached: True; or until, with the goal known, nothing arrived for timeout seconds: False.

    goal: gives it once it is known. progress: hears now and then how many outputs have arrived.
    """
    known: Goal | None = None
    told = last = clock.now()
    while True:
        records = reader.poll(MOST, PAUSE)
        now = clock.now()
        arrivals.take(records, round(now * 1000))
        if known is None:
            known, last = goal(), now
        if known is not None and (arrivals.count >= known.events or arrivals.reached(known.last)):
            return True
        if len(records):
            last = now
        elif known is not None and now - last > timeout * 1000:
            return False
        if now - told >= TELL:
            progress(arrivals.count)
            told = now
