"""What the tests of HTTP share: topics with events of every key, and services that are asked for them."""

import json
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from export.sample import random_model
from tests import web
from tests.service import Service, create_topic, eventually, produce, serving

PARTITIONS = 2
KEYS = [b"pump-%d" % n for n in range(8)] + [b"line/4", b"\xff\x00", b""]


@dataclass
class World:
    """A model and an input topic with an event of each of KEYS; `address` is the service that is asked."""

    servers: str
    folder: Path
    topic: str = field(default_factory=lambda: f"http-{uuid.uuid4().hex[:8]}")
    token: str = ""
    address: str = ""

    def __post_init__(self) -> None:
        random_model(self.folder / "model.onnx", hidden=8, scaling="stream", lags=(1, 2))
        create_topic(self.servers, self.topic, PARTITIONS)
        self.send(*KEYS)

    def arguments(self, instance: str, *more: str) -> list[str]:
        return [
            "--model", str(self.folder / "model.onnx"), "--bootstrap-servers", self.servers, "--session-timeout", "6",
            "--input-topic", self.topic, "--output-topic", f"{self.topic}.out", "--instance-id", instance,
            "--on-stop", "leave", "--http", "127.0.0.1:0", *more,
        ]  # fmt: skip

    @contextmanager
    def serve(self, instance: str, *more: str) -> Iterator[tuple[Service, str]]:
        """(the service, its address), once it is ready."""
        with serving(self.folder / f"{instance}.log", *self.arguments(instance, *more)) as service:
            address = eventually("the HTTP address", lambda: service.said("http"))[0]["address"]
            eventually("readiness", lambda: web.ask(address, "/readyz").status == 200, timeout=120)
            yield service, address

    def send(self, *keys: bytes, value: float = 1.5) -> None:
        produce(self.servers, self.topic, [(key, json.dumps({"value": value}).encode()) for key in keys])

    def ask(self, path: str, method: str = "GET", body: Any = None, address: str = "") -> web.Reply:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return web.ask_again(address or self.address, path, method, body, **headers)

    def stream(self, key: bytes) -> web.Reply:
        return self.ask(f"/v1/streams/{quote(key, safe='')}")

    def step(self, key: bytes) -> int:
        """How many events its stream has had; 0: there is none."""
        reply = self.stream(key)
        return int(reply.json["step"]) if reply.status == 200 else 0

    def follow(self, key: bytes, query: str = "") -> AbstractContextManager[Iterator[dict[str, Any]]]:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return web.following(self.address, f"/v1/streams/{quote(key, safe='')}/events{query}", **headers)
