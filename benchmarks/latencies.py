"""The table's latencies, at an open loop, and what a consumer that computes nothing has beside them."""

import json
import signal
import sys
import time
from contextlib import closing
from typing import Any

from benchmarks.bench import CONFLUENT, PARTITIONS, STREAMS, Bench
from benchmarks.common import ROOT, Service, statecast, until
from loadtest.kafka import connect, create
from localbroker.process import Process

WARM = 10  # seconds of load before a latency is measured: broker and service find cold code


def _latency(bench: Bench, rate: int, *more: str) -> tuple[dict[str, float], float]:
    """(percentiles, milliseconds; processor time of the service, share of a core) at an open loop."""
    topic = _empty(bench)
    output, arguments = bench.arguments(topic, *CONFLUENT, *more)
    service = Service(bench.folder / f"{output}.log", *arguments)
    try:
        service.until_said("live", PARTITIONS)
        _load(bench, rate, topic, output, WARM)
        began, cpu = time.monotonic(), service.processor_time()
        latency = _load(bench, rate, topic, output, bench.seconds)
        return latency, (service.processor_time() - cpu) / (time.monotonic() - began)
    finally:
        service.kill()


def echo(bench: Bench, rate: int) -> dict[str, float]:
    """Percentiles, milliseconds, of a consumer that computes nothing."""
    topic = _empty(bench)
    output = f"{topic}-echo"
    with closing(connect(bench.servers)) as cluster:
        create(cluster, output, PARTITIONS)
    log = bench.folder / f"{output}.log"
    command = [
        sys.executable, "-m", "benchmarks.echo", "--bootstrap-servers", bench.servers, "--input-topic", topic,
        "--output-topic", output,
    ]  # fmt: skip
    process = Process(command, ROOT, log)
    try:
        until("the echo's partitions", lambda: b"assigned" in log.read_bytes())
        _load(bench, rate, topic, output, WARM)
        return _load(bench, rate, topic, output, bench.seconds)
    finally:
        process.signal(signal.SIGKILL)
        process.wait(10)


def _empty(bench: Bench) -> str:
    bench.runs += 1
    topic = f"latency-{bench.runs}"
    with closing(connect(bench.servers)) as cluster:
        create(cluster, topic, PARTITIONS)
    return topic


def _load(bench: Bench, rate: int, topic: str, output: str, seconds: float) -> dict[str, float]:
    report = bench.folder / f"{output}.json"
    statecast(
        "loadtest", "--bootstrap-servers", bench.servers, "--input-topic", topic, "--output-topic", output,
        "--rate", str(rate), "--streams", str(STREAMS), "--seconds", str(seconds), "--json", str(report),
    )  # fmt: skip
    told: dict[str, Any] = json.loads(report.read_text())
    return told["latency_ms"]  # type: ignore[no-any-return]


def at_least_once(bench: Bench) -> list[float]:
    latency, _ = _latency(bench, 20_000, "--delivery", "at_least_once")
    return [latency["p50"], latency["p99"]]


def exactly_once(bench: Bench) -> list[float]:
    latency, _ = _latency(bench, 20_000, "--commit-interval", "0.05")
    return [latency["p99"]]


def idle(bench: Bench) -> list[float]:
    latency, share = _latency(bench, 100, "--delivery", "at_least_once")
    return [latency["p99"], share * 100]
