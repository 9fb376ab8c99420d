"""What is here now, as gauges. They are read on the thread of whoever asks for the metrics, and change nothing."""

from collections.abc import Callable
from functools import partial

from engine.step import Engine
from stream import metrics
from stream.ceiling import Ceiling
from stream.group import Group
from stream.link import Link
from stream.partitions import Phase


def show(
    group: Group, engine: Engine, ceiling: Ceiling, link: Link, ready: Callable[[], bool], idle: Callable[[], float]
) -> None:
    """From now on the gauges tell of these. ready: what /readyz says; idle: seconds since the loop came round."""
    for phase in Phase:
        metrics.PARTITIONS.labels(phase.value).set_function(partial(_count, group, phase))
    metrics.READY.set_function(ready)
    metrics.LOOP_IDLE.set_function(idle)
    metrics.BROKER_SILENT.set_function(lambda: link.silent)
    metrics.STREAMS.set_function(lambda: len(engine.slots))
    metrics.BANK_BYTES.set_function(lambda: engine.size)
    metrics.BANK_LIMIT.set(engine.limit)
    metrics.WAITING.set_function(lambda: ceiling.wanted)


def _count(group: Group, phase: Phase) -> int:
    return len(group.in_phase(phase))
