"""How each case of the table is measured."""

import statistics
import time
from collections.abc import Callable
from contextlib import closing, suppress

from benchmarks import latencies
from benchmarks.bench import CONFLUENT, PARTITIONS, STREAMS, Bench
from benchmarks.common import Service, statecast, until
from export.signature import load
from loadtest.kafka import connect, create

FEW_STREAMS = 1000
EACH = ("--keys", "growing", "--streams", "1", "--new-streams", "1")  # one event a stream


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


MSGPACK = ("--codec", "msgpack")


def _msgpack(bench: Bench) -> str:
    return _filled(bench, "msgpack", bench.events, "--streams", str(STREAMS), *MSGPACK)


def _million(bench: Bench) -> str:
    return _filled(bench, "million", 4 * bench.events, "--streams", "1000000")


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
    "latency-at-least-once": latencies.at_least_once,
    "latency-exactly-once": latencies.exactly_once,
    "idle": latencies.idle,
    "memory": _memory,
    "first-start": _first_start,
}
