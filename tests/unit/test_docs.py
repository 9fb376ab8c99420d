"""The pages say what the code says: every option of `serve`, properties of the clients, and every warning it logs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import ByteSize, SecretStr

from stream.broker.properties import RESERVED, TABLE
from stream.configuration import Option, load, options
from stream.secrets import is_secret
from stream.settings import Section, Settings
from tests.pages import table_of
from tests.service import ROOT

CONFIGURATION, RUNBOOK = (ROOT / "docs" / f"{name}.md" for name in ("configuration", "runbook"))
HEAD = "| flag | key of the file | environment variable | default | meaning |"
REQUIRED = {("kafka", "input_topic"): "in", ("kafka", "output_topic"): "out"}
SAMPLES = {("kafka", "codec"): "msgpack"}  # of options that take only some texts


def declared() -> list[Option]:
    """Every option, in the order of the sections, also those without a flag."""
    flagged = {(o.section, o.name): o for o in options()}
    found = []
    for section, outer in Settings.model_fields.items():
        assert isinstance(outer.annotation, type)
        assert issubclass(outer.annotation, Section)
        for name, field in outer.annotation.model_fields.items():
            bare = Option(section, name, "", field.description or "", field.annotation, "none")
            found.append(flagged.get((section, name), bare))
    return found


def variable(option: Option) -> str:
    return f"STATECAST_{option.section}__{option.name}".upper()


def table() -> str:
    """What docs/configuration.md has to say of the options."""
    lines = [HEAD, "|---|---|---|---|---|"]
    for option in declared():
        flag = f"`--{option.flag}`" if option.flag else "none"
        choices = get_args(option.type) if get_origin(option.type) is Literal else ()
        meaning = option.help + (f": {', '.join(f'`{choice}`' for choice in choices)}" if choices else "")
        key = f"`[{option.section}] {option.name}`"
        variables = f"`{variable(option)}`" + (f" or `{variable(option)}_FILE`" if is_secret(option.type) else "")
        lines.append(f"| {flag} | {key} | {variables} | {option.default} | {meaning} |")
    return "\n".join(lines)


def test_the_table_of_options_is_what_the_settings_declare() -> None:
    assert table_of(CONFIGURATION, HEAD) == table(), (
        f"{CONFIGURATION}: put this in place of the table of options:\n\n{table()}\n"
    )


def sample(kind: Any) -> Any:
    """A value of this type that is nobody's default."""
    if get_origin(kind) is Literal:
        return get_args(kind)[-1]
    if type(None) in get_args(kind):
        return sample(get_args(kind)[0])
    samples = {bool: True, int: 7, float: 1.5, ByteSize: 12_345_678}
    samples |= dict.fromkeys((str, Path, SecretStr), "some")
    return samples.get(kind, {"security.protocol": "SSL"})


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{k}" = {toml(v)}' for k, v in value.items()) + "}"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@pytest.mark.parametrize("option", declared(), ids=lambda o: f"{o.section}.{o.name}")
def test_every_option_is_a_key_of_the_file_and_a_variable(
    option: Option, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = option.section, option.name
    value = SAMPLES.get(place) or sample(option.type)
    others = {place: topic for place, topic in REQUIRED.items() if place != (option.section, option.name)}

    file = tmp_path / "statecast.toml"
    file.write_text(f"[{option.section}]\n{option.name} = {toml(value)}\n")
    assert told(load(others, file), place) == str(value)

    monkeypatch.setenv(variable(option), toml(value).replace(" = ", ": ") if isinstance(value, dict) else str(value))
    assert told(load(others, None), place) == str(value)


def told(settings: Settings, place: tuple[str, str]) -> str:
    value = getattr(getattr(settings, place[0]), place[1])
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(int(value) if isinstance(value, ByteSize) else value)


def warnings() -> Iterator[tuple[str, str]]:
    """(where it is logged, what stands in the line) for every line of the service at warning or above."""
    for path in sorted((ROOT / "stream").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name("log"), attr=level), args=[first, *_]) if level in (
                    "warning", "error", "exception", "critical",
                ):  # fmt: skip
                    place = f"{path.relative_to(ROOT)}:{node.lineno}"
                    assert isinstance(first, ast.Constant), f"{place}: what is logged must have a name"
                    # Of a sentence with gaps, its longest part.
                    yield place, max(re.split(r"%\w", str(first.value)), key=len).strip(" :")


def test_every_warning_and_error_of_the_log_stands_in_the_runbook() -> None:
    found = list(warnings())
    assert any(name == "broker_is_away" for _, name in found)
    text = RUNBOOK.read_text()
    missing = [f"{name} ({place})" for place, name in found if name not in text]
    assert not missing, f"{RUNBOOK} says nothing of: {', '.join(missing)}"


def test_every_property_that_is_refused_or_that_both_clients_have_stands_in_a_page() -> None:
    pages = CONFIGURATION.read_text() + (ROOT / "docs" / "security.md").read_text()
    named = {"security.protocol", "ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.key.password"}
    named |= {"sasl.mechanism", "sasl.username", "sasl.password"}  # which are options by name
    missing = {name for name in RESERVED | TABLE.keys() - named if f"`{name}`" not in pages}
    assert not missing, f"{CONFIGURATION} says nothing of {missing}"
