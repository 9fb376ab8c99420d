"""What rolling checkpoints cost: `make bench-checkpoint`.

drain   a preloaded topic is worked off with checkpoints as they are by default and with next to none
        (--checkpoint-interval 3600), in turns. Processor time per event is the service's own figure, from its first
        batch to its last commit; the rows that a stop writes are in both. "rows" is what the changelog got.
stall   uniform events of a million streams, so that nearly every event makes another row dirty: the longest time that
        a commit held the loop, from statecast_commit_seconds, and the longest time without new output in a partition.
"""

import argparse
import statistics
import tempfile
import urllib.request
from contextlib import closing
from pathlib import Path

from benchmarks.arrivals import Arrivals
from benchmarks.common import CLIENTS, Service, benchmark, preload, show, told_at, until
from engine.model import Model
from export.sample import random_model
from loadtest.kafka import connect
from localbroker.broker import LocalBroker
from stream.topics import changelog_name

PARTITIONS = 4
OFF = 3600.0  # seconds


class Bench:
    """One broker, one model, and applications whose names are never used twice."""

    def __init__(self, folder: Path, servers: str, client: str) -> None:
        self._folder, self._servers, self._client = folder, servers, client
        self._model = folder / "model.onnx"
        random_model(self._model, hidden=64)
        self._fingerprint = Model(self._model).fingerprint
        self._count = 0

    def serve(self, topic: str, interval: float, *more: str) -> tuple[Service, str]:
        """A service on that topic, and the name of its application, which is that of its output topic too."""
        self._count += 1
        name = f"{topic}-{self._count}"
        service = Service(
            self._folder / f"{name}.log", "--model", str(self._model), "--bootstrap-servers", self._servers,
            "--client", self._client, "--input-topic", topic, "--output-topic", name, "--application-id", name,
            "--checkpoint-interval", str(interval), "--http", "127.0.0.1:0", *more,
        )  # fmt: skip
        return service, name

    def changelog_records(self, name: str) -> int:
        """How many records were written to an application's changelog, markers and commits included."""
        with closing(connect(self._servers)) as cluster:
            marks = cluster.watermarks(changelog_name(name, self._fingerprint))
        return sum(high for _, high in marks.values())

    def drain(self, topic: str, interval: float, timeout: float) -> tuple[float, float, int]:
        """Microseconds of processor time per event, events a second, records in the changelog."""
        service, name = self.serve(topic, interval, "--until-end")
        service.until_ended(timeout)
        (done,) = service.said("done")
        return done["cpu_us_per_event"], done["events_per_second"], self.changelog_records(name)

    def stall(self, topic: str, interval: float, timeout: float) -> list[object]:
        """Events a second, records in the changelog, the longest commit (its bucket), the longest gap, and memory.

        The process is left running at the end of the topic until its rows are written, and then stopped.
        """
        with closing(connect(self._servers)) as cluster:
            ends = {p: high for p, (_, high) in cluster.watermarks(topic).items()}
        name = f"{topic}-{self._count + 1}"
        with Arrivals(self._servers, name, PARTITIONS) as arrivals:
            service, _ = self.serve(topic, interval)
            lives = service.until_said("live", PARTITIONS, timeout)
            until("an output in each partition", lambda: len(arrivals.first(dict.fromkeys(ends, 0))) == PARTITIONS)
            # Each output partition has a record for each event, and those of commits between them.
            goal = sum(ends.values())
            until("all output", lambda: _events(service) >= goal, timeout)
            began = max(arrivals.first(dict.fromkeys(ends, 0)).values())
            finished = {p: max(at for at, _, _ in bunches) for p, bunches in arrivals.bunches.items()}
            gap = max(arrivals.gaps(began, min(finished.values())).values())
            longest, usual = commit_seconds(scrape(service))
            memory = service.memory()
            seconds = max(finished.values()) - max(map(told_at, lives))
            service.stop(90)
        return [round(goal / seconds), self.changelog_records(name), usual, longest, gap, round(memory)]


def scrape(service: Service) -> dict[str, float]:
    """The service's metrics: name and labels -> value."""
    (line,) = service.until_said("http", 1)
    with urllib.request.urlopen(f"http://{line['address']}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def _events(service: Service) -> float:
    return scrape(service)["statecast_events_total"]


def commit_seconds(metrics: dict[str, float]) -> tuple[str, str]:
    """The bucket of statecast_commit_seconds with the longest commit, and that with the median one."""
    start = 'statecast_commit_seconds_bucket{le="'
    buckets = [(name[len(start) : -2], n) for name, n in metrics.items() if name.startswith(start)]
    total = max(n for _, n in buckets)
    longest = next(bound for bound, n in buckets if n == total)
    median = next(bound for bound, n in buckets if n >= total / 2)
    return f"<= {longest}", f"<= {median}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--streams", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=4, help="drains of each kind")
    parser.add_argument("--many-streams", type=int, default=1_000_000, help="0: no stall run")
    parser.add_argument("--many-events", type=int, default=1_500_000)
    parser.add_argument("--interval", type=float, default=10.0, help="checkpoint interval, seconds")
    parser.add_argument("--client", choices=CLIENTS, default="confluent")
    options = parser.parse_args()
    with (
        benchmark(f"{options.client}, exactly once, {PARTITIONS} partitions"),
        tempfile.TemporaryDirectory(prefix="statecast-checkpoint-") as name,
        LocalBroker(heap="1g") as broker,
    ):
        bench = Bench(Path(name), broker.bootstrap_servers, options.client)
        preload(broker.bootstrap_servers, "drain", options.streams, options.events, PARTITIONS)
        found: dict[float, list[tuple[float, float, int]]] = {options.interval: [], OFF: []}
        for _ in range(options.repeat):
            for interval, drains in found.items():
                drains.append(bench.drain("drain", interval, 120))
        table: list[list[object]] = []
        for interval, drains in found.items():
            costs, speeds, records = zip(*drains, strict=True)
            each = " ".join(f"{cost:.2f}" for cost in costs)
            table.append([interval, statistics.median(costs), each, round(statistics.median(speeds)), max(records)])
        print(f"drain: {options.events} events of {options.streams} streams")
        show(["interval s", "us/event", "each", "events/s", "rows"], table)
        medians = [statistics.median(cost for cost, _, _ in drains) for drains in found.values()]
        print(f"ratio of the medians: {medians[0] / medians[1]:.3f}", flush=True)
        if options.many_streams:
            preload(broker.bootstrap_servers, "many", options.many_streams, options.many_events, PARTITIONS)
            stalls = [[i, *bench.stall("many", i, 120)] for i in (options.interval, OFF)]
            print(f"stall: {options.many_events} events of {options.many_streams} streams, uniform")
            columns = [
                "interval s",
                "events/s",
                "rows",
                "median commit s",
                "longest commit s",
                "longest gap s",
                "RSS MiB",
            ]
            show(columns, stalls)


if __name__ == "__main__":
    main()
