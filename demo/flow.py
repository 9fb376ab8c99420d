"""The data's way through the service: the history as fast as it follows, then the scored part at a fixed rate."""

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demo import live
from demo.broker import Kafka
from demo.children import TICK, Child, started, wait_until
from demo.errors import StepFailed
from demo.feed import Feed, batches
from demo.result import Throughput
from demo.screen import Screen
from demo.tally import Tally
from demo.topics import PARTITIONS, Names
from demo.watch import Watch
from demo.weather import Events
from demo.workspace import Workspace
from loadtest.kafka import Cluster

STARTED_WITHIN = 60.0  # seconds
STILL_FOR = 60.0  # seconds without any prediction, after which a phase has failed
STOP_PATIENCE = 20.0  # seconds


@dataclass(frozen=True)
class Flowed:
    """What was measured on the way; the predictions themselves are in the output topic."""

    throughput: Throughput
    latencies: NDArray[np.float64]  # milliseconds, of the scored part
    late: float  # milliseconds: the most that an event of it was sent after its time


@contextmanager
def serving(kafka: Kafka, names: Names, workspace: Workspace, screen: Screen) -> Iterator[Child]:
    """`statecast serve` while the block runs; ready when it begins."""
    port = _free_port()
    arguments = ["serve", "--model", str(workspace.model), "--bootstrap-servers", kafka.bootstrap_servers]
    arguments += ["--input-topic", names.input, "--output-topic", names.output]
    arguments += ["--application-id", names.application, "--instance-id", "demo", "--on-stop", "leave"]
    arguments += ["--delivery", "exactly_once", "--client", "auto", "--http", f"127.0.0.1:{port}"]
    began = time.monotonic()
    with started("statecast serve", arguments, workspace.log("serve"), patience=STOP_PATIENCE) as child:
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/readyz"), child, "its readiness", STARTED_WITHIN)
        screen.say(f"ready after {time.monotonic() - began:.1f} s, process {child.pid}")
        yield child
        if not child.stop(STOP_PATIENCE):
            raise StepFailed("statecast serve did not end in order", child.log)


def flow(
    cluster: Cluster, names: Names, events: Events, since: int, rate: float, service: Child, screen: Screen
) -> Flowed:
    """Send all events and wait for all predictions. since: where the scored part begins, epoch milliseconds."""
    first = int(np.searchsorted(events.time, since))
    with Watch.started(cluster, names.output, Tally(events, since)) as watch:
        screen.head(f"history: {first:,} events as fast as the service follows")
        history = batches(events, 0, first, PARTITIONS, paced=False)
        began = time.time()
        with Feed.started(cluster, names.input, history) as feed:
            _follow("history", feed, watch, service, screen, (0, first))
        throughput = Throughput(first, max(watch.last - began, 1e-3))
        screen.say(f"{throughput.per_second:,.0f} events/s, from the first send to the last committed prediction")
        screen.head(f"scored part: {len(events) - first:,} events at a fixed {rate:,.0f}/s")
        scored = batches(events, first, len(events), PARTITIONS, paced=True)
        with Feed.started(cluster, names.input, scored, rate) as feed:
            _follow("scored", feed, watch, service, screen, (first, len(events)))
        latencies = watch.latencies(first)
    screen.say(f"latency p50 {np.percentile(latencies, 50):.0f} ms, p99 {np.percentile(latencies, 99):.0f} ms")
    return Flowed(throughput, latencies, feed.late)


def _follow(what: str, feed: Feed, watch: Watch, service: Child, screen: Screen, span: tuple[int, int]) -> None:
    """Until every prediction of the events span[0]..span[1] has arrived, as far as a count can tell."""
    before, until = span
    began = moved = time.monotonic()
    count = watch.count

    def now() -> live.Flow:
        return live.Flow(what, watch.count - before, until - before, time.monotonic() - began, watch.gain)

    with screen.live(lambda: now().words, lambda: live.picture(watch.lines(), now()), stays=before > 0) as tick:
        while not (feed.check() and watch.count >= until):
            service.check()
            tick()
            if watch.count > count:
                count, moved = watch.count, time.monotonic()
            elif time.monotonic() - moved > STILL_FOR:
                raise StepFailed(f"no prediction for {STILL_FOR:.0f} s, {until - count:,} are missing", service.log)
            time.sleep(TICK / 2)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=1) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
