"""What the HTTP server sees of the service: these names, and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from stream.inquiries import Answer, Inquiry


@dataclass(frozen=True)
class View:
    """Everything here may be called on any thread.

    The model is not among it: the parent of several workers loads none, so whoever wants to know it asks `Describe`.
    """

    beats: Callable[[], Mapping[str, float]]  # what has to come round -> seconds since it did
    ready: Callable[[], bool]  # whether every assigned partition is live
    registry: CollectorRegistry
    ask: Callable[[Inquiry], list[Answer]]  # blocks, up to a deadline; one answer of each worker that gave one in time
    application_id: str
    input_topic: str
    output_topic: str
    workers: int  # that should answer
