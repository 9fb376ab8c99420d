"""Where the banked graph runs: memory there, and what onnxruntime runs on it. Knows nothing of streams or models.

The processor is one of these devices, so that what the graphs do can be tried where there is no GPU. What is CUDA's own
stands here, and nowhere else.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto

from engine.graphs import BANK, BANK_NEXT, zeros
from engine.model import single_thread

MOST_FLOATS = 2**31 - 1  # of one tensor: CUDA's Gather counts them in 32 bits


class DeviceFault(Exception):
    """There is no such device here, or it failed; the message is one line that names the mend."""

    exit_code = 1


@dataclass(frozen=True)
class Device:
    """A place for tensors, and the provider that runs graphs there."""

    name: str  # in --provider
    kind: str  # in onnxruntime's words
    providers: Sequence[Any]  # its own first, then what runs the rest
    found: str = ""  # what was said when it was looked for

    def session(self, graph: ModelProto) -> Any:
        """A session there. Raises DeviceFault where onnxruntime would run it elsewhere, which it does in silence."""
        session = onnxruntime.InferenceSession(graph.SerializeToString(), single_thread(), [*self.providers])
        if len(session.get_providers()) < len(self.providers):
            raise DeviceFault(
                f"--provider {self.name}: onnxruntime-gpu finds no {self.name} device, or not all libraries for it"
                f"{self.found}; look at nvidia-smi, pip install 'onnxruntime-gpu[cuda,cudnn]', or give --provider cpu"
            )
        return session

    def reserve(self, like: ModelProto, capacity: int, width: int) -> Any:
        """A tensor [capacity, width] of zeros there. Raises MemoryError where there is no room for it."""
        if self.kind == "cpu":  # zeroed pages cost nothing until they are touched
            return onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros((capacity, width), np.float32))
        # Through a session, whose options say that no more is taken than was asked for.
        session = self.session(zeros(like))
        binding = session.io_binding()
        binding.bind_cpu_input("shape", np.array([capacity, width], np.int64))
        binding.bind_output(BANK, self.kind)
        try:
            session.run_with_iobinding(binding)
        except Exception as error:  # onnxruntime's errors have no common base but Exception
            raise MemoryError(str(error)) from None
        return binding.get_outputs()[0]


class Program:
    """A graph over a bank on a device. Nothing of the bank's size is copied: input and output are the same memory."""

    def __init__(self, device: Device, graph: ModelProto, kept: Sequence[str] = (), told: Sequence[str] = ()) -> None:
        """kept: outputs that stay on the device; told: outputs that come from there."""
        self._device, self._kept, self._told = device, kept, told
        self._writes = any(output.name == BANK_NEXT for output in graph.graph.output)
        self._session = device.session(graph)

    def run(self, bank: Any, given: Mapping[str, Any]) -> list[Any]:
        """Gives new tensors, those of `kept`, then arrays, those of `told`. given: inputs, arrays or such tensors."""
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(BANK, bank)
        for name, value in given.items():
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(name, value)
            else:
                binding.bind_ortvalue_input(name, value)
        for name in self._kept:
            binding.bind_output(name, self._device.kind)
        for name in self._told:
            binding.bind_output(name, "cpu")
        if self._writes:
            binding.bind_ortvalue_output(BANK_NEXT, bank)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # onnxruntime's errors have no common base but Exception
            raise DeviceFault(
                f"--provider {self._device.name}: the device failed ({str(error).splitlines()[0]}); start again, with "
                "a lower --batch or --memory-limit where its memory is full; nothing is lost: events from the last "
                "commit on are processed again"
            ) from None
        outputs, kept = binding.get_outputs(), len(self._kept)
        return [*outputs[:kept], *(value.numpy() for value in outputs[kept : kept + len(self._told)])]


CPU = Device("cpu-banked", "cpu", ["CPUExecutionProvider"])


def cuda() -> Device:
    """The first GPU; CUDA_VISIBLE_DEVICES says which that is. Raises DeviceFault where the package cannot use any."""
    provider = "CUDAExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise DeviceFault(
            "--provider cuda: the installed package onnxruntime has no CUDA; pip uninstall -y onnxruntime, then "
            f"pip install 'onnxruntime-gpu[cuda,cudnn]=={onnxruntime.__version__}' (in this order: they share their "
            "files), or give --provider cpu"
        )
    onnxruntime.set_default_logger_severity(4)  # what is wrong with the device is told in one line
    with contextlib.redirect_stdout(io.StringIO()) as said:
        onnxruntime.preload_dlls()  # those that pip installed
    lacking = said.getvalue().splitlines()
    options = {"arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}  # ten bits of a product are not enough
    providers = [(provider, options), "CPUExecutionProvider"]
    return Device("cuda", "cuda", providers, f" ({lacking[0]})" if lacking else "")
