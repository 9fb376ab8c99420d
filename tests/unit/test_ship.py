"""Images and compose: what their files say of options, versions, users, ports and paths agrees, with the code too."""

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from stream.http.access import Access
from stream.secrets import secret_options, variable
from stream.settings import Settings
from tests.service import ROOT
from tests.ship import SECRETS, USER, settings_of

DOCKER = ROOT / "docker"
SERVICES = ("Dockerfile", "Dockerfile.cuda")
IMAGES = (*SERVICES, "Dockerfile.training")
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
NODES = ("kafka-1", "kafka-2", "kafka-3")
INSTANCES = ("statecast-1", "statecast-2")


def text(name: str) -> str:
    """A Dockerfile, each instruction on a line."""
    return re.sub(r"\s*\\\n\s*", " ", (DOCKER / name).read_text())


def variables() -> set[str]:
    """Every environment variable that the service knows."""
    plain = {variable(section, name) for section in Settings.model_fields for name in _options(section)}
    return plain | {f"{variable(*secret)}_FILE" for secret in secret_options()}


def _options(section: str) -> set[str]:
    kind: Any = Settings.model_fields[section].annotation
    return set(kind.model_fields)


def seconds(duration: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([sm])", duration).groups()  # type: ignore[union-attr]
    return float(number) * {"s": 1, "m": 60}[unit]


def test_every_variable_that_is_named_is_an_option() -> None:
    known = variables()
    named = {
        (str(path.relative_to(ROOT)), name)
        for path in [*DOCKER.rglob("*"), ROOT / "docs" / "deploy.md"]
        if path.is_file() and not {"__pycache__", "secrets"} & set(path.parts)
        for name in re.findall(r"STATECAST_[A-Z]+__[A-Z_]+", path.read_text())
        if not name.endswith("__KEY")  # as in STATECAST_SECTION__KEY
    }
    assert len(named) > 20
    assert not {one for one in named if one[1] not in known}


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_says_its_name_licence_and_version(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for label in re.findall(r"^LABEL (.*)", text(name), re.M):
        found = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]+)"', label))
        assert set(found) == {"title", "description", "licenses", "version"}
        assert found["version"] == project["version"], f"{name}: pyproject.toml has {project['version']}"
        assert found["licenses"] == project["license"]
    assert text(name).count("LABEL ") == text(name).count(f"USER {USER}:{USER}") >= 1


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_installs_nothing_but_what_is_locked(name: str) -> None:
    installs = re.findall(r"pip install ([^&\n]*)", text(name))
    assert len(installs) >= 2
    for options in installs:
        locks = re.findall(r"-r (\S+)", options)
        assert all((ROOT / lock).is_file() for lock in locks)
        assert ("$LOCKED" in options and locks) or "--no-index" in options, options
    assert 'LOCKED="--require-hashes --no-deps --only-binary=:all:"' in text(name)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_based_on_a_version_that_is_named_and_copies_what_the_context_holds(name: str) -> None:
    assert re.findall(r"^ARG BASE=(.*)", text(name), re.M) == ["docker.io/library/python:3.11-slim-bookworm"]
    assert set(re.findall(r"^FROM (\S+)", text(name), re.M)) <= {"${BASE}", "build"}
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", text(name), re.M):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert any(Path(kept) == Path(source) or Path(source) in Path(kept).parents for kept in let_through), source


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_s_image_keeps_to_its_port_its_health_and_its_user(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = dict(re.findall(r"(STATECAST_\w+)=(\S+)", text(name)))
    given |= {"STATECAST_KAFKA__INPUT_TOPIC": "in", "STATECAST_KAFKA__OUTPUT_TOPIC": "out"}
    settings = settings_of(given, tmp_path, monkeypatch)
    assert f"EXPOSE {Access.of(settings.http).address.port}\n" in text(name)
    assert re.search(r"^COPY docker/healthcheck.py /opt/statecast/healthcheck.py$", text(name), re.M)
    assert '"/opt/statecast/healthcheck.py"]' in text(name)
    assert f"--owner={USER} --group={USER} /state\n" in text(name)
    assert "STOPSIGNAL SIGTERM" in text(name)
    assert f"USER = {USER}\n" in (DOCKER / "containers.py").read_text()


def test_compose_is_valid() -> None:
    schema = (files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text()
    jsonschema.validate(COMPOSE, json.loads(schema))


def test_in_compose_every_name_leads_somewhere() -> None:
    services, volumes = COMPOSE["services"], set(COMPOSE["volumes"])
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"]), name
        if "build" in service:
            assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
            assert f"AS {service['build']['target']}" in text(Path(service["build"]["dockerfile"]).name)
        else:
            assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), (
                f"{name}: {service['image']} is no certain version"
            )
        for volume in service.get("volumes", ()):
            if isinstance(volume, str):
                source = volume.partition(":")[0]
                assert (DOCKER / source).exists() if source.startswith(".") else source in volumes, f"{name}: {volume}"


def test_in_compose_every_server_says_how_it_does_and_waits_for_what_it_needs() -> None:
    services = COMPOSE["services"]
    for name in (*NODES, "prometheus", "grafana"):
        assert "test" in services[name]["healthcheck"], name
    for name in INSTANCES:  # the image's own health check
        waits = {of: how["condition"] for of, how in services[name]["depends_on"].items()}
        assert waits == dict.fromkeys(NODES, "service_healthy") | {"topics": "service_completed_successfully"}
    assert set(services["loadtest"]["depends_on"]) == set(INSTANCES)


def test_in_compose_three_nodes_keep_three_copies_and_need_two() -> None:
    environments = [COMPOSE["services"][name]["environment"] for name in NODES]
    voters = ",".join(f"{node}@{name}:9093" for node, name in enumerate(NODES, 1))
    for name, environment in zip(NODES, environments, strict=True):
        assert environment["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voters
        assert f"{environment['KAFKA_NODE_ID']}@{name}:" in voters
        for setting, value in environment.items():
            if setting.endswith("REPLICATION_FACTOR"):
                assert value == 3, setting
            if setting.endswith(("MIN_ISR", "MIN_INSYNC_REPLICAS")):
                assert value == 2, setting
        (port,) = COMPOSE["services"][name]["ports"]
        outside = f"OUTSIDE://127.0.0.1:{port.split(':')[1]}"
        assert environment["KAFKA_ADVERTISED_LISTENERS"] == f"INSIDE://{name}:9092,{outside}"
    assert len({environment["KAFKA_NODE_ID"] for environment in environments}) == len(NODES)


@pytest.mark.parametrize("name", INSTANCES)
def test_in_compose_an_instance_has_settings_that_serve_takes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = COMPOSE["services"][name]
    settings = settings_of(service["environment"], tmp_path, monkeypatch)
    assert settings.kafka.instance_id == name == service["hostname"]
    assert settings.kafka.bootstrap_servers == ",".join(f"{node}:9092" for node in NODES)
    assert settings.kafka.input_topic in COMPOSE["services"]["topics"]["command"]
    access = Access.of(settings.http)  # refuses an address for all without a token
    assert service["ports"][0].endswith(f":{access.address.port}")
    assert service["environment"]["STATECAST_HTTP__TOKEN_FILE"].removeprefix(SECRETS) in service["secrets"]
    assert any(str(volume).endswith(f":{settings.state.state_dir}") for volume in service["volumes"])
    assert seconds(service["stop_grace_period"]) > settings.delivery.stop_timeout
    assert int(COMPOSE["services"]["topics"]["command"][-1]) >= len(INSTANCES)
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]


def test_in_compose_prometheus_asks_every_instance_with_the_token() -> None:
    config = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())
    (job,) = (job for job in config["scrape_configs"] if job["job_name"] == "statecast")
    assert job["static_configs"] == [{"targets": [f"{name}:8080" for name in INSTANCES]}]
    credentials = job["authorization"]["credentials_file"]
    assert credentials.removeprefix(SECRETS) in COMPOSE["services"]["prometheus"]["secrets"]
    assert all((DOCKER / "prometheus" / rules).is_file() for rules in config["rule_files"])


def test_in_compose_no_secret_stands_in_the_file() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for secret in COMPOSE["secrets"].values():
        assert f"docker/{Path(secret['file']).parent.name}/" in ignored
    grafana = COMPOSE["services"]["grafana"]
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"].removeprefix(SECRETS) in grafana["secrets"]
