"""How each case of the table is measured."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, Service, preload, statecast, until
from export.signature import load
from loadtest.kafka import connect, create

STREAMS, PARTITIONS = 20_000, 4
PLAIN_EVENTS = 30_000  # it is slow
FEW_STREAMS = 1000
EACH = ("--keys", "growing", "--streams", "1", "--new-streams", "1")  # one event a stream


@dataclass
class Bench:
    """A broker, a model, and the topics that were filled already."""

    servers: str
    folder: Path
    events: int
    seconds: float
    streams: int  # of the memory's case
    _filled: set[str] = field(default_factory=set)
    _runs: int = 0

    @property
    def model(self) -> Path:
        return self.folder / "model.onnx"

    def topic(self, name: str, fill: Callable[[str], None]) -> str:
        """An input topic, filled when it is first asked for."""
        if name not in self._filled:
            fill(name)
            self._filled.add(name)
        return name

    def uniform(self) -> str:
        return self.topic("uniform", lambda name: preload(self.servers, name, STREAMS, self.events, PARTITIONS))

    def arguments(self, topic: str, *more: str) -> tuple[str, list[str]]:
        """(application id, options of serve): a new application, its output named after it."""
        self._runs += 1
        name = f"bench-{self._runs}"
        told = [
            "--model", str(self.model), "--bootstrap-servers", self.servers, "--input-topic", topic,
            "--output-topic", name, "--application-id", name, *more,
        ]  # fmt: skip
        return name, told

    def drain(self, topic: str, *more: str) -> dict[str, float]:
        """What the service says of a drain: events, events_per_second, cpu_us_per_event."""
        _, arguments = self.arguments(topic, *more)
        log = statecast("serve", *arguments, "--until-end", "--log-format", "json")
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        (done,) = [line for line in lines if line.get("event") == "done"]
        return done  # type: ignore[no-any-return]

    def plain_loop(self) -> float:
        """µs of processor time an event."""
        topic = self.uniform()
        self._runs += 1
        name = f"plain-{self._runs}"
        with closing(connect(self.servers)) as cluster:
            create(cluster, name, PARTITIONS)
        command = [
            sys.executable, "-m", "benchmarks.plain_loop", "--model", str(self.model), "--bootstrap-servers",
            self.servers, "--input-topic", topic, "--output-topic", name, "--group", name,
            "--events", str(min(self.events, PLAIN_EVENTS)),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode:
            sys.exit(f"the plain loop failed:\n{done.stderr}")
        return float(json.loads(done.stdout)["cpu_us_per_event"])


def measure(bench: Bench, group: str, plain: float, repeat: int) -> list[float]:
    """The figures of a group, in the order of its cases. plain: the plain loop's cost."""
    if group == "plain":
        return [plain / _drained(bench, repeat, bench.uniform(), CONFLUENT)[0]]
    if group in DRAINS:
        topic, options = DRAINS[group]
        cost, speed = _drained(bench, repeat, topic(bench), options)
        return [cost, speed] if group in ("exactly-once", "kafka-python") else [cost]
    return OTHERS[group](bench)


def _drained(bench: Bench, repeat: int, topic: str, options: tuple[str, ...]) -> tuple[float, float]:
    """Medians: µs of processor time an event, events/s."""
    done = [bench.drain(topic, *options) for _ in range(repeat)]
    return (
        statistics.median(one["cpu_us_per_event"] for one in done),
        statistics.median(one["events_per_second"] for one in done),
    )


def _filled(bench: Bench, name: str, events: int, *more: str) -> str:
    def fill(topic: str) -> None:
        statecast(
            "loadtest", "--bootstrap-servers", bench.servers, "--input-topic", topic, "--create-topics",
            "--partitions", str(PARTITIONS), "--events", str(events), "--preload", *more,
        )  # fmt: skip

    return bench.topic(name, fill)


CONFLUENT = ("--client", "confluent")
MSGPACK = ("--codec", "msgpack")


def _msgpack(bench: Bench) -> str:
    return _filled(bench, "msgpack", bench.events, "--streams", str(STREAMS), *MSGPACK)


def _million(bench: Bench) -> str:
    return _filled(bench, "million", 2 * bench.events, "--streams", "1000000")


def _hot(bench: Bench) -> str:
    return _filled(bench, "hot", bench.events, "--streams", str(STREAMS), "--keys", "hot")


# group -> its topic, options of serve
DRAINS: dict[str, tuple[Callable[[Bench], str], tuple[str, ...]]] = {
    "exactly-once": (Bench.uniform, CONFLUENT),
    "at-least-once": (Bench.uniform, (*CONFLUENT, "--delivery", "at_least_once")),
    "msgpack": (_msgpack, (*CONFLUENT, *MSGPACK)),
    "million": (_million, CONFLUENT),
    "hot": (_hot, CONFLUENT),
    "kafka-python": (Bench.uniform, ("--client", "kafka-python")),
}


def _latency(bench: Bench, rate: int, *more: str) -> tuple[dict[str, float], float]:
    """(percentiles, milliseconds; processor time of the service, share of a core) at an open loop."""
    topic = f"latency-{bench._runs}"
    with closing(connect(bench.servers)) as cluster:
        create(cluster, topic, PARTITIONS)
    output, arguments = bench.arguments(topic, *CONFLUENT, *more)
    service = Service(bench.folder / f"{output}.log", *arguments)
    try:
        service.until_said("live", PARTITIONS)
        load = [
            "loadtest", "--bootstrap-servers", bench.servers, "--input-topic", topic, "--output-topic", output,
            "--rate", str(rate), "--streams", str(STREAMS),
        ]  # fmt: skip
        statecast(*load, "--seconds", "3")  # the first batch of each size finds cold code
        report = bench.folder / f"{output}.json"
        began, cpu = time.monotonic(), service.processor_time()
        statecast(*load, "--seconds", str(bench.seconds), "--json", str(report))
        share = (service.processor_time() - cpu) / (time.monotonic() - began)
    finally:
        service.kill()
    told: dict[str, Any] = json.loads(report.read_text())
    return told["latency_ms"], share


def _at_least_once(bench: Bench) -> list[float]:
    latency, _ = _latency(bench, 20_000, "--delivery", "at_least_once")
    return [latency["p50"], latency["p99"]]


def _exactly_once(bench: Bench) -> list[float]:
    latency, _ = _latency(bench, 20_000, "--commit-interval", "0.05")
    return [latency["p99"]]


def _idle(bench: Bench) -> list[float]:
    latency, share = _latency(bench, 100, "--delivery", "at_least_once")
    return [latency["p99"], share * 100]


def _memory(bench: Bench) -> list[float]:
    """Every stream has one event. What the process takes at most, beyond what it takes for a thousand streams."""
    few = _filled(bench, "few", FEW_STREAMS, *EACH)
    many = _filled(bench, "many", bench.streams, *EACH)
    _, signature = load(bench.model)
    base, most = (_most_memory(bench, topic) for topic in (few, many))
    return [(most - base) / (bench.streams - FEW_STREAMS) - 4 * signature.row_width, most / 1e9]


def _most_memory(bench: Bench, topic: str) -> float:
    """Of a drain: bytes."""
    output, arguments = bench.arguments(topic, *CONFLUENT, "--memory-limit", "16GiB", "--until-end")
    service, most = Service(bench.folder / f"{output}.log", *arguments), 0.0
    with suppress(OSError, StopIteration):  # it has just ended
        while service.running:
            most = max(most, service.memory("VmHWM"))
            time.sleep(0.1)
    service.until_ended(60)
    return most * 2**20


def _first_start(bench: Bench) -> list[float]:
    """Seconds from the process's start until a read_committed reader sees a prediction, the median of five."""
    topic = bench.uniform()
    return [statistics.median(_first_prediction(bench, topic) for _ in range(5))]


def _first_prediction(bench: Bench, topic: str) -> float:
    output, arguments = bench.arguments(topic, *CONFLUENT)
    with closing(connect(bench.servers)) as cluster:
        create(cluster, output, PARTITIONS)
        with closing(cluster.reader(output)) as reader:
            reader.assign(dict.fromkeys(range(PARTITIONS), 0))
            began = time.time()
            service = Service(bench.folder / f"{output}.log", *arguments)
            try:
                until("the first prediction", lambda: len(reader.poll(1000, 0.01)))
                return time.time() - began
            finally:
                service.kill()


OTHERS: dict[str, Callable[[Bench], list[float]]] = {
    "latency-at-least-once": _at_least_once,
    "latency-exactly-once": _exactly_once,
    "idle": _idle,
    "memory": _memory,
    "first-start": _first_start,
}
