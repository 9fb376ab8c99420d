"""Where options come from: flags (`--commit-interval 0.2`), environment variables
(`STATECAST_DELIVERY__COMMIT_INTERVAL=0.2`), a TOML file (`[delivery] commit_interval = 0.2`, `--config FILE`). Flags
win over the environment, the environment over the file. Of secrets see `secrets`.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsError,
    TomlConfigSettingsSource,
)

from stream import secrets
from stream.errors import UsageError
from stream.settings import Section, Settings

Origin = Literal["flag", "environment", "file", "default"]


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
            if extra["flag"] != "" and not secrets.is_secret(field.annotation):
                flag = str(extra["flag"] or name.replace("_", "-"))
                yield Option(section, name, flag, field.description or "", field.annotation, _shown(field, extra))


def _shown(field: FieldInfo, extra: Mapping[str, Any]) -> str:
    return str(extra["shown"] or ("required" if field.default == "" else field.default))


def load(
    flags: Mapping[tuple[str, str], Any], config: Path | None, required: Sequence[str] = ("input_topic", "output_topic")
) -> Settings:
    """Settings from flags {(section, name): value}, the environment and a TOML file. required: topics to be named.

    Raises UsageError that names the option, the value seen and what it must be.
    """
    return load_from(flags, config, required)[0]


def load_from(
    flags: Mapping[tuple[str, str], Any], config: Path | None, required: Sequence[str] = ()
) -> tuple[Settings, dict[tuple[str, str], Origin]]:
    """As `load`, and where each option that was given comes from."""
    given: dict[str, dict[str, Any]] = {}
    for (section, name), value in flags.items():
        given.setdefault(section, {})[name] = value
    if config is not None and not config.is_file():
        raise UsageError(f"--config {config}: no such file; give the path of a TOML file")
    sources: list[tuple[Origin, Callable[[], dict[str, Any]]]] = []

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
            assert isinstance(env_settings, EnvSettingsSource)
            env_settings.env_vars = secrets.with_files(env_settings.env_vars)
            sources.extend([("flag", init_settings), ("environment", env_settings)])
            if config is None:
                return (init_settings, env_settings)
            file = TomlConfigSettingsSource(settings_cls, config)
            sources.append(("file", file))
            return (init_settings, env_settings, file)

    # A required option is one whose section is always validated, given or not.
    given.setdefault("kafka", {})
    try:
        settings = Sourced(**given)  # type: ignore[arg-type]
        for name in required:
            if not getattr(settings.kafka, name):
                raise UsageError(f"--{name.replace('_', '-')}: is missing; give the name of a topic")
        if config is not None:
            _warn(config, sources[-1][1]())
        return settings, _origins(sources)
    except ValidationError as error:
        raise UsageError("; ".join(_told(e["loc"], e["input"], e["msg"], e["type"]) for e in error.errors())) from None
    except SettingsError as error:  # a section given whole, in a variable, that is not JSON
        raise UsageError(f"environment STATECAST_*: {error}; give JSON for a table") from None
    except ValueError as error:  # TOML that cannot be parsed
        raise UsageError(f"--config {config}: is not TOML ({error}); mend the file") from None
    except OSError as error:
        raise UsageError(f"--config {config}: cannot be read ({error.strerror}); give a readable file") from None


def _origins(
    sources: Sequence[tuple[Origin, Callable[[], dict[str, Any]]]],
) -> dict[tuple[str, str], Origin]:
    found: dict[tuple[str, str], Origin] = {}
    for origin, source in sources:  # the one that wins comes first
        for section, part in source().items():
            for name in part:
                found.setdefault((section, name), origin)
    return found


def _warn(config: Path, told: Mapping[str, Any]) -> None:
    """Say so where secrets lie open. told: what the file says. No log is set up yet."""
    held = [f"[{section}] {name}" for section, name in secrets.secret_options() if name in told.get(section, {})]
    properties = told.get("kafka", {}).get("properties", {})
    held += [f"[kafka.properties] {name}" for name in properties if secrets.is_secret_property(name)]
    if (warning := secrets.exposed(config, held)) is not None:
        print(f"statecast: warning: {warning}", file=sys.stderr)


def _told(place: tuple[int | str, ...], seen: object, message: str, kind: str) -> str:
    where = ".".join(map(str, place))
    if place[:2] in set(secrets.secret_options()):
        section, name = map(str, place[:2])
        return f"{secrets.variable(section, name)} (or [{section}] {name}): must be a text that is not empty"
    for known in options():
        if place == (known.section, known.name):
            where = f"--{known.flag} (or [{known.section}] {known.name})"
    if kind == "extra_forbidden":
        return f"{where}: there is no such option; `statecast serve --help` lists them"
    if place[:2] == ("kafka", "properties") and len(place) > 2:  # what was seen may be a secret
        mend = (
            'the whole name into quotes, e.g. "sasl.password" = "..."'
            if isinstance(seen, dict)
            else "the value into quotes"
        )
        return f"[kafka] properties: {place[2]}: put {mend}"
    if kind.startswith("byte_size"):
        message = "must be a number of bytes, e.g. 4GiB"
    message = message.removeprefix("Value error, ")
    if len(place) < 2 or isinstance(seen, dict):  # a whole section, or what stands in its place, may hold a secret
        return f"{where}: {message}, not {type(seen).__name__}" if place else message
    return f"{where}: {message}, not {seen!r}"
