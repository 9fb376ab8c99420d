"""`make cluster-check`: compose.yaml's three nodes of Kafka and two instances, with the settings that stand there.

Plain processes on this machine: no engine, no image. A node is killed and comes back, and the output verified.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from export.sample import random_model
from localbroker import artifacts, java, ports, readiness
from localbroker.process import Process
from localbroker.properties import HOST, as_text

COMPOSE = yaml.safe_load((Path(__file__).parent / "compose.yaml").read_text())["services"]
NODES = ("kafka-1", "kafka-2", "kafka-3")
SERVICES = ("statecast-1", "statecast-2")
NOT_KAFKA_S = ("KAFKA_HEAP_OPTS", "KAFKA_LOG_DIRS")


def eventually(what: str, condition: Callable[[], Any], timeout: float = 90.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"FAIL not within {timeout:g} s: {what}")
        time.sleep(0.2)
    print(f"ok   {what}", flush=True)


class Places:
    """Where a container's port is on this machine: (host, port) of compose -> a free port."""

    def __init__(self) -> None:
        self._ports: dict[tuple[str, str], int] = {}

    def port(self, host: str, port: str) -> int:
        while (host, port) not in self._ports:
            free = ports.free_port()
            if free not in self._ports.values():
                self._ports[host, port] = free
        return self._ports[host, port]

    def here(self, text: str, owner: str) -> str:
        """The text with every HOST:PORT in it as it is here; no host, or 127.0.0.1, is the owner's."""

        def local(match: re.Match[str]) -> str:
            host = owner if match["host"] in ("", HOST) else match["host"]
            return f"{match['before']}{HOST}:{self.port(host, match['port'])}"

        return re.sub(r"(?P<before>://|@|^|,)(?P<host>[a-z0-9.-]*):(?P<port>\d+)", local, text)


class Node:
    """One broker and controller."""

    def __init__(self, name: str, folder: Path, places: Places) -> None:
        environment = {key: str(value) for key, value in COMPOSE[name]["environment"].items()}
        settings = {
            key.removeprefix("KAFKA_").lower().replace("_", "."): value
            for key, value in environment.items()
            if key.startswith("KAFKA_") and key not in NOT_KAFKA_S
        }
        for key in ("listeners", "advertised.listeners", "controller.quorum.voters"):
            settings[key] = places.here(settings[key], name)
        self.name, self.folder, self.address = name, folder / name, places.here(f"{name}:9092", name)
        self.heap = re.findall(r"-Xmx(\w+)", environment["KAFKA_HEAP_OPTS"])[0]
        self.folder.mkdir()
        (self.folder / "node.properties").write_text(as_text({**settings, "log.dirs": "data"}))
        command = java.format_command(artifacts.class_path(), [], "node.properties", environment["CLUSTER_ID"])
        command.remove("--standalone")  # the voters are named
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        self.process: Process | None = None

    def start(self) -> None:
        command = java.broker_command(artifacts.class_path(), [], "node.properties", self.heap)
        self.process = Process(command, self.folder, self.folder / "log")

    def up(self) -> bool:
        return readiness.answers(int(self.address.rpartition(":")[2]))

    def kill(self) -> None:
        if self.process is not None and self.process.running:
            self.process.signal(signal.SIGKILL)
            self.process.wait(30)


def serve(name: str, folder: Path, places: Places, model: Path) -> subprocess.Popen[bytes]:
    settings = {key: str(value) for key, value in COMPOSE[name]["environment"].items() if "HTTP" not in key}
    settings |= {
        "STATECAST_MODEL__PATH": str(model),
        "STATECAST_KAFKA__BOOTSTRAP_SERVERS": places.here(settings["STATECAST_KAFKA__BOOTSTRAP_SERVERS"], name),
        "STATECAST_STATE__STATE_DIR": str(folder / name),
        "STATECAST_LOG__FORMAT": "json",
    }
    command = [sys.executable, "-m", "statecast", "serve"]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, env={**os.environ, **settings}, stderr=log, stdout=log)


def in_sync(admin: KafkaAdminClient) -> list[int]:
    """Of each partition of every topic, how many copies are complete."""
    try:
        topics = admin.describe_topics()
    except KafkaError:  # asked of the one that was killed
        return []
    return [len(partition["isr_nodes"]) for topic in topics for partition in topic["partitions"]]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="statecast-cluster-") as name, contextlib.ExitStack() as stack:
        folder, places = Path(name), Places()
        model = folder / "model.onnx"
        random_model(model, hidden=16, scaling="stream", lags=(1, 2, 24))
        nodes = [Node(each, folder, places) for each in NODES]
        for node in nodes:
            stack.callback(node.kill)
            node.start()
        eventually("three nodes answer", lambda: all(node.up() for node in nodes))
        servers = ",".join(node.address for node in nodes)
        admin = KafkaAdminClient(bootstrap_servers=servers)
        stack.callback(admin.close)
        # What the service `topics` of compose.yaml does.
        partitions = int(COMPOSE["topics"]["command"][-1])
        admin.create_topics({"events": {"num_partitions": partitions}}, wait_for_metadata=True)
        services = [serve(each, folder, places, model) for each in SERVICES]
        for service in services:
            stack.callback(service.kill)
        logs = [folder / f"{each}.log" for each in SERVICES]
        eventually("both instances serve", lambda: all('"live"' in log.read_text() for log in logs))
        eventually("each partition of each topic has three copies", lambda: set(in_sync(admin)) == {3})
        load = [sys.executable, "-m", "statecast", "loadtest", "--bootstrap-servers", servers, "--model", str(model)]
        load += ["--input-topic=events", "--output-topic=predictions", "--rate=1000", "--seconds=30", "--verify"]
        offering = subprocess.Popen(load)
        stack.callback(offering.kill)
        time.sleep(8)  # of load, before anything happens
        nodes[1].kill()
        eventually("a node is killed: its copies are missing", lambda: set(in_sync(admin)) == {2})
        time.sleep(8)  # of load, on two nodes
        nodes[1].start()
        eventually("it comes back, and catches up", lambda: set(in_sync(admin)) == {3})
        if offering.wait(180) != 0:
            sys.exit("FAIL the load test found something else than one prediction for each event")
        if any(service.poll() is not None for service in services):
            sys.exit("FAIL an instance has ended")
        for service in services:
            service.terminate()
        if any(service.wait(60) != 0 for service in services):
            sys.exit("FAIL an instance ended otherwise than with 0")
    print("the cluster works")


if __name__ == "__main__":
    main()
