"""Every metric, declared once: name, type, unit, labels, help. docs/operations.md has the same as a table.

Labels stay bounded: each value is one of few that are known beforehand, or names this very process or a partition
that it has; never a stream's key. Those known beforehand stand at 0 from the start, so that the first of a kind is seen
as a rise.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

# Of every counter and histogram it would make a second series, which says when the first began.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
WORKERS = CollectorRegistry()  # of the parent of several workers, whose own metrics are in REGISTRY


@dataclass(frozen=True)
class Label:
    """values: all that it may have; none where they name this process, or its partitions."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declared:
    """A metric as Prometheus shows it."""

    name: str
    type: str
    unit: str
    labels: tuple[Label, ...]
    help: str


DECLARED: list[Declared] = []
M = TypeVar("M", Counter, Gauge, Histogram)


def _declared(metric: M, unit: str, labels: tuple[Label, ...]) -> M:
    (family,) = metric.describe()
    name = f"{family.name}_total" if family.type == "counter" else family.name
    DECLARED.append(Declared(name, family.type, unit, labels, family.documentation))
    if labels and all(label.values for label in labels):
        for values in product(*(label.values for label in labels)):
            metric.labels(*values)
    return metric


def _counter(name: str, unit: str, help: str, *labels: Label, registry: CollectorRegistry = REGISTRY) -> Counter:
    return _declared(Counter(name, help, [label.name for label in labels], registry=registry), unit, labels)


def _gauge(name: str, unit: str, help: str, *labels: Label) -> Gauge:
    return _declared(Gauge(name, help, [label.name for label in labels], registry=REGISTRY), unit, labels)


def _histogram(name: str, unit: str, help: str, buckets: Sequence[float]) -> Histogram:
    return _declared(Histogram(name, help, buckets=buckets, registry=REGISTRY), unit, ())


CODES = (
    "not_json", "not_msgpack", "not_decodable", "wrong_field", "not_finite", "bad_time", "no_key", "key_too_long",
    "value_too_long", "not_steppable", "stream_frozen",
)  # fmt: skip
PHASES = ("loading", "origin", "restoring", "settling", "live", "halted")

EVENTS = _counter("statecast_events_total", "events", "Input events that were stepped and committed.")
PREDICTIONS = _counter("statecast_predictions_total", "predictions", "Predictions published and committed.")
DEAD_LETTERS = _counter(
    "statecast_dead_letters_total", "events", "Events that could not be stepped, by why.", Label("code", CODES)
)
EVENT_LATENCY = _histogram(
    "statecast_event_latency_seconds",
    "seconds",
    "From an input record's timestamp to the commit that makes its prediction visible; the oldest of each batch.",
    (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
STEP = _histogram(
    "statecast_step_seconds",
    "seconds",
    "Time to step one batch.",
    (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
)
BATCH = _histogram(
    "statecast_batch_events",
    "events",
    "Events taken at a time.",
    (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000),
)
COMMIT = _histogram(
    "statecast_commit_seconds",
    "seconds",
    "Time that the loop spends in a commit.",
    (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15),
)
TRANSACTIONS = _counter(
    "statecast_transactions_total",
    "transactions",
    "Transactions by how they ended: lost ones cost the producer, and may have taken place after all.",
    Label("outcome", ("committed", "aborted", "lost")),
)
CHECKPOINT_LAG = _gauge(
    "statecast_checkpoint_lag_events",
    "events",
    "Offsets that a restore would have to look at: from the replay offset to the position, over all partitions.",
)
LAG = _gauge(
    "statecast_consumer_lag_events", "events", "Events of a partition that wait to be predicted.", Label("partition")
)
PARTITIONS = _gauge(
    "statecast_partitions", "partitions", "Partitions assigned here, by what they are at.", Label("phase", PHASES)
)
READY = _gauge("statecast_ready", "", "1 while partitions are here, each is live, and a broker answers: /readyz.")
LOOP_IDLE = _gauge("statecast_loop_idle_seconds", "seconds", "Since the loop last came round: what /healthz looks at.")
BROKER_SILENT = _gauge("statecast_broker_silent_seconds", "seconds", "Since a broker last answered.")
STREAMS = _gauge("statecast_streams", "streams", "Streams that have a row here.")
BANK_BYTES = _gauge("statecast_bank_bytes", "bytes", "Memory taken by the rows of these streams.")
BANK_LIMIT = _gauge("statecast_bank_limit_bytes", "bytes", "Memory that they may take: --memory-limit.")
WAITING = _gauge("statecast_waiting_streams", "streams", "New streams that the input waits for: memory has no room.")
SPILLED_ROWS = _counter("statecast_spilled_rows_total", "rows", "Rows that went to the disk to make room.")
DISK_ROWS = _gauge("statecast_disk_rows", "rows", "Rows that are on the disk, and not in memory.")
EVICTED = _counter("statecast_evicted_streams_total", "streams", "Streams that --state-ttl or a reset has ended.")
SNAPSHOTS = _counter(
    "statecast_snapshots_total",
    "snapshots",
    "Snapshots of a partition, by how they ended.",
    Label("outcome", ("taken", "failed")),
)
RESTORE = _histogram(
    "statecast_restore_seconds",
    "seconds",
    "Time from a partition's assignment until it is live.",
    (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
)
RESTORED_ROWS = _counter("statecast_restored_rows_total", "rows", "Rows read from changelogs and snapshots.")
REBALANCES = _counter("statecast_rebalances_total", "rebalances", "Changes of this process's partitions.")
MODEL_INFO = _gauge(
    "statecast_model_info", "", "1; the labels say what is served.", Label("fingerprint"), Label("provider")
)
BUILD_INFO = _gauge(
    "statecast_build_info",
    "",
    "1; the labels say what serves.",
    *map(Label, ("version", "onnxruntime", "client", "client_version", "python")),
)
RESTARTS = _counter(
    "statecast_worker_restarts_total",
    "restarts",
    "Times that one of several workers died and was started again.",
    Label("worker"),
    registry=WORKERS,
)
ProcessCollector(registry=REGISTRY)  # process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds, ...


class Merged(Collector):
    """The metrics of several workers as one. Each series has its worker's label, so that one that starts again at 0 is
    seen as that, and does not take the others' counts with it."""

    def __init__(self, workers: Callable[[], Mapping[str, Sequence[Metric]]]) -> None:
        self._workers = workers

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for worker, found in self._workers().items():
            for metric in found:
                family = Metric(metric.name, metric.documentation, metric.type, metric.unit)
                families.setdefault(metric.name, family).samples += [
                    sample._replace(labels={**sample.labels, "worker": worker}) for sample in metric.samples
                ]
        yield from families.values()
