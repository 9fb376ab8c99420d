"""An image at work without an engine: buildah makes the container, and this runs processes in it. Needs root.

It knows an image only from outside: its configuration, its files, and what it does.
"""

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

BUILDAH = shlex.split(os.environ.get("BUILDAH", "buildah --storage-driver vfs"))
USER = 10001

# In mounts of its own, which end with the process: the root cannot be written to, and /tmp is new.
_READ_ONLY = """
set -e
mount --bind "$1" "$1"
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/tmp"
mount --bind "$2" "$1/model"
mount -o remount,bind,ro "$1"
root=$1 user=$3
shift 3
exec chroot --userspec="$user" "$root" env -i -C /tmp "$@"
"""


def buildah(*arguments: str) -> str:
    done = subprocess.run([*BUILDAH, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


class Container:
    """A working container of an image; each `start` runs a process in it as the image's user, on the host's network."""

    def __init__(self, image: str, model: Path) -> None:
        """model: a file in a folder of its own, to be found as /model/model.onnx."""
        self.id = buildah("from", "--pull=never", image)
        self.model = model
        self.config: dict[str, Any] = json.loads(buildah("inspect", self.id))["Docker"]["config"]
        self.root = Path(buildah("mount", self.id))

    @property
    def command(self) -> list[str]:
        return [*self.config["Entrypoint"], *self.config["Cmd"]]

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        settings = [f"--env={name}={value}" for name, value in environment.items()]
        volume = f"--volume={self.model.parent}:/model:ro"
        return subprocess.Popen([*BUILDAH, "run", "--isolation=chroot", volume, *settings, self.id, "--", *command])

    def run(self, *command: str, **environment: str) -> int:
        return self.start(*command, **environment).wait(timeout=300)

    def said(self, *command: str, **environment: str) -> tuple[int, str]:
        """Exit code, and what it printed, of a process whose root file system is read-only."""
        settings = [*self.config["Env"], *(f"{name}={value}" for name, value in environment.items())]
        (self.root / "model").mkdir(exist_ok=True)
        places = [str(self.root), str(self.model.parent), f"{USER}:{USER}"]
        done = subprocess.run(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", _READ_ONLY, "sh", *places, *settings, *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout


@contextlib.contextmanager
def container(image: str, model: Path) -> Iterator[Container]:
    made = Container(image, model)
    try:
        yield made
    finally:
        buildah("rm", made.id)


def size(image: str) -> float:
    """Bytes."""
    images = json.loads(buildah("images", "--json"))
    number, unit = next(each["size"] for each in images if f"{image}:latest" in each["names"]).split()
    return float(number) * {"KB": 1e3, "MB": 1e6, "GB": 1e9}[unit]


def told(what: str, holds: bool, seen: object = "") -> None:
    """A line for each thing that was looked at; the first that does not hold is the last."""
    print(f"{'ok  ' if holds else 'FAIL'} {what} {seen}".rstrip(), flush=True)
    if not holds:
        sys.exit(1)


def innermost(pid: int) -> psutil.Process:
    """The last of the processes that buildah puts around it: those would take a signal as their own end."""
    while children := psutil.Process(pid).children():
        pid = children[-1].pid
    return psutil.Process(pid)
