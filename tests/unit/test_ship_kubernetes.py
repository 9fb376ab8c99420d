"""The Kubernetes manifests: valid to the letter, at one with each other, and with settings that `serve` takes."""

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from stream.http.access import Access
from tests.service import ROOT
from tests.ship import USER, settings_of

FOLDER = ROOT / "docker" / "kubernetes"
VERSIONS = ("1.31", "1.37")
MANIFESTS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
KUSTOMIZATION = MANIFESTS.pop("kustomization")
MONITOR = MANIFESTS["monitor"]
POD = MANIFESTS["statefulset"]["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
(MODEL,) = POD["spec"]["initContainers"]


def record(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    properties = {**required, **optional}
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


TEXT, TEXTS = {"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}
# What is used of the Prometheus Operator's ServiceMonitor; its own schema is no part of Kubernetes'.
SERVICE_MONITOR = record(
    {
        "apiVersion": {"const": "monitoring.coreos.com/v1"},
        "kind": {"const": "ServiceMonitor"},
        "metadata": record({"name": TEXT}, labels=TEXTS),
        "spec": record(
            {
                "selector": record({"matchLabels": TEXTS}),
                "endpoints": {
                    "type": "array",
                    "items": record(
                        {"port": TEXT, "path": TEXT, "interval": {"pattern": r"^\d+s$"}},
                        authorization=record({"credentials": record({"name": TEXT, "key": TEXT})}, type=TEXT),
                    ),
                },
            }
        ),
    }
)
KUSTOMIZATION_SCHEMA = record(
    {
        "apiVersion": {"const": "kustomize.config.k8s.io/v1beta1"},
        "kind": {"const": "Kustomization"},
        "namespace": TEXT,
        "resources": {"type": "array", "items": TEXT},
        "configMapGenerator": {"type": "array", "items": record({"name": TEXT, "envs": {"type": "array"}})},
        "images": {"type": "array", "items": record({"name": TEXT, "newName": TEXT, "newTag": TEXT})},
        "labels": {"type": "array", "items": record({"pairs": TEXTS})},
    }
)


def environment() -> dict[str, str]:
    """What the container sees."""
    lines = (FOLDER / "settings.env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for one in CONTAINER["env"]:
        assert ("value" in one) or one["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
        assert one["name"] not in given, f"{one['name']} is given twice"
        given[one["name"]] = one.get("value", "statecast-0")
    return given


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [name for name in MANIFESTS if name != "monitor"])
def test_a_manifest_is_valid_and_has_no_unknown_field(name: str, version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


def test_an_unknown_field_would_be_seen() -> None:
    wrong = {**MANIFESTS["disruption"], "spec": {**MANIFESTS["disruption"]["spec"], "maxUnavailabel": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_the_service_monitor_and_the_kustomization_have_only_the_fields_that_they_should() -> None:
    jsonschema.validate(MONITOR, SERVICE_MONITOR)
    jsonschema.validate(KUSTOMIZATION, KUSTOMIZATION_SCHEMA)


def test_the_kustomization_has_every_manifest_but_the_example_of_a_secret() -> None:
    assert set(KUSTOMIZATION["resources"]) == {f"{name}.yaml" for name in MANIFESTS if name != "secret.example"}
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    assert generated == {"name": "statecast", "envs": ["settings.env"]}
    assert CONTAINER["envFrom"] == [{"configMapRef": {"name": generated["name"]}}]
    tags = {image["name"]: image["newTag"] for image in KUSTOMIZATION["images"]}
    assert set(tags) == {CONTAINER["image"], MODEL["image"]}
    assert tags["statecast"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert KUSTOMIZATION["namespace"] == MANIFESTS["namespace"]["metadata"]["name"]


def test_the_settings_are_ones_that_serve_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(environment(), tmp_path, monkeypatch)
    assert settings.kafka.instance_id == "statecast-0", "the pod's name, which it keeps"
    assert settings.delivery.on_stop == "stay"
    assert Access.of(settings.http).address.port == CONTAINER["ports"][0]["containerPort"]
    assert POD["spec"]["terminationGracePeriodSeconds"] > settings.delivery.stop_timeout
    startup = CONTAINER["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= settings.delivery.broker_timeout
    assert str(settings.state.state_dir) in {mount["mountPath"] for mount in CONTAINER["volumeMounts"]}


def test_selectors_and_ports_lead_to_the_pods() -> None:
    labels = POD["metadata"]["labels"]
    stateful, service = MANIFESTS["statefulset"]["spec"], MANIFESTS["service"]
    selectors = [
        stateful["selector"]["matchLabels"],
        service["spec"]["selector"],
        MANIFESTS["disruption"]["spec"]["selector"]["matchLabels"],
        MANIFESTS["network"]["spec"]["podSelector"]["matchLabels"],
        *(one["labelSelector"]["matchLabels"] for one in POD["spec"]["topologySpreadConstraints"]),
    ]
    assert all(selector == labels for selector in selectors)
    assert MONITOR["spec"]["selector"]["matchLabels"] == service["metadata"]["labels"]
    assert stateful["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    (port,) = CONTAINER["ports"]
    named = [service["spec"]["ports"][0]["targetPort"], MONITOR["spec"]["endpoints"][0]["port"]]
    named += [CONTAINER[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "liveness", "readiness")]
    named += [MANIFESTS["network"]["spec"]["ingress"][0]["ports"][0]["port"]]
    assert set(named) == {port["name"]}
    broker = re.search(r"BOOTSTRAP_SERVERS=\S+:(\d+)", (FOLDER / "settings.env").read_text())
    assert broker is not None
    assert {"protocol": "TCP", "port": int(broker[1])} in MANIFESTS["network"]["spec"]["egress"][-1]["ports"]


def test_the_probes_ask_what_they_should() -> None:
    assert CONTAINER["startupProbe"]["httpGet"]["path"] == CONTAINER["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert CONTAINER["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert MONITOR["spec"]["endpoints"][0]["path"] == "/metrics"


def test_every_secret_that_is_used_is_in_the_example_and_has_no_value() -> None:
    example = MANIFESTS["secret.example"]
    folder = "/run/secrets/statecast/"
    used = {value.removeprefix(folder) for value in environment().values() if value.startswith(folder)}
    credentials = MONITOR["spec"]["endpoints"][0]["authorization"]["credentials"]
    assert set(example["stringData"]) == used
    assert credentials["key"] in used
    assert set(example["stringData"].values()) == {"REPLACE-ME"}
    (volume,) = (volume for volume in POD["spec"]["volumes"] if "secret" in volume)
    assert volume["secret"]["secretName"] == credentials["name"] == example["metadata"]["name"]


def test_every_mount_has_its_volume() -> None:
    volumes = {volume["name"] for volume in POD["spec"]["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in MANIFESTS["statefulset"]["spec"]["volumeClaimTemplates"]}
    mounts = [mount["name"] for container in (CONTAINER, MODEL) for mount in container["volumeMounts"]]
    assert set(mounts) == volumes
    model = MODEL["command"][-1]
    assert f"STATECAST_MODEL__PATH={model}" in (ROOT / "docker" / "Dockerfile").read_text()
    assert MODEL["command"][1] in (ROOT / "docker" / "Dockerfile.model").read_text()


def test_nothing_runs_as_root_or_writes_where_it_need_not() -> None:
    pod = POD["spec"]["securityContext"]
    assert pod["runAsNonRoot"]
    assert {pod["runAsUser"], pod["runAsGroup"], pod["fsGroup"]} == {int(USER)}
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (CONTAINER, MODEL):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
    assert POD["spec"]["automountServiceAccountToken"] is False


def test_memory_is_reserved_as_it_is_limited() -> None:
    resources = CONTAINER["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert "cpu" not in resources["limits"]
