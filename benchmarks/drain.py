"""How fast the service drains a preloaded topic: `make bench-drain`.

500 000 JSON events of 20 000 streams lie in 4 partitions; `statecast serve --until-end` works them off beside the
broker on the same machine, several times with each client. The service tells events a second and processor time per
event (user and system of its whole process), from its first batch to its last commit, start-up excluded. Every output
is then held against the offline reference.
"""

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.common import benchmark, preload, statecast
from export.sample import random_model
from loadtest.verify import verify
from localbroker.broker import LocalBroker

GOALS = {"confluent": 100_000, "kafka-python": 20_000}  # events a second, two cores beside the broker


def drain(servers: str, model: Path, client: str, delivery: str, name: str) -> dict[str, float]:
    log = statecast(
        "serve", "--model", str(model), "--bootstrap-servers", servers, "--client", client, "--delivery", delivery,
        "--input-topic", "drain", "--output-topic", name, "--application-id", name, "--until-end",
        "--log-format", "json",
    )  # fmt: skip
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    (done,) = [line for line in lines if line.get("event") == "done"]
    return done  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--streams", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--delivery", default="exactly_once", choices=["exactly_once", "at_least_once"])
    options = parser.parse_args()
    with (
        benchmark(f"{options.events} events, {options.streams} streams"),
        tempfile.TemporaryDirectory() as folder,
        LocalBroker(heap="1g") as broker,
    ):
        model = Path(folder) / "model.onnx"
        random_model(model, hidden=64)
        preload(broker.bootstrap_servers, "drain", options.streams, options.events)
        for client, goal in GOALS.items():
            for run in range(options.repeat):
                name = f"{client}-{run}"
                done = drain(broker.bootstrap_servers, model, client, options.delivery, name)
                passed = verify(broker.bootstrap_servers, model, "drain", name).passed
                speed, cost = done["events_per_second"], done["cpu_us_per_event"]
                told = "verified" if passed else "NOT VERIFIED"
                print(f"{client:<13} {speed:>8.0f} events/s (goal {goal})  {cost:>6.2f} us/event  {told}", flush=True)


if __name__ == "__main__":
    main()
