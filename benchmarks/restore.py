"""How fast a service starts whose state lies in the changelog: `make bench-restore`.

The changelog holds a row for each of a million streams, as after a clean stop. Measured is the time from the first
assignment to the last partition that is live, by the service's log: with each client from the changelog, then from a
snapshot in --state-dir that a clean stop before has left there.
"""

import argparse
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from benchmarks import changelog
from benchmarks.common import CLIENTS, Service, benchmark, preload, show, told_at
from export.sample import random_model
from loadtest.kafka import connect
from localbroker.broker import LocalBroker

TOPIC, APPLICATION, PARTITIONS = "restore", "restore", 4


def measured(service: Service, timeout: float) -> tuple[float, float, float, float]:
    """Seconds from the process's start to the assignment, from there to live; MiB resident then, and at most."""
    lives = service.until_said("live", PARTITIONS, timeout)
    assigned = min(map(told_at, service.said("partitions_assigned")))
    return assigned - service.started, max(map(told_at, lives)) - assigned, service.memory(), service.memory("VmHWM")


def check_snapshots(service: Service) -> None:
    """Exits where not every partition came from its snapshot: the figure would be another one's."""
    loaded = sorted(line["partition"] for line in service.said("snapshot_loaded"))
    if loaded != list(range(PARTITIONS)):
        sys.exit(f"snapshot_loaded was said of partitions {loaded}, not once of each of {PARTITIONS}: {service.log}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds that one restore may take")
    options = parser.parse_args()
    rows: list[list[object]] = []
    with (
        benchmark(f"{options.rows} rows, {PARTITIONS} partitions, an LSTM of {options.hidden}"),
        tempfile.TemporaryDirectory(prefix="statecast-restore-") as name,
        LocalBroker(heap="1g") as broker,
    ):
        folder, servers = Path(name), broker.bootstrap_servers
        model = folder / "model.onnx"
        width = random_model(model, hidden=options.hidden).row_width
        preload(servers, TOPIC, 1000, 4000, PARTITIONS)
        with closing(connect(servers)) as cluster:
            ends = {p: high for p, (_, high) in cluster.watermarks(TOPIC).items()}
        written = changelog.write(servers, model, APPLICATION, TOPIC, options.rows, ends)
        changelog.until_quiet(broker.pid)
        print(f"a row is {4 * width} bytes of floats; {written:.0f} MiB of rows written", flush=True)

        def serve(client: str, *more: str) -> Service:
            return Service(
                folder / "serve.log", "--model", str(model), "--bootstrap-servers", servers, "--client", client,
                "--input-topic", TOPIC, "--output-topic", "out", "--application-id", APPLICATION, "--instance-id",
                "one", "--on-stop", "leave", *more,
            )  # fmt: skip

        def row(client: str, source: str, service: Service) -> list[object]:
            start, seconds, resident, most = measured(service, options.timeout)
            return [client, source, start, seconds, round(options.rows / seconds), round(resident), round(most)]

        for client in options.clients:
            service = serve(client)
            rows.append(row(client, "changelog", service))
            service.stop()
        client, there = options.clients[0], ("--state-dir", str(folder / "state"))
        filling = serve(client, *there)
        rows.append(row(client, "changelog, into a snapshot", filling))
        filling.stop()
        again = serve(client, *there)
        rows.append(row(client, "snapshot", again))
        again.stop()
        show(["client", "from", "start s", "restore s", "rows/s", "RSS MiB", "peak MiB"], rows)
        check_snapshots(again)


if __name__ == "__main__":
    main()
