"""A run's network on disk: config.json and weights.safetensors, never pickle, each written whole or not at all."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors
import safetensors.numpy

from export.config import Config, Weights
from export.file import write
from export.signature import Training
from training.errors import TrainingError

CONFIG, WEIGHTS = "config.json", "weights.safetensors"


class Checkpoint(msgspec.Struct, kw_only=True):
    """All that a model file is made of, but for the weights."""

    config: Config
    facts: dict[str, Any]  # what the signature says beside it: symbols, classes, ...
    training: Training
    metrics: dict[str, float]
    options: dict[str, Any]  # as asked for, for the reader


def save(folder: Path, checkpoint: Checkpoint, weights: Weights) -> None:
    """Write both files."""
    write(folder / WEIGHTS, safetensors.numpy.save({name: np.ascontiguousarray(w) for name, w in weights.items()}))
    write(folder / CONFIG, msgspec.json.format(msgspec.json.encode(checkpoint), indent=2))


def load(folder: Path) -> tuple[Checkpoint, Weights]:
    """Read both files. Raises TrainingError where they are missing or do not fit each other."""
    try:
        checkpoint = msgspec.json.decode((folder / CONFIG).read_bytes(), type=Checkpoint)
        weights = safetensors.numpy.load((folder / WEIGHTS).read_bytes())
        checkpoint.config.check(weights)
    except OSError as error:
        raise TrainingError(
            f"{error.filename}: cannot be read ({error.strerror}); give a folder that `statecast train --out` wrote"
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, safetensors.SafetensorError) as error:
        raise TrainingError(f"{folder}: holds no usable run ({error}); train again") from None
    return checkpoint, weights
