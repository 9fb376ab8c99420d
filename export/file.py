"""Writes model files: the signature of a network, and one atomic write of graph and signature."""

import os
from pathlib import Path
from typing import Any

from onnx import ModelProto

from export.config import LEVELS, Config
from export.signature import FORMAT, Signature, attach


def sign(config: Config, **facts: Any) -> Signature:
    """The signature of a network of this config; facts are the signature's other fields (training, symbols, ...)."""
    return Signature(
        format=FORMAT,
        task=config.task,
        features=config.features,
        targets=config.targets,
        state=config.state,
        levels=LEVELS if config.task == "number" else (),
        cell=config.cell,
        hidden=config.hidden,
        layers=config.layers,
        scaling=config.scaling,
        lags=config.lags,
        head=config.head,
        calendar=config.calendar,
        since_last=config.since_last,
        recall=config.recall,
        **facts,
    )


def save(model: ModelProto, signature: Signature, path: Path | str) -> None:
    """Write model and signature, whole or not at all; the same network gives the same bytes."""
    attach(model, signature)
    write(Path(path), model.SerializeToString(deterministic=True))


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, even where the machine fails."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
