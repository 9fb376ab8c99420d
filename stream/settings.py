"""Every option of the service, typed, in one place.

An option is declared once, here. It can be given as a flag (`--commit-interval 0.2`), as an environment variable
(`STATECAST_DELIVERY__COMMIT_INTERVAL=0.2`) or in a TOML file (`[delivery] commit_interval = 0.2`, `--config FILE`);
flags win over the environment, the environment over the file. Durations are seconds.
"""

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from stream.errors import UsageError


def _memory() -> int:
    """Half of the machine's memory, or of the control group's limit where that is less. Bytes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no control group, or "max"
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total // 2


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_default=False)


def option(default: Any, help: str, *, flag: str | None = None, shown: str | None = None, **limits: Any) -> Any:
    """A field whose help stands in `--help` and in the reference; `shown` names a default that is computed."""
    extra: dict[str, Any] = {"flag": flag, "shown": shown}
    if callable(default):
        return Field(default_factory=default, description=help, json_schema_extra=extra, **limits)
    return Field(default, description=help, json_schema_extra=extra, **limits)


class ModelSection(Section):
    path: Path = option(Path("model.onnx"), "the model file that `statecast train` or `export` wrote", flag="model")
    provider: Literal["cpu"] = option("cpu", "where the network runs")


class KafkaSection(Section):
    bootstrap_servers: str = option("127.0.0.1:9092", "brokers, HOST:PORT[,HOST:PORT]", min_length=1)
    input_topic: str = option("", "the topic of events; it must exist", min_length=1)
    output_topic: str = option("", "the topic of predictions; created where it is missing", min_length=1)
    dead_letter_topic: str = option("", "the topic of events that cannot be stepped", shown="OUTPUT_TOPIC.dead-letters")
    application_id: str = option("", "group id; transactional ids are named after it", shown="statecast-INPUT_TOPIC")
    instance_id: str = option(socket.gethostname, "this process's place in the group", shown="the host name")
    client: Literal["auto", "kafka-python", "confluent"] = option(
        "auto", "client library; auto takes confluent where it is installed"
    )
    session_timeout: float = option(10.0, "seconds without a sign of life until others take over", ge=1)
    replication_factor: int | None = option(None, "of topics that are created", shown="the broker's default", ge=1)
    properties: dict[str, str] = option(
        dict, "client properties in librdkafka's names, e.g. security.protocol; file and environment only", flag=""
    )


class DeliverySection(Section):
    delivery: Literal["exactly_once", "at_least_once"] = option(
        "exactly_once", "outputs and offsets together, or outputs at once"
    )
    commit_interval: float = option(0.1, "longest time between two commits", gt=0, le=10)
    broker_timeout: float = option(300.0, "how long the broker may be away before the service gives up", gt=0)
    stop_timeout: float = option(30.0, "how long a stop may take before the process ends itself", gt=0)
    on_stop: Literal["stay", "leave"] = option(
        "stay", "a stopped process keeps its place for a restart, or leaves it to the others"
    )
    until_end: bool = option(False, "process what is there, commit, exit 0")
    batch: int = option(16384, "most events taken at a time", ge=1, le=1_000_000)


class StateSection(Section):
    checkpoint_interval: float = option(10.0, "longest time that a changed row is only in memory", gt=0, le=3600)
    start: Literal["earliest", "latest"] = option("earliest", "where a new application begins to read its input")
    warmup: float | None = option(
        None,
        "seconds of input from which a new model, under a running application, builds its state",
        shown="off",
        gt=0,
    )
    state_ttl: float | None = option(
        None, "seconds, by the records' timestamps, after which a silent stream starts anew", shown="never", gt=0
    )
    state_dir: Path | None = option(
        None, "directory for snapshots and for rows that memory has no room for", shown="none"
    )
    snapshot_interval: float = option(300.0, "time between two snapshots in the state directory", gt=0)


class LimitsSection(Section):
    memory_limit: ByteSize = option(
        _memory, "ceiling of the rows and keys of all streams, e.g. 4GiB", shown="half of the memory"
    )
    max_key_bytes: int = option(4096, "an event with a longer key is a dead letter", ge=1)
    max_value_bytes: int = option(1_048_576, "an event with a longer value is a dead letter", ge=1)


class HttpSection(Section):
    http: str = option("", "HOST:PORT of health and metrics", shown="off")


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


@dataclass(frozen=True)
class Option:
    """One option as the command line shows it."""

    section: str
    name: str
    flag: str
    help: str
    type: Any
    default: str


def options() -> Iterator[Option]:
    """Every option that has a flag, in the order of the sections."""
    for section, outer in Settings.model_fields.items():
        assert isinstance(outer.annotation, type)
        assert issubclass(outer.annotation, Section)
        for name, field in outer.annotation.model_fields.items():
            extra = field.json_schema_extra
            assert isinstance(extra, dict)
            if extra["flag"] != "":
                flag = str(extra["flag"] or name.replace("_", "-"))
                yield Option(section, name, flag, field.description or "", field.annotation, _shown(field, extra))


def _shown(field: FieldInfo, extra: Mapping[str, Any]) -> str:
    return str(extra["shown"] or ("required" if field.default == "" else field.default))


def load(flags: Mapping[tuple[str, str], Any], config: Path | None) -> Settings:
    """Settings from flags {(section, name): value}, the environment and a TOML file.

    Raises UsageError that names the option, the value seen and what it must be.
    """
    given: dict[str, dict[str, Any]] = {}
    for (section, name), value in flags.items():
        given.setdefault(section, {})[name] = value
    if config is not None and not config.is_file():
        raise UsageError(f"--config {config}: no such file; give the path of a TOML file")

    class Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            *_others: PydanticBaseSettingsSource,
            **_more: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            files = () if config is None else (TomlConfigSettingsSource(settings_cls, config),)
            return (init_settings, env_settings, *files)

    # A required option is one whose section is always validated, given or not.
    given.setdefault("kafka", {})
    try:
        settings = Sourced(**given)  # type: ignore[arg-type]
        for name in ("input_topic", "output_topic"):
            if not getattr(settings.kafka, name):
                raise UsageError(f"--{name.replace('_', '-')}: is missing; give the name of a topic")
        return settings
    except ValidationError as error:
        raise UsageError("; ".join(_told(e["loc"], e["input"], e["msg"]) for e in error.errors())) from None
    except SettingsError as error:  # a section given whole, in a variable, that is not JSON
        raise UsageError(f"environment STATECAST_*: {error}; give JSON for a table") from None
    except ValueError as error:  # TOML that cannot be parsed
        raise UsageError(f"--config {config}: {error}") from None


def _told(place: tuple[int | str, ...], seen: object, message: str) -> str:
    where = ".".join(map(str, place))
    for known in options():
        if place == (known.section, known.name):
            where = f"--{known.flag} (or [{known.section}] {known.name})"
    return f"{where}: {message}, not {seen!r}" if place else message
