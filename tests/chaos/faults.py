"""Which faults happen when, from a seed alone. Pure: no processes, no clock."""

import random
from dataclasses import dataclass
from typing import Literal

Kind = Literal["kill", "freeze", "leave", "roll", "broker"]
KINDS: dict[Kind, str] = {
    "kill": "kill -9 of an instance",
    "freeze": "SIGSTOP past the session timeout, then SIGCONT",
    "leave": "SIGTERM, and a start later",
    "roll": "rolling restart of all instances",
    "broker": "kill -9 of the broker",
}
EVERY = 4  # each so many-th fault hits the broker
TURN: tuple[Kind, ...] = ("kill", "freeze", "leave", "kill", "roll", "kill", "kill")  # the others, in these shares
MOST_SECONDS_DOWN = 5.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    kind: Kind
    at: float  # seconds after the load began
    lasts: float  # seconds until what was ended is started again, or what was stopped continues
    order: tuple[int, ...]  # the instances, the one that is hit first; the next where that one has a fault already


def plan(seed: int, count: int, seconds: float, instances: int, session_timeout: float) -> list[Fault]:
    """`count` faults over so many seconds, in the order of their times. The same arguments give the same faults.

    session_timeout: seconds; a frozen instance stays frozen longer.
    """
    chance = random.Random(seed)
    brokers = count // EVERY if count >= EVERY else 0
    others = [TURN[i % len(TURN)] for i in range(count - brokers)]
    chance.shuffle(others)
    faults = []
    for i in range(count):
        kind: Kind = "broker" if brokers and i % EVERY == EVERY - 1 else others.pop()
        lasts = chance.uniform(0.0, MOST_SECONDS_DOWN)
        if kind == "freeze":
            lasts = session_timeout + chance.uniform(2.0, 6.0)
        at = (i + chance.uniform(0.1, 0.9)) * seconds / count
        faults.append(Fault(kind, at, lasts, tuple(chance.sample(range(instances), instances))))
    return faults
