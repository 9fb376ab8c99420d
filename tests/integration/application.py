"""One application of the service on a real broker, and what may be done to its topics and its group behind its back."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.structs import OffsetAndMetadata

from export.sample import random_model
from export.signature import fingerprint, load
from stream.broker.admin import Admin
from stream.broker.port import Identity
from stream.state.changelog import MARKER
from stream.topics import changelog_name
from tests.service import Service, command, eventually, produce, read, readings, serving


@dataclass
class Application:
    """A model, an input topic and everything that is named after the application id."""

    servers: str
    folder: Path
    input: str
    client: str = "confluent"
    name: str = field(default_factory=lambda: f"app-{uuid.uuid4().hex[:8]}")
    seed: int = 0

    def __post_init__(self) -> None:
        self.model = self.folder / f"model-{self.seed}.onnx"
        if not self.model.exists():
            random_model(self.model, seed=self.seed, hidden=4, scaling="stream", lags=(1, 2))

    def but(self, **changed: Any) -> "Application":
        """The same application with something else in it."""
        return replace(self, **changed)

    @property
    def output(self) -> str:
        return f"{self.name}.out"

    @property
    def changelog(self) -> str:
        return changelog_name(self.name, fingerprint(load(self.model)[0]))

    def arguments(self, *more: str) -> list[str]:
        return [
            "--model", str(self.model), "--bootstrap-servers", self.servers, "--client", self.client,
            "--input-topic", self.input, "--output-topic", self.output, "--application-id", self.name,
            "--instance-id", "one", "--session-timeout", "6", "--on-stop", "leave", *more,
        ]  # fmt: skip

    # What its user does.

    def feed(self, count: int = 400, first: int = 0) -> None:
        produce(self.servers, self.input, readings(count, streams=40, first=first))

    def serving(self, *more: str) -> AbstractContextManager[Service]:
        return serving(self.folder / f"serve-{uuid.uuid4().hex[:8]}.log", *self.arguments(*more))

    def drain(self, *more: str) -> Service:
        with self.serving("--until-end", *more) as service:
            assert service.wait() == 0, service.log.read_text()
        return service

    def predicted(self, count: int) -> None:
        """Wait until there are so many outputs. A look reads them all, beside the service, so it is not taken often."""
        eventually(f"{count} outputs", lambda: len(read(self.servers, self.output)) == count, 90, pause=0.5)

    def crashed(self) -> None:
        """It has predicted everything, and died before its rows were in the changelog."""
        wanted = sum(self.ends().values())
        with self.serving("--checkpoint-interval", "3600") as service:
            self.predicted(wanted)
            service.kill()

    def outputs(self) -> list[tuple[bytes, int, int]]:
        """(stream, input offset, step) of every prediction, partition by partition."""
        told = [(r.key, json.loads(r.value)) for r in read(self.servers, self.output)]
        return [(key, value["offset"], value["step"]) for key, value in told]

    def refused(self, *more: str, code: int = 1) -> str:
        """The one line with which a start ends. Nothing of what is there is changed by it."""
        before = self.standing()
        result = command("serve", *self.arguments("--until-end", "--log-level", "error", *more))
        line = one_line(result.returncode, result.stderr, code)
        assert self.standing() == before
        return line

    # What is there.

    def standing(self) -> dict[str, Any]:
        """Topics, where they begin and end, and the group's offsets. Of the changelog its rows: a start may make it,
        and say in it that it has a partition, before it is refused another."""
        with closing(self.asking()) as admin:
            found: dict[str, Any] = {}
            for topic in (self.input, self.output, f"{self.output}.dead-letters", self.changelog):
                info = admin.describe(topic)
                if info is not None:
                    marks = admin.watermarks(topic, range(info.partitions), 10)
                    found[topic] = (info.topic_id, info.partitions, info.config["cleanup.policy"], marks)
        rows = []
        if found.pop(self.changelog, None) is not None:
            rows = [(r.partition, r.key, r.value) for r in read(self.servers, self.changelog) if r.key != MARKER]
        return {**found, "rows": sorted(rows, key=repr), "group": self.committed()}

    def asking(self) -> Admin:
        return Admin(Identity(self.servers, self.name, f"{self.name}-test"))

    def ends(self) -> dict[int, int]:
        with closing(self.asking()) as admin:
            info = admin.describe(self.input)
            assert info is not None
            return {p: end for p, (_, end) in admin.watermarks(self.input, range(info.partitions), 10).items()}

    def committed(self) -> dict[int, int]:
        with kafka_admin(self.servers) as admin:
            found = admin.list_group_offsets(self.name)[self.name]
        return {tp.partition: told.offset for tp, told in found.items() if told.offset >= 0}

    # What should not be done to it.

    def commit(self, offsets: dict[int, int]) -> None:
        """Set the group's offsets, as kafka-consumer-groups does."""
        wanted = {TopicPartition(self.input, p): OffsetAndMetadata(o, "", -1) for p, o in offsets.items()}

        def done() -> bool:
            with kafka_admin(self.servers) as admin:
                admin.alter_group_offsets(self.name, wanted)
            return self.committed() == {**self.committed(), **offsets}

        eventually("the offsets are set", done)

    def forget_offsets(self) -> None:
        with kafka_admin(self.servers) as admin:
            admin.delete_group_offsets(self.name, [TopicPartition(self.input, p) for p in self.committed()])
        eventually("the offsets are gone", lambda: not self.committed())

    def write_state(self, partition: int, key: bytes, value: bytes) -> int:
        """Put a record into the changelog by hand; its offset."""
        producer = KafkaProducer(bootstrap_servers=self.servers)
        try:
            return int(producer.send(self.changelog, key=key, value=value, partition=partition).get(30).offset)
        finally:
            producer.close()

    def truncate(self, topic: str, before: dict[int, int]) -> None:
        """What retention does. Kafka deletes nothing from a topic that is only compacted."""
        resource = (ConfigResourceType.TOPIC, topic)
        with closing(self.asking()) as asking, kafka_admin(self.servers) as admin:
            info = asking.describe(topic)
            assert info is not None
            admin.alter_configs([ConfigResource(*resource, {"cleanup.policy": "delete"})])
            admin.delete_records({TopicPartition(topic, p): offset for p, offset in before.items()})
            admin.alter_configs([ConfigResource(*resource, {"cleanup.policy": info.config["cleanup.policy"]})])

    def delete(self, topic: str) -> None:
        with closing(self.asking()) as admin:
            admin.delete(topic, 30)

    def make(self, topic: str, partitions: int, **config: str) -> None:
        with closing(self.asking()) as admin:
            admin.create(topic, partitions, {name.replace("_", "."): value for name, value in config.items()})

    def add_partitions(self, topic: str, partitions: int) -> None:
        with kafka_admin(self.servers) as admin:
            admin.create_partitions({topic: partitions})


MakeApplication = Callable[..., Application]


@contextmanager
def kafka_admin(servers: str) -> Iterator[Any]:
    with closing(KafkaAdminClient(bootstrap_servers=servers)) as admin:
        yield admin


def one_line(code: int, told: str, wanted: int = 1) -> str:
    """What a command that failed said on stderr."""
    assert code == wanted, told
    assert told.startswith("statecast: "), told
    assert told.count("\n") == 1, told
    return told


def last_line(service: Service, timeout: float = 90.0) -> str:
    """The line with which a service ends that was running; it ends with 1."""
    code = service.wait(timeout)
    log = service.log.read_text()
    assert code == 1, log
    assert "Traceback" not in log
    lines = log.splitlines()
    assert [line for line in lines if line.startswith("statecast: ")] == lines[-1:], log
    return lines[-1]


def homes(application: Application) -> dict[bytes, int]:
    """Stream -> its partition."""
    return {r.key: r.partition for r in read(application.servers, application.input)}


def steps(application: Application, begin: dict[int, int] | None = None) -> list[tuple[bytes, int, int]]:
    """What `outputs` gives when every event from `begin` on has its prediction."""
    counts: dict[bytes, int] = {}
    found = []
    for record in read(application.servers, application.input):
        if begin is None or record.offset >= begin[record.partition]:
            counts[record.key] = counts.get(record.key, 0) + 1
            found.append((record.key, record.offset, counts[record.key]))
    return found


def damages(application: Application) -> dict[str, tuple[bytes, bytes, str]]:
    """name -> (key, value, what is said) of records that no version wrote for this model."""
    row = next(
        r
        for r in read(application.servers, application.changelog)
        if r.key[:1] == b"r" and r.value and len(r.value) > 40
    )
    width = row.value[4:8]
    return {
        "format": (row.key, b"\7" + row.value[1:], "format 7"),
        "width": (row.key, row.value[:4] + b"\xff\0\0\0" + row.value[8:], "255 floats"),
        "cut": (row.key, row.value[:-3], "cut or damaged"),
        "garbage": (b"rpump", b"garbage of some length", "format 103"),
        "key": (b"?", b"\1\0\0\0" + width, "b'?'"),
        "marker": (b"m", b"{", "a marker that cannot be read"),
        "marker of a later version": (b"m", b'{"format": 2}', "a marker"),
    }
