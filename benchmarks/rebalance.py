"""How long partitions stand still when an instance joins and leaves: `make bench-rebalance`.

Under a steady load another instance joins the others, works for a while, and leaves (--on-stop leave). Measured are the
longest times without a new record in the output topic, as a read_committed reader sees it: of the partitions that kept
their owner, and of those that moved. The steady time between is what the load, the commits and the machine do alone;
"start" is while the new process starts beside them and has not joined yet, which takes processors, not partitions.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.arrivals import Arrivals
from benchmarks.common import CLIENTS, Service, benchmark, live, preload, show, steady_load, until
from export.sample import random_model
from localbroker.broker import LocalBroker

AFTERWARDS = 3.0  # seconds that a rebalance may still be felt


def longest(gaps: dict[int, float], partitions: set[int]) -> float | None:
    return max((gaps[p] for p in partitions), default=None)


def rebalance(folder: Path, servers: str, client: str, options: argparse.Namespace) -> list[list[object]]:
    """Per phase: how many partitions stayed, their longest gap, how many moved, their longest gap."""
    partitions: int = options.partitions
    topic, out = f"{client}-in", f"{client}-out"
    arguments = [
        "--model", str(folder / "model.onnx"), "--bootstrap-servers", servers, "--client", client,
        "--input-topic", topic, "--output-topic", out, "--application-id", client, "--on-stop", "leave",
    ]  # fmt: skip
    preload(servers, topic, options.streams, options.streams, partitions)
    services: dict[str, Service] = {}

    def serve(name: str) -> None:
        services[name] = Service(folder / f"{client}-{name}.log", *arguments, "--instance-id", name)

    def settled() -> bool:
        owners = live({name: service for name, service in services.items() if service.running})
        return len(owners) == partitions and len(set(owners.values())) == min(len(services), partitions)

    def phase(what: str, began: float, before: dict[int, str]) -> list[object]:
        time.sleep(AFTERWARDS)
        after, gaps = live(services), arrivals.gaps(began, time.time())
        stayed = {p for p in after if before[p] == after[p]}
        moved = set(after) - stayed
        return [client, what, len(stayed), longest(gaps, stayed), len(moved), longest(gaps, moved)]

    rows = []
    with (
        Arrivals(servers, out, partitions) as arrivals,
        steady_load(folder, servers, topic, options.streams, options.rate),
    ):
        try:
            *first, last = (f"i{n}" for n in range(options.instances))
            for name in first:
                serve(name)
            until("every first instance has live partitions", settled, 90)
            until("output in every partition", arrivals.flowing)
            time.sleep(options.warm)
            rows.append(phase("steady", time.time(), live(services)))
            before, began = live(services), time.time()
            serve(last)
            services[last].until_said("serving", 1)
            rows.append(
                [client, "start", len(before), longest(arrivals.gaps(began, time.time()), set(before)), 0, None]
            )
            began = time.time()
            until("the instance that joined has live partitions", settled, 60)
            rows.append(phase("join", began, before))
            time.sleep(options.warm)
            before, began = live(services), time.time()
            leaver = services[last]
            leaver.stop()
            del services[last]
            until("the others have all partitions", settled, 60)
            rows.append(phase("leave", began, before))
        finally:
            for service in services.values():
                service.kill()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=4, help="the one that joins and leaves among them")
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--streams", type=int, default=20_000)
    parser.add_argument("--rate", type=int, default=2_000, help="events a second")
    parser.add_argument("--warm", type=float, default=5.0, help="seconds between the phases")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    options = parser.parse_args()
    sizes = f"{options.instances} instances, {options.partitions} partitions, {options.streams} streams"
    rows = []
    with (
        benchmark(f"{sizes}, {options.rate} events/s"),
        tempfile.TemporaryDirectory(prefix="statecast-rebalance-") as name,
        LocalBroker(heap="1g") as broker,
    ):
        random_model(Path(name) / "model.onnx", hidden=64)
        for client in options.clients:
            rows += rebalance(Path(name), broker.bootstrap_servers, client, options)
        show(["client", "phase", "stayed", "longest gap, s", "moved", "longest gap, s"], rows)


if __name__ == "__main__":
    main()
