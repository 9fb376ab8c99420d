"""What docker/ has for Prometheus and Grafana: it names only metrics and labels that there are, and each alert says
what to do."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from stream.metrics import DECLARED
from tests.service import ROOT

PROMETHEUS, GRAFANA = ROOT / "docker" / "prometheus", ROOT / "docker" / "grafana"
RULES, DASHBOARD = PROMETHEUS / "rules.yml", GRAFANA / "dashboards" / "statecast.json"
RUNBOOK = ROOT / "docs" / "runbook.md"
TARGET = {"job", "instance", "worker"}  # what Prometheus and the parent of several workers put on every series
OTHERS = {
    "up": TARGET,
    "ALERTS": TARGET | {"alertname", "alertstate", "severity"},
    "process_cpu_seconds_total": TARGET,
    "process_resident_memory_bytes": TARGET,
    "process_start_time_seconds": TARGET,
}
SEVERITIES = {"warning", "critical"}


def series() -> dict[str, set[str]]:
    """Every series there is -> its labels."""
    found = dict(OTHERS)
    for one in DECLARED:
        labels = {label.name for label in one.labels} | TARGET
        if one.type == "histogram":
            found |= {f"{one.name}_sum": labels, f"{one.name}_count": labels, f"{one.name}_bucket": labels | {"le"}}
        else:
            found[one.name] = labels
    return found


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """(where, expression) of every alert and every panel."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in dashboard()["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["name"], annotation["expr"]


def parsed(expression: str) -> Any:
    """Grafana's durations stand for one of theirs."""
    return promql_parser.parse(re.sub(r"\$__(rate_)?interval", "1m", expression))


class Names(list[Any]):
    """The selectors of an expression, and the labels that it groups or joins by."""

    def __init__(self, expression: Any) -> None:
        super().__init__()
        self.labels: set[str] = set()
        promql_parser.walk(expression, self._enter)

    def _enter(self, node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            self.append(node)
        elif isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            self.labels |= set(node.modifier.labels)
        elif isinstance(node, promql_parser.BinaryExpr) and node.modifier is not None:
            matching = node.modifier.matching
            self.labels |= set(matching.labels if matching is not None else ()) | set(node.modifier.group_labels or ())
        return True


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_series_and_label_that_is_asked_for_is_there(where: str, expression: str) -> None:
    known = series()
    names = Names(parsed(expression))
    assert names, where
    every: set[str] = set()
    for selector in names:
        assert selector.name in known, f"{where}: there is no {selector.name}"
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= known[selector.name], f"{where}: {selector.name} has no {labels - known[selector.name]}"
        every |= known[selector.name]
    assert names.labels <= every, f"{where}: {names.labels - every}"


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_every_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"Statecast[A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"]["summary"]
    page, _, section = rule["annotations"]["runbook"].partition("#")
    assert ROOT / page == RUNBOOK
    assert section == rule["alert"].lower()
    text = re.search(rf"^### {rule['alert']}\n\n((?:.+\n)+)", RUNBOOK.read_text(), re.MULTILINE)
    assert text is not None, f"{RUNBOOK} has no section ### {rule['alert']}"
    assert len(text[1]) > 100


def test_every_section_of_the_runbook_is_of_an_alert_that_there_is() -> None:
    told = set(re.findall(r"^### (Statecast\w+)$", RUNBOOK.read_text(), re.MULTILINE))
    assert told == {rule["alert"] for rule in alerts()}


def test_every_alert_is_tried() -> None:
    """That they pass is promtool's to say."""
    tried = (PROMETHEUS / "rules.test.yml").read_text()
    assert not {rule["alert"] for rule in alerts() if rule["alert"] not in tried}


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not here (Debian: apt-get install prometheus); expressions are parsed without it")
    return found


@pytest.mark.parametrize("what", [["check", "rules", "rules.yml"], ["test", "rules", "rules.test.yml"]])
def test_prometheus_itself_takes_the_rules(what: list[str], promtool: str) -> None:
    found = subprocess.run([promtool, *what], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_prometheus_itself_takes_its_settings(promtool: str, tmp_path: Path) -> None:
    """Apart from the file with the token, which is in the container only."""
    shutil.copy(RULES, tmp_path)
    text = (PROMETHEUS / "prometheus.yml").read_text()
    (tmp_path / "token").touch()
    (tmp_path / "prometheus.yml").write_text(text.replace("/run/secrets/http_token", str(tmp_path / "token")))
    found = subprocess.run(
        [promtool, "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_prometheus_reads_the_rules_and_asks_the_services_of_the_trial() -> None:
    settings = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert settings["rule_files"] == [RULES.name]
    (job,) = [one for one in settings["scrape_configs"] if one["job_name"] == "statecast"]
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    asked = [target.partition(":")[0] for one in job["static_configs"] for target in one["targets"]]
    assert asked
    assert set(asked) <= set(services)


def test_grafana_finds_the_dashboard_and_its_data() -> None:
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/statecast.yml").read_text())["providers"]
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    grafana = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]["grafana"]
    mounted = {volume.split(":")[1] for volume in grafana["volumes"]}
    assert provider["options"]["path"] in mounted
    assert source["type"] == "prometheus"
    assert source["isDefault"]


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    found = dashboard()
    assert found["uid"] == "statecast"
    assert found["id"] is None  # else Grafana refuses to bring it in
    assert found["schemaVersion"] >= 39  # Grafana 11
    ids = [panel["id"] for panel in found["panels"]]
    assert len(ids) == len(set(ids))
    variables = {variable["name"]: variable for variable in found["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "instance"]
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    for name in ("job", "instance"):
        asked = re.fullmatch(r"label_values\((.+), \w+\)", variables[name]["query"]["query"])
        assert asked is not None
        (selector,) = Names(parsed(asked[1]))
        assert selector.name in series()


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows_and_asks_the_chosen_source_for_the_chosen_processes(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert "$job" in target["expr"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    if panel["type"] == "timeseries":
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_no_panel_lies_on_another_and_none_reaches_over_the_edge() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]


def test_every_metric_is_on_the_dashboard() -> None:
    text = DASHBOARD.read_text()
    assert not {one.name for one in DECLARED if one.name not in text}
