"""What was run, on what, with what: it goes with the figures, so that two runs can be told apart."""

import importlib.metadata
import os
import platform
import shlex
import sys
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import psutil

from loadtest.options import LoadOptions

PACKAGES = ("statecast", "confluent-kafka", "kafka-python", "onnxruntime", "numpy", "hdrhistogram")


def facts(options: LoadOptions) -> dict[str, object]:
    """The command, the options that are not the defaults, versions, machine, date."""
    chosen = {f.name: getattr(options, f.name) for f in fields(options)}
    defaults = {f.name: f.default for f in fields(options)}
    return {
        "command": shlex.join([Path(sys.argv[0]).stem, *sys.argv[1:]]),
        "options": {name: _plain(value) for name, value in chosen.items() if value != defaults[name]},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "machine": machine(),
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def machine() -> str:
    """Processor, cores that this process may use, memory, system."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{processor()}, {cores()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def cores() -> int | None:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def processor() -> str:
    """Its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def version(package: str) -> str:
    """Of an installed package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
