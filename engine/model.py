"""A model file that the engine can run, and the session that runs one rectangle of whole rows on the processor.

Knows the graph and the signature, nothing of slots or streams.
"""

import sys
from abc import ABC, abstractmethod
from math import prod
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import ModelProto

from engine.bank import Bank
from engine.columns import Floats
from engine.graphs import ROWS, ROWS_NEXT, with_rows
from engine.host import HostBank
from export.signature import ModelFileError, fingerprint, load

MOST_STEPS = 2**14  # of one stream in one call: what a graph carries over time is exact that far, and beyond
MOST_PREDICTED = 2**24  # probabilities or quantiles of one batch, 64 MiB: a vocabulary may have thousands
RECALLED = 16  # numbers that a step takes for each symbol that a stream keeps


class Network(ABC):
    """One model file, ready to run on the rows of its banks.

    Raises ModelFileError where the file is not a model, or onnxruntime cannot run it.
    """

    provider: str  # where it runs
    most_streams = sys.maxsize  # that a bank can have

    def __init__(self, path: Path | str) -> None:
        self.proto, self.signature = load(path)  # kept: a forecast is made by another session
        self.fingerprint = fingerprint(self.proto)
        self.row_width = self.signature.row_width
        self.columns = self.signature.columns
        most = MOST_PREDICTED // max(prod(self.signature.output_shape), RECALLED * self.signature.recall)
        self.most_events = max(1, min(MOST_STEPS, most))  # of a batch
        try:
            self._open(self.proto)
        except Exception as error:  # onnxruntime's errors have no common base but Exception
            if hasattr(error, "exit_code"):  # told to the user as it is
                raise
            reason = str(error).splitlines()[0]
            raise ModelFileError(f"model {path}: onnxruntime cannot run it ({reason}); export it again") from None

    @abstractmethod
    def _open(self, proto: ModelProto) -> None:
        """Make the sessions, and try them."""

    @abstractmethod
    def bank(self, capacity: int) -> Bank:
        """An empty bank whose rows this network steps. Raises MemoryError where it cannot be reserved."""


class Model(Network):
    """It runs on the processor, on rows in this process's memory."""

    provider = "cpu"

    def _open(self, proto: ModelProto) -> None:
        graph = with_rows(proto, self.signature)
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), single_thread(), ["CPUExecutionProvider"]
        )
        self._outputs = (ROWS_NEXT, self.signature.output, "surprise")
        nothing = np.zeros((1, 1, self.columns), np.float32)
        self.step(np.zeros((1, self.row_width), np.float32), nothing, nothing)

    def bank(self, capacity: int) -> HostBank:
        return HostBank(capacity, self.row_width, self.step)

    def step(self, rows: Floats, x: Floats, mask: Floats) -> tuple[Floats, Floats, Floats]:
        """Run T events of each of B streams.

        rows [batch, width], x and mask [time, batch, columns] ->
        next rows [batch, width], what is predicted [time, batch, *output_shape], surprise [time, batch, targets].
        """
        next_rows, predicted, surprise = self._session.run(self._outputs, {ROWS: rows, "x": x, "mask": mask})
        return next_rows, predicted, surprise


def single_thread() -> onnxruntime.SessionOptions:
    """Options of every session here: one thread for a process."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options
