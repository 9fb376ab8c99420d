"""The real service in front of the fortress: what it did, or with which line it ended."""

import json
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from export.sample import random_model
from export.signature import fingerprint, load
from stream.broker.admin import Admin
from stream.broker.port import Identity
from stream.topics import CHANGELOG, changelog_name
from tests.integration.application import one_line
from tests.secure.fortress import Fortress
from tests.service import command, produce, read, readings

EVENTS = 40


@dataclass
class Served:
    """One application. `drains` and `refused` run it once."""

    fortress: Fortress
    input: str
    client: str
    folder: Path
    name: str = field(default_factory=lambda: f"app-{uuid.uuid4().hex[:8]}")

    @staticmethod
    def fill(fortress: Fortress) -> str:
        """A topic with events, and one that is none."""
        topic = fortress.topic()
        produce(fortress.servers, topic, [*readings(EVENTS, streams=4), (b"stream-1", b"nonsense")])
        return topic

    @staticmethod
    def model(folder: Path) -> Path:
        path = folder / "model.onnx"
        if not path.exists():
            random_model(path, seed=0, hidden=4, scaling="stream", lags=(1, 2))
        return path

    @property
    def output(self) -> str:
        return f"{self.name}.out"

    @property
    def letters(self) -> str:
        return f"{self.output}.dead-letters"

    @property
    def changelog(self) -> str:
        return changelog_name(self.name, fingerprint(load(self.model(self.folder))[0]))

    def make_topics(self) -> None:
        """What an administrator makes beforehand where the service may not."""
        with closing(Admin(Identity(self.fortress.servers, "tests", "tests"))) as admin:
            for name, config in ((self.output, {}), (self.letters, {}), (self.changelog, CHANGELOG)):
                admin.create(name, 1, config)

    def arguments(self, door: str, *options: str) -> list[str]:
        return [
            "--model", str(self.model(self.folder)), "--bootstrap-servers", self.fortress.door(door),
            "--client", self.client, "--application-id", self.name, "--input-topic", self.input,
            "--output-topic", self.output, "--instance-id", "one", "--session-timeout", "6",
            "--on-stop", "leave", "--until-end", "--broker-timeout", "30", *options,
        ]  # fmt: skip

    def drains(self, door: str, *options: str, **environment: str) -> str:
        """It works off the input: each event has its one prediction, or its dead letter. What it logged."""
        result = command("serve", *self.arguments(door, *options), **environment)
        assert result.returncode == 0, result.stderr
        outputs = [json.loads(record.value)["offset"] for record in read(self.fortress.servers, self.output)]
        assert sorted(outputs) == list(range(EVENTS))
        assert len(read(self.fortress.servers, self.letters)) == 1
        return result.stdout + result.stderr

    def refused(self, door: str, *options: str, code: int = 1, **environment: str) -> str:
        """The one line with which it ends, in time."""
        result = command("serve", *self.arguments(door, "--log-level", "error", *options), timeout=150, **environment)
        return one_line(result.returncode, result.stderr, code)
