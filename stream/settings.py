"""Every option of the service, typed, declared once, here. Durations are seconds. `configuration` reads them."""

import contextlib
import os
import re
import socket
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from stream.errors import UsageError

TOPIC = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")  # as Kafka names them
SERVER = re.compile(r"([A-Z_]+://)?([^][\s/:]+|\[[^][\s/]+\])(:(?P<port>[0-9]{1,5}))?")  # as both clients take them
YEARS = 1e9  # seconds; about thirty years, which timers and columns of milliseconds still hold


GROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def memory() -> int:
    """The machine's memory, or the control group's limit where that is less. Bytes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no control group, or "max"
        total = min(total, int(GROUP_LIMIT.read_text()))
    return total


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_default=False, allow_inf_nan=False)


def option(default: Any, help: str, *, flag: str | None = None, shown: str | None = None, **limits: Any) -> Any:
    """A field whose help stands in `--help` and in docs/configuration.md; `shown` names a default that is computed."""
    extra: dict[str, Any] = {"flag": flag, "shown": shown}
    if callable(default):
        return Field(default_factory=default, description=help, json_schema_extra=extra, **limits)
    return Field(default, description=help, json_schema_extra=extra, **limits)


class ModelSection(Section):
    path: Path = option(Path("model.onnx"), "the model file that `statecast train` or `export` wrote", flag="model")
    provider: Literal["cpu", "cuda", "auto", "cpu-banked"] = option(
        "cpu", "where the network runs; auto takes cuda where it can, and cpu-banked is cuda's way on the processor"
    )


class KafkaSection(Section):
    bootstrap_servers: str = option("127.0.0.1:9092", "brokers, HOST:PORT[,HOST:PORT]")
    input_topic: str = option("", "the topic of events; it must exist")
    output_topic: str = option("", "the topic of predictions; created where it is missing")
    dead_letter_topic: str = option("", "the topic of events that cannot be stepped", shown="OUTPUT_TOPIC.dead-letters")
    application_id: str = option(
        "", "group id; transactional ids and the changelog are named after it", shown="statecast-INPUT_TOPIC"
    )
    instance_id: str = option(
        socket.gethostname, "this process's place in the group", shown="the host name", min_length=1
    )
    client: Literal["auto", "kafka-python", "confluent"] = option(
        "auto", "client library; auto takes confluent where it is installed"
    )
    codec: str = option(
        "json", "how events and predictions are written: json, msgpack, or MODULE:ATTRIBUTE, an object of yours"
    )
    field: dict[str, str] = option(
        dict,
        "NAME=PATH, where a feature or ts lies in a message, e.g. value=payload.temp; may be given several times",
        shown="at the top, by name",
    )
    session_timeout: float = option(
        10.0, "seconds without a sign of life until others take over; under KIP-848 the brokers set it", ge=1, le=3600
    )
    replication_factor: int | None = option(
        None, "replicas of topics that are created", shown="the broker's default", ge=1, le=32767
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] | None = option(
        None, "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", shown="PLAINTEXT"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = option(
        None, "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", shown="none"
    )
    sasl_username: str | None = option(None, "who logs in with SASL", shown="none", min_length=1)
    sasl_password: SecretStr | None = option(None, "its password", min_length=1)
    ssl_ca: Path | None = option(
        None, "PEM file of the authorities that may sign the brokers' certificates", shown="the system's"
    )
    ssl_certificate: Path | None = option(None, "PEM file of this client's certificate and its chain", shown="none")
    ssl_key: Path | None = option(None, "PEM file of that certificate's key", shown="the certificate's file")
    ssl_key_password: SecretStr | None = option(None, "what that key is encrypted with", min_length=1)
    properties: dict[str, str] = option(
        dict,
        "further client properties in librdkafka's names, e.g. linger.ms; in the environment as one JSON object",
        flag="",
    )

    @field_validator("security_protocol", "sasl_mechanism", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("bootstrap_servers")
    @classmethod
    def _reachable(cls, value: str) -> str:
        for entry in value.split(","):
            match = SERVER.fullmatch(entry.strip())
            if match is None or not 1 <= int(match["port"] or 9092) <= 65535:
                raise ValueError("must be HOST:PORT[,HOST:PORT] with ports from 1 to 65535")
        return value

    @field_validator("field", mode="before")
    @classmethod
    def _paths(cls, value: Any) -> Any:
        from stream.fields import pairs, parts

        found = pairs(value) if isinstance(value, list | tuple) else value
        for path in found.values() if isinstance(found, dict) else ():
            if isinstance(path, str):
                parts(path)
        return found

    @field_validator("codec")
    @classmethod
    def _known(cls, value: str) -> str:
        from stream.formats import find

        try:
            find(value)
        except UsageError as error:
            raise ValueError(str(error).removeprefix(f"--codec {value}: ")) from None
        return value

    @field_validator("instance_id")
    @classmethod
    def _name(cls, value: str) -> str:
        if not (value.isascii() and value.isprintable()):  # librdkafka refuses, or dies of, other ones
            raise ValueError("must be printable ASCII; give another --instance-id")
        return value

    @field_validator("input_topic", "output_topic", "dead_letter_topic", "application_id")
    @classmethod
    def _topic(cls, value: str) -> str:
        """The application id, too: the changelog is named after it."""
        if not TOPIC.fullmatch(value):
            raise ValueError("must be 1 to 249 letters, digits, '.', '_' or '-', and neither '.' nor '..'")
        return value


class DeliverySection(Section):
    delivery: Literal["exactly_once", "at_least_once"] = option(
        "exactly_once", "outputs and offsets together, or outputs at once"
    )
    commit_interval: float = option(0.1, "seconds between two commits, at most", gt=0, le=10)
    broker_timeout: float = option(
        300.0, "seconds that the broker may be away before the service gives up", gt=0, le=YEARS
    )
    stop_timeout: float = option(30.0, "seconds that a stop may take before the process ends itself", gt=0, le=YEARS)
    on_stop: Literal["stay", "leave"] = option(
        "stay", "a stopped process keeps its place for a restart, or leaves it to the others"
    )
    until_end: bool = option(False, "process what is there, commit, exit 0", shown="off")
    workers: int = option(1, "processes that share this one's work, under one parent", ge=1, le=1024)
    batch: int = option(16384, "most events taken at a time", ge=1, le=16384)


class StateSection(Section):
    checkpoint_interval: float = option(10.0, "seconds that a changed row is only in memory, at most", gt=0, le=3600)
    start: Literal["earliest", "latest"] = option(
        "earliest", "where a new application begins to read; a running one goes on where it was"
    )
    warmup: float | None = option(
        None,
        "seconds of input from which a new model, under a running application, builds its state",
        shown="off",
        gt=0,
        le=YEARS,
    )
    state_ttl: float | None = option(
        None,
        "seconds, by the records' timestamps, after which a silent stream starts anew and is forgotten",
        shown="never",
        ge=0.001,  # what they count in
        le=YEARS,
    )
    poison_policy: Literal["skip", "freeze", "reset"] = option(
        "skip",
        "what becomes of a stream after an event that is refused: it goes on, is frozen until a reset, or starts anew",
    )
    state_dir: Path | None = option(
        None, "directory for snapshots and for rows that memory has no room for", shown="none"
    )
    snapshot_interval: float = option(
        300.0, "seconds between two snapshots of a partition; a clean stop takes one, too", gt=0, le=YEARS
    )


class LimitsSection(Section):
    memory_limit: ByteSize = option(
        lambda: memory() // 2,
        "ceiling of the rows and keys of all streams, e.g. 4GiB",
        shown="half of the memory",
        ge=1,
    )
    in_flight_limit: ByteSize = option(
        256 << 20,
        "most bytes of events that wait to be stepped and of predictions that wait for the broker",
        shown="256MiB",
        ge=1 << 20,
    )
    max_key_bytes: int = option(4096, "an event with a longer key is a dead letter", ge=1)
    max_value_bytes: int = option(1_048_576, "an event with a longer value is a dead letter", ge=1)


class HttpSection(Section):
    http: str = option("", "HOST:PORT of the page, the questions, health and metrics", shown="off")
    token: SecretStr | None = option(
        None, "what whoever asks must send; without one only this machine may ask", flag=""
    )
    http_insecure: bool = option(False, "let all who reach HOST:PORT ask, without a token", shown="off")
    stuck_after: float = option(60.0, "seconds in which the loop must come round to be healthy", gt=0, le=YEARS)


class LogSection(Section):
    level: Literal["debug", "info", "warning", "error"] = option("info", "least level that is logged", flag="log-level")
    format: Literal["auto", "console", "json"] = option(
        "auto", "console for people, json for machines; auto takes console at a terminal", flag="log-format"
    )


class Settings(BaseSettings):
    """All sections. Build one with `load`, which turns what is wrong into a UsageError."""

    model_config = SettingsConfigDict(env_prefix="STATECAST_", env_nested_delimiter="__", extra="forbid")

    model: ModelSection = Field(default_factory=ModelSection)
    kafka: KafkaSection = Field(default_factory=KafkaSection)
    delivery: DeliverySection = Field(default_factory=DeliverySection)
    state: StateSection = Field(default_factory=StateSection)
    limits: LimitsSection = Field(default_factory=LimitsSection)
    http: HttpSection = Field(default_factory=HttpSection)
    log: LogSection = Field(default_factory=LogSection)

    @property
    def application_id(self) -> str:
        return self.kafka.application_id or f"statecast-{self.kafka.input_topic}"

    @property
    def slot(self) -> str:
        """This process's name towards the broker: its transactional.id and its group.instance.id."""
        return f"{self.application_id}-{self.kafka.instance_id}"

    @property
    def dead_letter_topic(self) -> str:
        return self.kafka.dead_letter_topic or f"{self.kafka.output_topic}.dead-letters"
