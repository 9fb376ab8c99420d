"""Names, types and units of every metric, each declared once. Labels stay bounded: never a stream's key."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
WORKERS = CollectorRegistry()  # of the parent of several workers, whose own metrics are in REGISTRY

EVENTS = Counter("statecast_events", "Input events that were stepped and committed.", registry=REGISTRY)
PREDICTIONS = Counter("statecast_predictions", "Predictions published.", registry=REGISTRY)
DEAD_LETTERS = Counter("statecast_dead_letters", "Events that could not be stepped.", ["code"], registry=REGISTRY)
EVENT_LATENCY = Histogram(
    "statecast_event_latency_seconds",
    "From an input record's timestamp to the commit that makes its prediction visible; the oldest of each batch.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
STEP = Histogram(
    "statecast_step_seconds",
    "Time to step one batch.",
    buckets=(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    registry=REGISTRY,
)
BATCH = Histogram(
    "statecast_batch_events",
    "Events taken at a time.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000),
    registry=REGISTRY,
)
COMMIT = Histogram(
    "statecast_commit_seconds",
    "Time that the loop spends in a commit.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15),
    registry=REGISTRY,
)
TRANSACTIONS = Counter("statecast_transactions", "Transactions by how they ended.", ["outcome"], registry=REGISTRY)
CHECKPOINT_LAG = Gauge(
    "statecast_checkpoint_lag_events",
    "Offsets that a restore would have to look at: from the replay offset to the position, over all partitions.",
    registry=REGISTRY,
)
PARTITIONS = Gauge(
    "statecast_partitions", "Partitions assigned here, by what they are at.", ["phase"], registry=REGISTRY
)
STREAMS = Gauge("statecast_streams", "Streams that have a row here.", registry=REGISTRY)
BANK_BYTES = Gauge("statecast_bank_bytes", "Memory taken by the rows of these streams.", registry=REGISTRY)
RESTORE = Histogram(
    "statecast_restore_seconds",
    "Time from a partition's assignment until it is live.",
    buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
    registry=REGISTRY,
)
RESTORED_ROWS = Counter("statecast_restored_rows", "Rows read from changelogs and snapshots.", registry=REGISTRY)
REBALANCES = Counter("statecast_rebalances", "Changes of this process's partitions.", registry=REGISTRY)
MODEL_INFO = Gauge(
    "statecast_model_info", "1; the labels say what is served.", ["fingerprint", "provider"], registry=REGISTRY
)

RESTARTS = Counter(
    "statecast_worker_restarts", "Times that a worker died and was started again.", ["worker"], registry=WORKERS
)


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
