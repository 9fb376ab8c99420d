"""From arrays to what metrics.json can hold: JSON has no NaN. Knows nothing of what is scored."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def plain(value: float | np.floating[Any]) -> float | None:
    """A finite number, or None."""
    return float(value) if np.isfinite(value) else None


def mean(values: NDArray[Any]) -> float:
    """NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")
