"""A running service is asked, against a real broker: what it says is what it published, and a reset is one record."""

import json
from typing import Any

import pytest

from tests import web
from tests.integration.application import Application, MakeApplication
from tests.service import Service, eventually, produce, read

STREAMS, EVENTS, PARTITIONS = 40, 400, 3


class Asked:
    """A service that runs, and whoever asks it."""

    def __init__(self, application: Application, service: Service) -> None:
        self.application, self.service = application, service
        self.address = eventually("it listens", lambda: service.said("http"))[0]["address"]

    def get(self, path: str, method: str = "GET", body: Any = None) -> Any:
        reply = web.ask_again(self.address, f"/{path}", method, body)
        assert reply.status < 300, reply.body
        return reply.body.decode() if path == "metrics" else reply.json

    def lags(self) -> list[float]:
        lines = self.get("metrics").splitlines()
        return [float(line.split()[1]) for line in lines if line.startswith("statecast_consumer_lag_events{")]

    def last(self) -> dict[str, dict[str, Any]]:
        """Stream -> the last prediction that was published of it."""
        return {r.key.decode(): json.loads(r.value) for r in read(self.application.servers, self.application.output)}

    def has(self, stream: str) -> bool:
        return any(stream == there["key"] for there in self.get(f"v1/streams?prefix={stream}")["streams"])


def settled(asked: Asked, events: int, workers: int) -> None:
    """Wait until so many events were processed, each worker has its share, and the brokers were asked since."""

    def done() -> bool:
        told = asked.get("v1/overview")
        partitions = told["partitions"]
        shared = len({p["worker"] for p in partitions}) == workers and len(partitions) == PARTITIONS
        return told["ready"] and shared and sum(p["position"] for p in partitions) == events

    eventually("all is processed", done)
    eventually("no partition lags", lambda: asked.lags() == [0.0] * PARTITIONS)


@pytest.mark.parametrize(
    ("client", "more"), [("confluent", ()), ("kafka-python", ()), ("confluent", ("--workers", "2"))]
)
def test_what_a_running_service_says_is_what_it_published(
    make: MakeApplication, client: str, more: tuple[str, ...]
) -> None:
    application = make(client, PARTITIONS)
    application.feed(EVENTS)
    with application.serving("--http", "127.0.0.1:0", *more) as service:
        asked = Asked(application, service)
        settled(asked, EVENTS, 2 if more else 1)
        published = asked.last()

        # Each stream says what was last published of it
        streams = asked.get("v1/streams")["streams"]
        assert [stream["key"] for stream in streams] == sorted(published)
        for stream in streams[:5]:
            found = asked.get(f"v1/streams/{stream['path']}")
            same = ("prediction", "lower", "upper", "step", "offset", "ts")
            assert [found[name] for name in same] == [published[stream["key"]][name] for name in same]
            assert found["event"]["ts"] == found["ts"]

        # So does the first step of a forecast, which changes nothing
        for _ in range(2):
            first = asked.get("v1/streams/stream-7/forecast", "POST", {"steps": 3, "samples": 50})["steps"][0]
            assert first["prediction"] == published["stream-7"]["prediction"]

        # A reset is a null record in the stream's own partition
        (partition, offset), *others = asked.get("v1/streams/stream-7", "DELETE")["placed"].items()
        assert not others
        nulls = [r for r in read(application.servers, application.input) if r.value is None]
        assert [(r.partition, r.offset, r.key) for r in nulls] == [(int(partition), offset, b"stream-7")]
        eventually("it is reset", lambda: not asked.has("stream-7"))
        produce(application.servers, application.input, [(b"stream-7", b'{"value": 1.0}')])
        eventually("it begins anew", lambda: asked.has("stream-7"))
        assert asked.get("v1/streams/stream-7")["step"] == 1

        service.terminate()
        assert service.wait() == 0, service.log.read_text()
