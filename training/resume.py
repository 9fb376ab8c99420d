"""The checkpoint of a run that goes on, on disk: safetensors with JSON in its header, never pickle. Knows no torch.

It is one file, written whole or not at all at the end of each epoch: a run that is killed loses the epoch that it was
in. (Within an epoch the state carried from window to window would belong to it too.) It says of what options and data
it was made, and serves no others.
"""

import json
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from export.file import write
from training.errors import TrainingError
from training.options import TrainOptions
from training.standing import Standing, Tensors

CHECKPOINT = "checkpoint.safetensors"
FREE = ("out", "resume", "tensorboard")  # options that change nothing of what is trained
TOLD = ("notes",)  # fields of the events that are words for the user
MEND = "give the same, or leave out --resume to start over"


@dataclass(frozen=True)
class _Saved:
    standing: Standing
    tensors: Tensors
    complete: bool  # whether all that is made of it was written


class CheckpointFile:
    """A run's checkpoint. Without `resume` what stands there is dropped."""

    def __init__(self, folder: Path, made_of: dict[str, Any], resume: bool, name: str = CHECKPOINT) -> None:
        """made_of: of `identity`."""
        self.path, self.made_of = folder / name, made_of
        for part in folder.glob(f".{name}.*.part"):
            part.unlink(missing_ok=True)
        if not resume:
            self.path.unlink(missing_ok=True)

    def load(self) -> tuple[Standing, Tensors] | None:
        """None where there is none. Raises TrainingError where it is of another run, or damaged."""
        found = self._read()
        if found is None:
            return None
        return found.standing, found.tensors

    def save(self, standing: Standing, tensors: Tensors) -> None:
        """Keep this in place of what was there."""
        self._write(_Saved(standing, tensors, complete=False))

    def finish(self) -> None:
        """All that is made of the run stands in its folder."""
        if found := self._read():
            self._write(replace(found, complete=True))

    def told(self) -> tuple[str, bool]:
        """(how far the run is, in words; whether all that is made of it was written). Raises as `load`."""
        if (found := self._read()) is None:
            return f"{self.path}: is not there; training starts from the beginning", False
        if found.standing.stopped:
            return f"{self.path.parent}: is trained already, {found.standing.epoch} epochs", found.complete
        return f"{self.path.parent}: training goes on after epoch {found.standing.epoch}", False

    def _read(self) -> "_Saved | None":
        try:
            with safetensors.safe_open(self.path, "np") as file:
                facts = json.loads(file.metadata()["facts"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            found = _Saved(Standing(**facts["standing"]), tensors, facts["complete"])
            different = differences(facts["made_of"], self.made_of)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TrainingError(f"{self.path}: cannot be read ({error.strerror}); make it readable") from None
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"{self.path}: holds no usable checkpoint ({error!r}); leave out --resume to start over"
            ) from None
        for now, before in different[:1]:
            raise TrainingError(f"{now}: the run in {self.path.parent} has {before}; {MEND}")
        return found

    def _write(self, saved: "_Saved") -> None:
        facts = {"made_of": self.made_of, "standing": asdict(saved.standing), "complete": saved.complete}
        arrays = {name: np.ascontiguousarray(array) for name, array in saved.tensors.items()}
        write(self.path, safetensors.numpy.save(arrays, {"facts": json.dumps(facts)}))


def identity(options: TrainOptions, threads: int, versions: dict[str, str], data: Iterable[Any]) -> dict[str, Any]:
    """What a run is made of, as JSON has it: two runs of the same go the same way.

    threads: of PyTorch. versions: of the packages that compute. data: dataclasses of arrays, the events and the split.
    """
    asked = {name: value for name, value in asdict(options).items() if name not in FREE} | {"threads": threads}
    made: dict[str, Any] = json.loads(
        json.dumps({"options": asked, "versions": versions, "data": [digest(part) for part in data]}, default=str)
    )
    return made


def digest(part: Any) -> dict[str, int]:
    """The CRC-32 of each field of a dataclass: the form and the bytes of arrays, the text of what else there is."""
    found = {}
    for f in fields(part):
        if f.name in TOLD:
            continue
        value = getattr(part, f.name)
        if isinstance(value, np.ndarray):
            form = zlib.crc32(f"{value.dtype} {value.shape}".encode())
            found[f.name] = zlib.crc32(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data, form)
        else:
            found[f.name] = zlib.crc32(repr(value).encode())
    return found


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
    """What is not the same: (as it is now, what it was), the data last."""
    found = []
    for section, mark in (("options", "--"), ("versions", "")):
        for name, value in new[section].items():
            if (before := old[section].get(name)) != value:
                found.append((f"{mark}{name.replace('_', '-')} {_shown(value)}", _shown(before)))
    if old["data"] != new["data"]:
        pairs = zip(old["data"], new["data"], strict=False)
        names = [name for before, after in pairs for name in after if before.get(name) != after[name]]
        found.append((f"DATA: other events than before ({', '.join(names)} differ)", "other ones"))
    return found


def _shown(value: Any) -> str:
    if value is None:
        return "(none)"
    return " ".join(map(str, value)) or "(none)" if isinstance(value, list) else str(value)
