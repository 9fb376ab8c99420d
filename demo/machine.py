"""What was run, on what, with what: the facts under the report."""

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from demo import weather
from demo.flow import Flowed
from demo.learn import Model
from demo.topics import PARTITIONS
from demo.workspace import Options

PACKAGES = ("statecast", "onnxruntime", "onnx", "torch", "numpy", "confluent-kafka", "kafka-python")


def facts(broker: str, model: Model, options: Options, flowed: Flowed) -> dict[str, str]:
    """Names and texts, in the order in which they are shown."""
    part = "all of it" if options.hours is None else f"its first {options.hours:,} hours"
    flow = flowed.throughput
    return {
        "data": f"{weather.source()} (CC0), {part}",
        "training": model.trained,
        "model": model.told,
        "broker": f"{broker}; {PARTITIONS} partitions",
        "service": "statecast serve, one process, exactly once, a commit at least every 0.1 s",
        "throughput": f"{flow.events:,} events as fast as one producer sends: {flow.seconds:.2f} s from the first "
        "send to the last prediction in a read_committed reader's hands",
        "latency": f"an open loop of {options.rate:,.0f} events/s; an event was sent at most {flowed.late:.0f} ms "
        "after its time, and that counts",
        "versions": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "machine": machine(),
        "date": f"{datetime.now(UTC):%-d %B %Y, %H:%M} UTC",
    }


def machine() -> str:
    """Processor, cores that this process may use, system, Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{_processor()}, {cores} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
