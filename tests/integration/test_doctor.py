"""`statecast doctor`, on a real broker: what it finds, what it advises, and that it leaves nothing behind."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stream.broker.admin import Admin
from stream.broker.port import Identity
from tests.integration.application import Application
from tests.service import command, produce, readings

MakeTopic = Callable[..., str]
Findings = dict[str, list[dict[str, Any]]]


def examine(application: Application, *more: str, code: int = 0) -> Findings:
    result = command("doctor", "--json", *application.arguments(*more))
    assert (result.returncode, result.stderr) == (code, "")
    findings: Findings = {}
    for finding in json.loads(result.stdout):
        findings.setdefault(finding["what"], []).append(finding)
    return findings


def topics(application: Application) -> list[str]:
    with closing(Admin(Identity(application.servers, application.name, "a-look"))) as admin:
        return [name for name in admin.topics() if application.name in name or name == application.input]


@pytest.fixture(params=["confluent", "kafka-python"])
def new(kafka: Any, make_topic: MakeTopic, tmp_path: Path, request: pytest.FixtureRequest) -> Application:
    return Application(kafka.bootstrap_servers, tmp_path, make_topic(partitions=2), request.param)


def test_an_application_that_is_new_is_well_and_nothing_is_made_by_looking(new: Application) -> None:
    found = examine(new, "--state-dir", str(new.folder / "state"))
    levels = {finding["level"] for findings in found.values() for finding in findings}
    assert "fault" not in levels
    assert found["events"][0]["level"] == "note"
    assert "is new" in found["group"][0]["seen"]
    assert "serve` creates it" in found["changelog"][0]["seen"]
    assert topics(new) == [new.input]


def test_one_that_has_worked_is_told_with_its_lag_and_its_events(application: Application) -> None:
    produce(application.servers, application.input, readings(30, streams=3))
    produce(application.servers, application.input, [(b"a", b"nonsense")])
    found = examine(application)
    assert "31 events before it" in found["group"][0]["seen"]
    (events,) = found["events"]
    assert events["level"] == "warning"
    assert events["seen"].startswith("1 of the last ")
    assert "all that are needed" in found["rights"][0]["seen"]
    found = examine(application, "--field", "value=payload.value", "--workers", "9", code=1)
    assert found["events"][0]["level"] == "fault"
    assert "give at most" in found["workers"][0]["mend"]


def test_another_model_without_a_warmup_is_a_fault_as_it_is_for_serve(application: Application) -> None:
    other = application.but(seed=1)
    (group,) = examine(other, code=1)["group"]
    assert group["level"] == "fault"
    assert "--warmup" in group["mend"]
    assert examine(other, "--warmup", "3600")["group"][0]["level"] == "warning"


@pytest.mark.parametrize(
    ("config", "told"), [({"cleanup.policy": "compact"}, "compacted"), ({"retention.ms": "3600000"}, "1.0 hours")]
)
def test_an_input_topic_that_loses_events_is_told(
    kafka: Any, make_topic: MakeTopic, tmp_path: Path, config: dict[str, str], told: str
) -> None:
    application = Application(kafka.bootstrap_servers, tmp_path, make_topic(config=config))
    found = examine(application, code=int(told == "compacted"))
    assert any(told in finding["seen"] for finding in found["input topic"])


def test_outputs_that_are_laid_out_otherwise_are_told_and_the_rest_is_looked_at_all_the_same(
    new: Application, make_topic: MakeTopic
) -> None:
    found = examine(new, "--output-topic", make_topic(partitions=5), code=1)
    assert "has 5 partitions" in found["topics"][0]["seen"]
    assert {"rights", "group", "events"} <= found.keys()


def test_no_broker_no_model_and_a_port_that_is_taken_are_all_told_at_once(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = command(
            "doctor", "--bootstrap-servers", "127.0.0.1:1", "--model", str(tmp_path / "none.onnx"), "--http", address,
            "--input-topic", "a", "--output-topic", "b", "--workers", "1000",
        )  # fmt: skip
    lines = result.stdout.splitlines()
    assert result.returncode == 1
    for told in ("FAULT   model:", "FAULT   broker:", "warning http:", "warning processors:"):
        assert any(line.startswith(told) for line in lines), told
