"""What /readyz and /healthz say when the real thing befalls the service: a broker that is away, a step that hangs, a
long restore."""

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from localbroker.broker import LocalBroker
from tests import web
from tests.recovery.load import Feed
from tests.recovery.world import CLIENTS, World
from tests.service import Service, create_topic, eventually, produce, read, readings

STUCK = 10.0  # seconds; --stuck-after
SLOW = """
import json, time
from pathlib import Path

HERE = Path(__file__).parent

class codec:
    @staticmethod
    def decode(value):
        while (HERE / "hangs").exists():
            time.sleep(0.1)
        if (HERE / "slow").exists():
            time.sleep(0.02)
        return json.loads(value)

    @staticmethod
    def encode(prediction):
        return json.dumps(prediction).encode()
"""


@dataclass
class Health:
    """What one service says of itself."""

    service: Service
    statuses: set[int] = field(default_factory=set)  # of /healthz, as often as it was asked

    def get(self, path: str) -> tuple[int, str]:
        """Status and text; 0 where it does not listen yet."""
        address = self.service.said("http")
        if not address:
            return 0, ""
        try:
            reply = web.ask(address[0]["address"], path)
        except OSError:  # it has not begun to answer
            return 0, ""
        return reply.status, reply.body.decode()

    def ready(self) -> int:
        """The status of /readyz; what /healthz said at the same time is noted."""
        self.statuses.add(self.get("/healthz")[0])
        return self.get("/readyz")[0]

    def is_ready(self) -> bool:
        return self.ready() == 200

    def is_not_ready(self) -> bool:
        return self.ready() == 503

    @property
    def always_healthy(self) -> bool:
        return self.statuses <= {0, 200}

    def metric(self, name: str) -> float:
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_a_broker_that_is_away_makes_the_service_not_ready_and_never_unhealthy(tmp_path: Path) -> None:
    """Idle ones, whose clients say nothing of it, and one that is at work."""
    with LocalBroker() as broker, contextlib.ExitStack() as stack:
        found = []
        for client, name in [(CLIENTS[0], "idle"), (CLIENTS[1], "idle"), (CLIENTS[0], "busy")]:
            topic = f"{name}-{client}"
            create_topic(broker.bootstrap_servers, topic, 1)
            (folder := tmp_path / topic).mkdir()
            world = World(broker.bootstrap_servers, topic, folder, client)
            found.append(Health(stack.enter_context(world.serve("a", "--http", "127.0.0.1:0"))))
        feed = Feed(broker.bootstrap_servers, f"busy-{CLIENTS[0]}", streams=10, pace=100)
        for health in found:
            eventually("ready", health.is_ready, 90)
        stack.enter_context(feed)
        eventually("at work", lambda: found[2].metric("statecast_events_total"))

        broker.kill()
        for health in found:
            eventually("not ready", health.is_not_ready)
        assert all(health.metric("statecast_broker_silent_seconds") > 0 for health in found)
        broker.restart()
        for health in found:
            eventually("ready again", health.is_ready, 90)

        assert all(health.always_healthy for health in found)
        for health in found:
            lines = Counter((line["event"], line.get("partition")) for line in health.service.lines())
            assert not {event: n for event, n in lines.items() if n > 50}, "polls that find no broker drown the log"
        assert all(health.service.process.poll() is None for health in found)


@dataclass
class Slow:
    """A service with a codec that a test can slow down, or stop."""

    servers: str
    topic: str
    folder: Path
    world: World

    def __enter__(self) -> "Slow":
        (self.folder / "slowcodec.py").write_text(SLOW)
        self._path = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = f"{self.folder}{os.pathsep}{self._path or ''}"
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = self._path

    def serve(self, *more: str) -> Any:
        return self.world.serve(
            "a", "--codec", "slowcodec:codec", "--http", "127.0.0.1:0", "--stuck-after", f"{STUCK:g}", "--batch", "10",
            "--checkpoint-interval", "3600", *more,
        )  # fmt: skip

    def mark(self, name: str) -> Path:
        (self.folder / name).touch()
        return self.folder / name


@pytest.fixture
def slow(kafka: Any, make_topic: Callable[..., str], tmp_path: Path) -> Any:
    topic = make_topic()
    with Slow(
        kafka.bootstrap_servers, topic, tmp_path, World(kafka.bootstrap_servers, topic, tmp_path, CLIENTS[0])
    ) as it:
        yield it


def test_a_step_that_hangs_is_unhealthy_by_name(slow: Slow) -> None:
    with slow.serve() as service:
        health = Health(service)
        eventually("ready", health.is_ready, 90)
        assert health.get("/healthz")[0] == 200

        slow.mark("hangs")
        produce(slow.servers, slow.topic, [(b"a", b'{"value": 1}')])

        eventually("unhealthy", lambda: health.get("/healthz")[0] == 503)
        assert "the loop has not come round for" in health.get("/healthz")[1]
        assert health.metric("statecast_loop_idle_seconds") > STUCK


def test_a_long_restore_is_not_ready_and_healthy_throughout_and_then_ready(slow: Slow) -> None:
    # Given: events that were predicted and committed, and rows of which the changelog has none
    events = 1500
    with slow.serve() as service:
        eventually("ready", Health(service).is_ready, 90)
        produce(slow.servers, slow.topic, readings(events, streams=20))
        eventually("predicted", lambda: len(read(slow.servers, slow.world.output)) == events, 90, 0.5)
        service.kill()

    # When: each of them takes its time to be stepped again
    mark = slow.mark("slow")
    with slow.serve() as service:
        health = Health(service)
        eventually("restoring", lambda: health.metric('statecast_partitions{phase="restoring"}'), 90)
        began = time.monotonic()

        def long() -> bool:
            assert health.is_not_ready(), "not slow enough"
            return time.monotonic() - began > 1.2 * STUCK

        eventually("restoring for longer than a loop may stand still", long, pause=0.5)
        mark.unlink()
        eventually("ready", health.is_ready, 90)

        # Then
        assert health.statuses == {200}
        assert len(read(slow.servers, slow.world.output)) == events
