"""What may be asked of a running service, and what it answers: plain data, which crosses threads and pipes.

Each worker answers for the partitions that it has; whoever asks several puts the answers together. A key is bytes.
Times are epoch milliseconds; surprise is -log10 of a probability, and None where there was none.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

Order = Literal["surprise", "recent", "key"]


@dataclass(frozen=True)
class Find:
    """One stream: where it is, and what it says."""

    key: bytes


@dataclass(frozen=True)
class Browse:
    """Streams whose key begins so. surprise: the most surprising of the last minutes first; recent: the newest event
    first; key: ascending."""

    prefix: bytes = b""
    limit: int = 100
    order: Order = "key"


@dataclass(frozen=True)
class Forecast:
    """The stream's future, step by step, from the state that it has now and keeps."""

    key: bytes
    steps: int
    samples: int
    seed: int = 0


@dataclass(frozen=True)
class Reset:
    """A null record into the stream's own partition, which starts it cold."""

    key: bytes


@dataclass(frozen=True)
class Follow:
    """Events of a stream after an offset, as far as they are remembered; whoever asks again and again misses none. A
    stream that nobody has asked for in a while is forgotten."""

    key: bytes
    after: int = -1


@dataclass(frozen=True)
class Overview:
    """How the service does. since: seconds of history from this time on, epoch milliseconds."""

    since: int = 0


@dataclass(frozen=True)
class Describe:
    """The model that is served."""


Inquiry = Find | Browse | Forecast | Reset | Follow | Overview | Describe


@dataclass(frozen=True)
class Stream:
    """One stream of one partition."""

    key: bytes
    partition: int
    step: int  # events since its cold start; negative: it takes none until it is reset
    offset: int  # of its last event, or of the one that froze it
    ts: int  # of that event
    # Of its last event, where that is remembered; among the most surprising ones, of the event that put it there.
    surprise: float | None = None

    @property
    def frozen(self) -> bool:
        return self.step < 0


@dataclass(frozen=True)
class Found:
    """Answer to Find."""

    home: int  # the partition where murmur2 places this key
    here: bool  # whether that partition is live at this worker
    streams: tuple[Stream, ...] = ()  # of this key, one per partition that has it
    # Per stream: what its last prediction says, as an output message has it; nothing where it is frozen.
    said: tuple[dict[str, Any], ...] = ()
    events: tuple[Any, ...] = ()  # per stream: its last event as it came, decoded; None where it cannot be had


@dataclass(frozen=True)
class Listed:
    """Answer to Browse: in that order, and whether there are more."""

    streams: tuple[Stream, ...]
    more: bool


@dataclass(frozen=True)
class Forecasted:
    """Answer to Forecast: per stream the steps, each as an output message has its prediction, beside `quantiles`
    (probability -> value) or the like of its task."""

    home: int
    here: bool
    streams: tuple[Stream, ...] = ()
    steps: tuple[tuple[dict[str, Any], ...], ...] = ()


@dataclass(frozen=True)
class Placed:
    """Answer to Reset: partition -> offset of the null record. Empty where this worker has no such stream."""

    home: int
    here: bool
    placed: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """One event of a stream that is followed."""

    partition: int
    offset: int
    ts: int
    step: int
    actual: Any  # feature -> value, None where it is missing
    expected: dict[str, Any] | None  # the prediction made before it, as an output message has it; None: there was none
    prediction: dict[str, Any]  # the one made after it
    surprise: Any  # as an output message has it


@dataclass(frozen=True)
class Followed:
    """Answer to Follow."""

    home: int
    here: bool
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class PartitionView:
    """One assigned partition."""

    partition: int
    phase: str
    position: int
    lag: int | None  # events that wait; None: not known yet
    progress: float | None = None  # of a restore, 0 to 1
    message: str = ""  # why it is halted


@dataclass(frozen=True)
class Second:
    """What was committed in one second."""

    at: int
    events: int
    predictions: int
    dead_letters: int
    latency: float | None  # seconds, of the oldest event of a commit; the median of that second's commits
    latency_worst: float | None


@dataclass(frozen=True)
class Overlooked:
    """Answer to Overview."""

    partitions: tuple[PartitionView, ...]
    streams: int
    bank_bytes: int
    seconds: tuple[Second, ...]
    worker: int | None = None  # which of several this is


@dataclass(frozen=True)
class Described:
    """Answer to Describe."""

    fingerprint: str  # 64 hex
    signature: dict[str, Any]  # as plain data, as `statecast inspect --json` has it


@dataclass(frozen=True)
class Wrong:
    """Answer to an inquiry that cannot be answered: one line that says why, with the mend. status: as in HTTP."""

    status: int
    message: str


Answer = Found | Listed | Forecasted | Placed | Followed | Overlooked | Described | Wrong
