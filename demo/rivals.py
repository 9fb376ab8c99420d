"""What the model is held against: the linear AR(24) of `training.scores.baselines`, on the demo's streams."""

import numpy as np
from numpy.typing import NDArray

from demo.weather import Events

ORDER = 24


def ar24(events: Events, until: int) -> dict[str, NDArray[np.float64]]:
    """By stream the prediction for each event, fitted on the events before `until` (milliseconds since the epoch)."""
    from training.scores.baselines import autoregression  # loads torch: not while latencies are measured

    predicted = {}
    for key, places in events.streams().items():
        trained = int((events.time[places] < until).sum())
        predicted[key] = autoregression(events.value[places], trained, range(1, ORDER + 1))
    return predicted
