"""What was run, on what, with what: the facts under the report."""

import platform
from datetime import UTC, datetime

from demo import weather
from demo.flow import Flowed
from demo.learn import Model
from demo.topics import PARTITIONS
from demo.workspace import Options
from loadtest.facts import cores, processor, version

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
        "versions": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "machine": machine(),
        "date": f"{datetime.now(UTC):%-d %B %Y, %H:%M} UTC",
    }


def machine() -> str:
    """Processor, cores that this process may use, system, Python."""
    return (
        f"{processor()}, {cores()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )
