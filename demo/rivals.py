"""What the model is held against: the linear AR(24) of `training.baselines`, on the demo's streams."""

import numpy as np
from numpy.typing import NDArray

from demo.weather import Events


def ar24(events: Events, until: int) -> dict[str, NDArray[np.float64]]:
    """By stream the prediction for each event, fitted on the events before `until` (milliseconds since the epoch)."""
    raise NotImplementedError
