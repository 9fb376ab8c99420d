"""Every option of `statecast loadtest`, typed, in one place. `checks` knows what makes a set of them senseless."""

# ruff: noqa: RUF009 - option() makes a field; that it is called here is the point

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.rows import Policy
from loadtest.codecs import CodecName
from loadtest.draws import Draw
from loadtest.findings import Delivery
from loadtest.input_format import MAX_KEY_BYTES, MAX_VALUE_BYTES
from loadtest.pace import Pace
from loadtest.port import ClientName

EVENTS = 100_000  # offered where neither --events, --seconds nor --file bounds the load


def option(default: Any, help: str, shown: str | None = None) -> Any:
    """A field with its line of help; `shown` names a default that does not tell itself."""
    return field(default=default, metadata={"help": help} | ({} if shown is None else {"shown": shown}))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """A field's flag is its name with hyphens."""

    bootstrap_servers: str = option("127.0.0.1:9092", "brokers, HOST:PORT[,HOST:PORT]")
    input_topic: str = option("", "the topic that events are offered to", "required")
    output_topic: str = option("", "the topic that the service writes predictions to", "required, unless --preload")
    dead_letter_topic: str = option(
        "", "what --verify looks for dead letters in", "OUTPUT_TOPIC.dead-letters where it exists"
    )
    client: ClientName = option("auto", "client library; auto takes confluent where it is installed")
    codec: CodecName = option("json", "how the service reads and writes messages, its --codec")
    create_topics: bool = option(False, "create the input topic where it is missing")
    partitions: int = option(4, "of an input topic that is created")

    model: Path | None = option(None, "the service's model file: names the features, and --verify steps it", "none")
    streams: int = option(1000, "how many streams are made")
    keys: Draw = option(
        "uniform",
        "whose the next event is: uniform, zipf (few streams have most events), hot (one stream has a share of all), "
        "growing (new streams all the time)",
    )
    zipf_exponent: float = option(1.1, "of --keys zipf: the k-th stream's share is proportional to k^-exponent")
    hot_share: float = option(0.5, "of --keys hot: the first stream's share of all events")
    new_streams: float = option(
        0.01, "of --keys growing: share of the events that begin a stream; --streams is how many there are at first"
    )
    noise: float = option(0.1, "standard deviation of the noise, over the amplitude of the waves")
    missing: float = option(0.0, "share of the values that are null, 0 to 1")
    bad: float = option(0.0, "share of the events that are bad input of every kind, for the dead-letter topic")
    resets: float = option(0.0, "share of the events that have no value, and so reset their stream")
    seed: int = option(0, "the same seed gives the same events, whatever --rate and --processes")
    file: Path | None = option(None, "offer the rows of this CSV or Parquet file instead, sorted by --time", "none")
    key: str | None = option(None, "its column that names the stream; without it all rows are one stream", "none")
    value: tuple[str, ...] = option(
        (), "its column with the value; once per feature of the model, in its order", "none"
    )
    time: str | None = option(None, "its column with the time: epoch milliseconds or ISO 8601", "none")
    speed: float | None = option(
        None, "offer the rows of --file when they are due, its own time running so many times as fast", "by --rate"
    )

    events: int | None = option(None, "how many events are offered", f"{EVENTS:,} where nothing else bounds them")
    seconds: float | None = option(None, "how long events are offered", "no bound")
    rate: float = option(0.0, "events a second on average, on a fixed schedule; 0: as fast as they go")
    pace: Pace = option(
        "steady", "how the rate goes: steady, bursty (half of all in bursts), day (least at midnight, most at noon)"
    )
    period: float | None = option(None, "seconds from burst to burst, or the length of a day", "10, of a day 60")
    peak: float | None = option(None, "times the rate in a burst, or at noon", "5, of a day 1.8")
    processes: int = option(1, "that send; each has partitions of its own, so that streams stay in order")
    ramp: bool = option(False, "find the highest rate with --p99-below; begins at --rate, each step takes --seconds")
    p99_below: float | None = option(None, "seconds: what the p99 of a rate must stay under, of --ramp", "none")
    linger: float = option(
        0.005, "seconds that a sender waits to fill a request, part of every latency; Kafka 4's own default"
    )
    preload: bool = option(False, "only offer: fill the topic, follow nothing")
    drain: bool = option(False, "only follow: measure how fast the service works off what is there; start this first")
    timeout: float = option(60.0, "seconds without any new output after which the rest is given up")

    verify: bool = option(False, "afterwards hold the whole output topic against the offline replay, bit by bit")
    delivery: Delivery = option("exactly_once", "what --verify forbids: at_least_once tolerates identical copies")
    state_ttl: float | None = option(None, "the service's --state-ttl, seconds", "for ever")
    poison_policy: Policy = option("skip", "the service's --poison-policy")
    batch: int = option(20_000, "events that --verify steps at a time; the result does not depend on it")
    max_key_bytes: int = option(MAX_KEY_BYTES, "the service's limit: a longer key is a dead letter")
    max_value_bytes: int = option(MAX_VALUE_BYTES, "the service's limit: a longer value is a dead letter")
    examples: int = option(5, "findings of each kind that are shown")
    json: Path | None = option(None, "write the figures to this file", "none")
    html: Path | None = option(None, "write a report to this file, one page with charts", "none")

    watch_interval: float = option(1.0, "seconds between two points of the figures over time")
    pid: tuple[int, ...] = option((), "a process of the service, whose CPU and memory are watched", "none")
    serve: str | None = option(None, "the service's command line: it is run as long as the test needs it", "none")
    serve_log: Path = option(Path("loadtest-serve.log"), "what --serve says is added to this file")
    serve_ready: str | None = option(
        None, "URL that answers 200 once the service of --serve is ready, before which nothing is offered", "none"
    )
    kill_every: float | None = option(
        None, "kill -9 the service of --serve every so many seconds, from half to one and a half of it", "never"
    )

    @property
    def most_events(self) -> int | None:
        """The bound on the events that are offered; None: what else bounds them."""
        unbounded = self.events is None and self.seconds is None and self.file is None
        return EVENTS if unbounded else self.events
