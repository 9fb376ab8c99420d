"""What the recovery tests share: a model, topics, and services, some of which are told where to die."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from export.sample import random_model
from loadtest.findings import Delivery, VerifyResult
from loadtest.verify import verify
from tests.recovery.load import Feed, Watch
from tests.service import ROOT, Service, eventually

CLIENTS = ["confluent", "kafka-python"]
PARTITIONS = 4
CHECKPOINTS = ("--checkpoint-interval", "1")


class World:
    """A model, an input topic with 4 partitions, and services that share them.

    session: seconds. confluent takes KIP-848 where it is no shorter than the test broker's 10 s.
    """

    def __init__(self, servers: str, topic: str, folder: Path, client: str, session: float = 6.0) -> None:
        self.servers, self.input, self.output, self.folder = servers, topic, f"{topic}.out", folder
        self.client, self.session = client, session
        self.model = folder / "model.onnx"
        self._starts = itertools.count()
        random_model(self.model, hidden=8, scaling="stream", lags=(1, 2))

    @contextmanager
    def serve(self, instance: str, *more: str, model: Path | None = None, die_at: str = "") -> Iterator[Service]:
        """A service with a log of its own. die_at: a point of stream/failpoint.py, NAME or NAME:N."""
        arguments = [
            "--model", str(model or self.model), "--bootstrap-servers", self.servers, "--client", self.client,
            "--input-topic", self.input, "--output-topic", self.output, "--application-id", self.output,
            "--instance-id", instance, "--session-timeout", f"{self.session:g}", "--commit-interval", "0.05", *more,
        ]  # fmt: skip
        log = self.folder / f"{next(self._starts):02d}-{instance}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "statecast", "serve", "--log-format", "json", *arguments],
                stderr=sink, stdout=sink, cwd=ROOT, env={**os.environ, "STATECAST_FAILPOINT": die_at},
            )  # fmt: skip
        service = Service(process, log, arguments)
        try:
            yield service
        finally:
            if process.poll() is None:
                service.kill()

    def feed(self, streams: int = 40, pace: int = 400, first: int = 0) -> Feed:
        return Feed(self.servers, self.input, streams=streams, pace=pace, first=first)

    def watch(self) -> Watch:
        return Watch(self.servers, self.output)

    def drain(self, instance: str, *more: str) -> None:
        with self.serve(instance, "--until-end", *more) as service:
            assert service.wait(120) == 0, service.log.read_text()

    def check(self, delivery: Delivery = "exactly_once", events: int | None = None) -> VerifyResult:
        """Every event has its prediction, in order and bit-identical to a replay event by event."""
        result = verify(self.servers, self.model, self.input, self.output, delivery=delivery, step_batch=1)
        assert result.passed, f"{result}\n" + self.logs()
        if events is not None:
            assert result.outputs.expected == events
            if delivery == "exactly_once":
                assert result.outputs.seen == events
        return result

    def logs(self, last: int = 25) -> str:
        """The last lines of every log, for a failure's message."""
        parts = []
        for log in sorted(self.folder.glob("*.log")):
            parts += [f"--- {log.name}", *log.read_text().splitlines()[-last:]]
        return "\n".join(parts)


def held(*services: Service) -> list[set[int]]:
    """The partitions that each service has, by its log."""
    found = []
    for service in services:
        here: set[int] = set()
        for line in service.lines():
            what = line.get("event", "")
            if what == "partitions_assigned":
                here |= set(line["partitions"])
            elif what in ("partitions_revoked", "partitions_lost"):
                here -= set(line["partitions"])
        found.append(here)
    return found


def live(service: Service) -> set[int]:
    """The partitions that a service has and serves, by its log."""
    here: set[int] = set()
    for line in service.lines():
        what = line.get("event", "")
        if what == "live":
            here.add(line["partition"])
        elif what in ("partitions_revoked", "partitions_lost", "partitions_assigned"):
            here -= set(line["partitions"])
    return here


def fenced(service: Service) -> list[str]:
    """Why a service lost transactions to another producer in its slot; a group that moved on is no such reason."""
    reasons = [line["reason"] for line in service.said("transaction_lost")]
    return [reason for reason in reasons if "fenced" in reason.lower()]


def shared(world: World, *services: Service, timeout: float = 90.0) -> None:
    """Wait until every partition is live, and each of these services has some."""

    def settled() -> bool:
        parts = [live(service) for service in services]
        return all(parts) and sorted(p for part in parts for p in part) == list(range(PARTITIONS))

    until(world, f"{len(services)} instances share all partitions", settled, timeout)


def predicted(world: World, watch: Watch, events: int) -> None:
    """Wait until a reader has seen so many outputs."""
    until(world, f"{events} events are predicted", lambda: watch.seen >= events, 150)


def progress(world: World, watch: Watch, more: int = 400, timeout: float = 90.0) -> None:
    """Wait until a reader has seen so many more outputs."""
    goal = watch.seen + more
    until(world, "work goes on", lambda: watch.seen >= goal, timeout)


def until(world: World, what: str, condition: Any, timeout: float = 90.0) -> None:
    """`eventually`, with the logs of all services where it fails."""
    try:
        eventually(what, condition, timeout)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{world.logs()}") from None
