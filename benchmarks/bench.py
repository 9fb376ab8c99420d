"""What the cases of the table share: a broker, a model, topics that were filled already, and the service's drain."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.common import ROOT, preload, statecast
from loadtest.kafka import connect, create

STREAMS, PARTITIONS = 20_000, 4
PLAIN_EVENTS = 30_000  # it is slow
CONFLUENT = ("--client", "confluent")


@dataclass
class Bench:
    """A broker, a model, and the topics that were filled already."""

    servers: str
    folder: Path
    events: int
    seconds: float
    streams: int  # of the memory's case
    _filled: set[str] = field(default_factory=set)
    runs: int = 0

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
        self.runs += 1
        name = f"bench-{self.runs}"
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
        self.runs += 1
        name = f"plain-{self.runs}"
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
