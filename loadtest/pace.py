"""When events are due: a schedule makes times of their numbers. Whose they are is `draws`' concern.

A pace bends time. Events of a steady rate are due at even moments; a period of them is then squeezed where there should
be more of them at once, and stretched where fewer. The number of events in a whole period stays that of the rate.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from engine.columns import Ints
from loadtest.chance import chance
from loadtest.events import Doubles

Pace = Literal["steady", "bursty", "day"]
Schedule = Callable[[Ints], Ints]  # numbers of events, from 0 -> when each is due, whole milliseconds after the start

PERIODS = {"steady": 1.0, "bursty": 10.0, "day": 60.0}  # seconds
PEAKS = {"steady": 1.0, "bursty": 5.0, "day": 1.8}  # times the rate
HIGHEST_DAY = 2.0  # a sine that is nothing at midnight is twice the mean at noon
BURST_SHARE = 0.5  # of the events of a period
POINTS = 4097  # of the day's curve; straight lines between them
PHASE = 101  # the purpose of a draw: see `chance`


def schedule(
    rate: float, pace: Pace = "steady", *, period: float | None = None, peak: float | None = None, seed: int = 0
) -> Schedule:
    """rate: events a second, on average. period: seconds from burst to burst, or the length of a day. peak: how many
    times the rate there is in a burst, or at noon. Bursts come at a random moment of each period, by seed."""
    period, peak = period or PERIODS[pace], peak or PEAKS[pace]
    bend = {"steady": None, "bursty": _bursts(peak, seed), "day": _day(peak)}[pace]

    def due(numbers: Ints) -> Ints:
        if bend is None:
            return _whole(numbers.astype(np.float64) * (1000.0 / rate))
        cycles, within = np.divmod(numbers / (rate * period), 1.0)
        return _whole((cycles + bend(cycles.astype(np.int64), within)) * (period * 1000.0))

    return due


def _whole(milliseconds: Doubles) -> Ints:
    ticks: Ints = np.floor(milliseconds).astype(np.int64)
    return ticks


Bend = Callable[[Ints, Doubles], Doubles]  # number of the period, share of its events -> share of its time


def _bursts(peak: float, seed: int) -> Bend:
    """Half of a period's events in a burst, the others evenly before and after it."""
    length = BURST_SHARE / peak  # of the period

    def bend(cycles: Ints, share: Doubles) -> Doubles:
        begin = chance(seed, PHASE, cycles) * (1.0 - length)
        quiet = (1.0 - BURST_SHARE) / (1.0 - length)  # events over time, between bursts
        before = begin * quiet
        burst = begin + (share - before) / peak
        after = begin + length + (share - before - BURST_SHARE) / quiet
        return np.where(share < before, share / quiet, np.where(share < before + BURST_SHARE, burst, after))

    return bend


def _day(peak: float) -> Bend:
    """From midnight to midnight; the rate is 1 - (peak - 1) cos(2 pi t)."""
    time = np.linspace(0.0, 1.0, POINTS)
    share = time - (peak - 1.0) * np.sin(2 * np.pi * time) / (2 * np.pi)
    return lambda _, shares: np.interp(shares, share, time)
