"""For the tests that run the service as its users do: as a process of its own, against a real broker."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

ROOT = Path(__file__).parents[1]
Event = tuple[bytes | None, bytes | None]


def wait_for(condition: Callable[[], Any], timeout: float, pause: float = 0.05) -> Any:
    """The condition's first true result; its last one at the deadline. pause: seconds between two looks."""
    deadline = time.monotonic() + timeout
    while not (result := condition()) and time.monotonic() < deadline:
        time.sleep(pause)
    return result


def eventually(what: str, condition: Callable[[], Any], timeout: float = 60.0, pause: float = 0.05) -> Any:
    """The condition's first true result; fails with `what` at the deadline."""
    result = wait_for(condition, timeout, pause)
    assert result, f"not within {timeout:g} s: {what}"
    return result


@contextmanager
def meanwhile(turn: Callable[[], Any], pause: float = 0.0) -> Iterator[None]:
    """turn() again and again, in a thread of its own, until the block ends. pause: seconds before each."""
    ended = threading.Event()

    def turns() -> None:
        while not ended.wait(pause):
            turn()

    thread = threading.Thread(target=turns)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def create_topic(servers: str, topic: str, partitions: int = 1) -> None:
    """A new topic, once each partition has a leader."""
    admin = KafkaAdminClient(bootstrap_servers=servers)
    admin.create_topics({topic: {"num_partitions": partitions, "replication_factor": 1}}, wait_for_metadata=True)
    admin.close()


def produce(servers: str, topic: str, events: Iterable[Event], at: int | None = None, **config: Any) -> None:
    """Send events, placed by their key as any producer places them, and wait until they are there. at: timestamp."""
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5, max_request_size=10_000_000, **config)
    sent = [producer.send(topic, key=key, value=value, timestamp_ms=at) for key, value in events]
    producer.flush(60)
    for one in sent:
        one.get(0)
    producer.close()


def readings(count: int, streams: int, first: int = 0) -> Iterator[Event]:
    """Plain events; every stream gets its share, in turn."""
    for i in range(first, first + count):
        value = {"value": round((i * 7919) % 1000 / 10, 1) if i % 17 else None, "ts": 1_700_000_000_000 + i * 10}
        yield b"stream-%d" % (i % streams), json.dumps(value).encode()


def read(servers: str, topic: str) -> list[Any]:
    """Every record that a read_committed reader sees now, partition by partition."""
    consumer = KafkaConsumer(bootstrap_servers=servers, isolation_level="read_committed", auto_offset_reset="earliest")
    partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    found: list[Any] = []
    deadline = time.monotonic() + 60
    while any(consumer.position(p) < ends[p] for p in partitions):
        assert time.monotonic() < deadline, f"{topic} could not be read to its end"
        for records in consumer.poll(500).values():
            found += records
    consumer.close()
    return sorted(found, key=lambda r: (r.partition, r.offset))


@dataclass
class Service:
    """One `statecast serve`, with its log."""

    process: subprocess.Popen[bytes]
    log: Path
    arguments: list[str] = field(default_factory=list)

    def lines(self) -> list[dict[str, Any]]:
        found = []
        for line in self.log.read_text().splitlines():
            with suppress(json.JSONDecodeError):
                found.append(json.loads(line))
        return found

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if isinstance(line, dict) and line.get("event") == event]

    def wait(self, timeout: float = 90.0) -> int:
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {timeout:g} s; its log:\n{self.log.read_text()}") from None

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


def command(*arguments: str, timeout: float = 90.0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a statecast command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "statecast", *arguments],
        capture_output=True, text=True, timeout=timeout, cwd=ROOT, env={**os.environ, **environment}, check=False,
    )  # fmt: skip


@contextmanager
def serving(log: Path, *arguments: str) -> Iterator[Service]:
    """A running service; killed at the end of the block, if it still runs."""
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "statecast", "serve", "--log-format", "json", *arguments],
            stderr=sink, stdout=sink, cwd=ROOT,
        )  # fmt: skip
    service = Service(process, log, list(arguments))
    try:
        yield service
    finally:
        if process.poll() is None:
            service.kill()
