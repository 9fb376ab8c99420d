"""Random numbers by an event's number: the same for an event in whatever batch or process it is made."""

import numpy as np

from engine.columns import Ints
from loadtest.events import Doubles

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))


def chance(seed: int, purpose: int, numbers: Ints) -> Doubles:
    """For each number a draw from 0 to 1; draws of another seed or purpose have nothing to do with it.

    SplitMix64 (Steele, Lea and Flood 2014), whose n-th number needs none of those before it.
    """
    (begin,) = np.random.SeedSequence([seed, purpose]).generate_state(1, np.uint64)
    state = begin + numbers.astype(np.uint64) * GOLDEN
    for shift, factor in MIX:
        state = (state ^ (state >> shift)) * factor
    state ^= state >> np.uint64(31)
    draws: Doubles = (state >> np.uint64(11)) * 2.0**-53
    return draws
