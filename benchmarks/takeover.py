"""How long the output stands still when an instance is killed: `make bench-takeover`.

Under a steady load an instance is ended by kill -9. Measured is the time until a read_committed reader of the output
sees the first prediction made after that: an offset at or above the topic's end when the process was dead.

restart   the only instance is started again at once, in the same slot
takeover  two instances; one is killed for good, the other takes its partitions when the session (6 s) has run out

A step is that of the first partition, "all" that of the last.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.arrivals import Arrivals
from benchmarks.common import CLIENTS, Service, benchmark, live, preload, show, steady_load, told_at, until
from export.sample import random_model
from localbroker.broker import LocalBroker

PARTITIONS = 4
SESSION = 6  # seconds
STEPS = (("loaded", min), ("live", min), ("live", max))  # of the first partition, of the last


class Scene:
    """One application with its topics, filled and worked off once, so that every stream has a row."""

    def __init__(self, folder: Path, servers: str, client: str, streams: int, name: str) -> None:
        self.folder, self.servers, self.name, self.streams = folder, servers, name, streams
        self._arguments = [
            "--model", str(folder / "model.onnx"), "--bootstrap-servers", servers, "--client", client,
            "--input-topic", f"{name}-in", "--output-topic", f"{name}-out", "--application-id", name,
            "--session-timeout", str(SESSION),
        ]  # fmt: skip
        preload(servers, f"{name}-in", streams, 3 * streams, PARTITIONS)

    def serve(self, instance: str) -> Service:
        return Service(self.folder / f"{self.name}-{instance}.log", *self._arguments, "--instance-id", instance)

    def arrivals(self) -> Arrivals:
        return Arrivals(self.servers, f"{self.name}-out", PARTITIONS)


def restart(scene: Scene, rate: int, warm: float) -> list[object]:
    """Seconds from the kill to: the new process, and what its log and a reader saw."""
    with (
        scene.arrivals() as arrivals,
        steady_load(scene.folder, scene.servers, f"{scene.name}-in", scene.streams, rate),
    ):
        before = scene.serve("a")
        before.until_said("live", PARTITIONS)
        until("output in every partition", arrivals.flowing)
        time.sleep(warm)
        killed = time.time()
        before.kill()
        after = scene.serve("a")
        try:
            ends = arrivals.ends()
            until("new output in every partition", lambda: len(arrivals.first(ends)) == PARTITIONS)
            firsts = arrivals.first(ends)
            replayed = sum(line["replay"] for line in after.said("loaded"))
            told = [
                pick(told_at(line) for line in after.said(event)) - killed
                for event, pick in (("serving", min), ("partitions_assigned", max), *STEPS)
            ]
        finally:
            after.kill()
    return [after.started - killed, *told, min(firsts.values()) - killed, max(firsts.values()) - killed, replayed]


def takeover(scene: Scene, rate: int, warm: float) -> list[object]:
    """Seconds from the kill to what the other's log and a reader saw."""
    with (
        scene.arrivals() as arrivals,
        steady_load(scene.folder, scene.servers, f"{scene.name}-in", scene.streams, rate),
    ):
        services = {name: scene.serve(name) for name in "ab"}
        try:
            until("both have live partitions", lambda: set(live(services).values()) == {"a", "b"})
            until("output in every partition", lambda: len(live(services)) == PARTITIONS and arrivals.flowing())
            time.sleep(warm)
            lost = [p for p, owner in live(services).items() if owner == "a"]
            known = len(services["b"].lines())
            killed = time.time()
            services["a"].kill()
            ends = {p: end for p, end in arrivals.ends().items() if p in lost}
            until("new output in the lost partitions", lambda: len(arrivals.first(ends)) == len(lost))
            firsts = arrivals.first(ends)
            news = services["b"].lines()[known:]
            replayed = sum(line["replay"] for line in news if line["event"] == "loaded")
            told = [
                pick(told_at(line) for line in news if line["event"] == event) - killed
                for event, pick in (("partitions_assigned", max), *STEPS)
            ]
        finally:
            for service in services.values():
                service.kill()
    return [None, None, *told, min(firsts.values()) - killed, max(firsts.values()) - killed, replayed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=20_000)
    parser.add_argument("--rates", type=int, nargs="+", default=[5_000, 50_000], help="events a second")
    parser.add_argument("--warm", type=float, default=12.0, help="seconds under load before the kill")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=["confluent"])
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    sizes = f"{options.streams} streams, {PARTITIONS} partitions; seconds from kill -9"
    properties = {"group.consumer.session.timeout.ms": str(SESSION * 1000)}
    rows: list[list[object]] = []
    with (
        benchmark(sizes),
        tempfile.TemporaryDirectory(prefix="statecast-takeover-") as name,
        LocalBroker(heap="1g", properties=properties) as broker,
    ):
        folder, servers = Path(name), broker.bootstrap_servers
        random_model(folder / "model.onnx", hidden=64)
        for client in options.clients:
            for rate in options.rates:
                for turn in range(options.repeat):
                    scene = Scene(folder, servers, client, options.streams, f"{client}-{rate}-{turn}")
                    rows.append([client, rate, "restart", *restart(scene, rate, options.warm)])
            scene = Scene(folder, servers, client, options.streams, f"{client}-takeover")
            rows.append([client, options.rates[0], "takeover", *takeover(scene, options.rates[0], options.warm)])
        steps = ["start", "serving", "assigned", "loaded", "live", "all live", "output", "all output"]
        show(["client", "events/s", "how", *steps, "replayed"], rows)


if __name__ == "__main__":
    main()
