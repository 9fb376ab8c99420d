"""What stands in a request and in an answer. Each is declared once: what is checked, what is sent and what
/openapi.json says of it come from here.

Times are epoch milliseconds, durations seconds. Where a model has several targets, what is said of one number is an
object by their names.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Number = float | dict[str, float]
Limit = Annotated[int, Meta(ge=1, le=1000, description="most streams to list")]
Offset = Annotated[int, Meta(ge=-1, le=2**63 - 1, description="only events after this offset")]


class Error(Struct):
    error: Annotated[str, Meta(description="one line with the mend")]
    partition: Annotated[int, Meta(description="which partition is not here")] | UnsetType = UNSET


class Query(Struct, forbid_unknown_fields=True):
    """No parameter."""


class BrowseQuery(Query):
    prefix: Annotated[str, Meta(description="how the keys begin, percent-encoded bytes")] = ""
    limit: Limit = 100
    order: Annotated[
        Literal["surprise", "recent", "key"],
        Meta(description="the most surprising, the newest event, or the lowest key first"),
    ] = "key"


class OverviewQuery(Query):
    since: Annotated[int, Meta(ge=0, le=2**63 - 1, description="only seconds after this time")] = 0


class FollowQuery(Query):
    after: Offset = -1


class ForecastBody(Struct, forbid_unknown_fields=True):
    steps: Annotated[int, Meta(ge=1, le=1000, description="how many events ahead")]
    samples: Annotated[int, Meta(ge=1, le=10_000, description="futures that are drawn")] = 1000
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1, description="the same seed, the same futures")] = 0


class Model(Struct):
    fingerprint: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    signature: Annotated[dict[str, Any], Meta(description="as `statecast inspect --json` has it")]


class Partition(Struct):
    partition: int
    worker: Annotated[int | None, Meta(description="which of several workers has it")]
    phase: Annotated[str, Meta(description="loading, origin, restoring, settling, live or halted")]
    position: Annotated[int, Meta(description="the next offset")]
    lag: Annotated[int | None, Meta(description="events that wait; null: not known yet")]
    progress: Annotated[float | None, Meta(description="of a restore, 0 to 1")]
    message: Annotated[str, Meta(description="why it is halted")]


class Second(Struct):
    at: int
    events: int
    predictions: int
    dead_letters: int
    latency: float | None
    latency_worst: float | None


class Overview(Struct):
    now: int
    ready: bool
    model: Annotated[str, Meta(description="the fingerprint's beginning; empty until it is known")]
    application_id: str
    input_topic: str
    output_topic: str
    streams: int
    bank_bytes: int
    workers: int
    silent_workers: Annotated[int, Meta(description="workers that did not answer in time")]
    partitions: list[Partition]
    seconds: Annotated[list[Second], Meta(description="what was committed, second by second")]


class Named(Struct):
    key: Annotated[str, Meta(description="as text; what is no UTF-8 is replaced")]
    path: Annotated[str, Meta(description="its bytes percent-encoded, as a URL has them")]


class Stream(Named):
    partition: int
    step: Annotated[int, Meta(description="events since its cold start")]
    offset: Annotated[int, Meta(description="of its last event, or of the one that froze it")]
    ts: int
    surprise: Number | None
    frozen: (
        Annotated[bool, Meta(description="there where it takes no events until it is reset, and predicts nothing")]
        | UnsetType
    ) = UNSET


class Streams(Struct):
    streams: list[Stream]
    more: bool


class Says(Struct):
    """What is predicted: a number with its interval, a symbol with the likeliest ones, or a class."""

    prediction: float | str | dict[str, float] | UnsetType = UNSET
    lower: Number | UnsetType = UNSET
    upper: Number | UnsetType = UNSET
    top: list[tuple[str, float]] | UnsetType = UNSET
    probabilities: dict[str, float] | UnsetType = UNSET


class Placed(Stream, kw_only=True):
    """One stream of a key, in one partition."""

    event: Annotated[Any, Meta(description="its last event as it came, decoded; null where it cannot be had")]
    model: str
    prediction: float | str | dict[str, float] | UnsetType = UNSET
    lower: Number | UnsetType = UNSET
    upper: Number | UnsetType = UNSET
    top: list[tuple[str, float]] | UnsetType = UNSET
    probabilities: dict[str, float] | UnsetType = UNSET


class Detail(Placed, kw_only=True):
    elsewhere: Annotated[list[Placed], Meta(description="streams of this key in other partitions")] | UnsetType = UNSET


class Ahead(Says, kw_only=True):
    step: int
    quantiles: Annotated[dict[str, Any], Meta(description="probability -> value")] | UnsetType = UNSET


class Forecast(Named):
    partition: int
    offset: Annotated[int, Meta(description="of the event after which this begins")]
    steps: list[Ahead]


class Reset(Named):
    placed: Annotated[dict[str, int], Meta(description="partition -> offset of the null record")]


class Event(Says, kw_only=True):
    partition: int
    offset: int
    ts: int
    step: int
    actual: Annotated[Any, Meta(description="feature -> value, null where it is missing")]
    expected: Annotated[Says | None, Meta(description="the prediction made before it")]
    surprise: Number | None
