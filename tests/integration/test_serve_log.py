"""The log of the service at work: what it says first, what it keeps to itself, and how little it says of much."""

import json
import os
import platform
import uuid
from collections import Counter
from datetime import datetime
from importlib.metadata import version
from typing import Any

import onnxruntime
import pytest

from export.sample import random_model
from stream import VERSION
from stream.repeats import MOST, WHILE
from tests.service import Service, create_topic, produce, read, serving

BAD = 3000
TOKEN = "sesame-0123456789abcdef"


@pytest.fixture(scope="module", params=["confluent", "kafka-python"])
def drained(request: pytest.FixtureRequest, kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service that has worked off a topic of bad events, with a good one at the end, and a secret in its settings."""
    folder, source = tmp_path_factory.mktemp("log"), f"log-{uuid.uuid4().hex[:8]}"
    create_topic(kafka.bootstrap_servers, source)
    random_model(folder / "model.onnx", hidden=4)
    events = [
        (b"k%d" % (n % 50), b"{not json" if n % 3 else b'{"value": "a secret of somebody\'s"}') for n in range(BAD)
    ]
    produce(kafka.bootstrap_servers, source, [*events, (b"a", b'{"value": 1}')])
    before = dict(os.environ)
    os.environ["STATECAST_HTTP__TOKEN"] = TOKEN
    try:
        with serving(
            folder / "serve.log", "--model", str(folder / "model.onnx"), "--client", request.param,
            "--bootstrap-servers", kafka.bootstrap_servers, "--input-topic", source, "--output-topic", f"{source}.out",
            "--http", "127.0.0.1:0", "--instance-id", "a", "--until-end",
        ) as service:  # fmt: skip
            assert service.wait() == 0, service.log.read_text()
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert len(read(kafka.bootstrap_servers, f"{source}.out")) == 1
    assert len(read(kafka.bootstrap_servers, f"{source}.out.dead-letters")) == BAD
    return service


def test_the_first_line_says_everything_that_matters(drained: Service) -> None:
    (line,) = drained.said("serving")
    asked = dict(zip(drained.arguments[::2], drained.arguments[1::2], strict=False))
    source = asked["--input-topic"]
    package = {"confluent": "confluent-kafka", "kafka-python": "kafka-python"}[asked["--client"]]
    (model,) = {json.loads(r.value)["model"] for r in read(asked["--bootstrap-servers"], f"{source}.out")}
    assert {name: line[name] for name in line if name not in ("timestamp", "changelog", "memory_limit")} == {
        "event": "serving", "level": "info",
        "model": asked["--model"], "fingerprint": model, "task": "number", "provider": "cpu",
        "client": asked["--client"], "delivery": "exactly_once", "servers": asked["--bootstrap-servers"],
        "application_id": f"statecast-{source}", "slot": f"statecast-{source}-a",
        "input": f"{source} [1]", "output": f"{source}.out", "dead_letters": f"{source}.out.dead-letters",
        "codec": "json", "state_dir": "",
        "statecast": VERSION, "onnxruntime": onnxruntime.__version__, "client_version": version(package),
        "python": platform.python_version(),
    }  # fmt: skip
    assert line["changelog"].startswith(f"statecast-{source}.{model}")


def test_of_thousands_of_bad_events_a_few_are_told_by_code_and_the_rest_are_counted(drained: Service) -> None:
    lines = drained.said("dead_letter")
    counted = drained.said("suppressed")
    first, last = (datetime.fromisoformat(drained.lines()[at]["timestamp"]) for at in (0, -1))
    whiles = 1 + (last - first).total_seconds() // WHILE
    for code, told in Counter(line["code"] for line in lines).items():
        assert told <= MOST * whiles, code
    assert {line["code"] for line in lines} == {"not_json", "wrong_field"}
    assert all(line["partition"] == 0 and 0 <= line["offset"] < BAD for line in lines)
    assert {line["what"] for line in counted} == {"dead_letter"}
    assert len(lines) + sum(line["times"] for line in counted) == BAD


def test_neither_a_secret_nor_what_an_event_holds_is_in_the_log(drained: Service) -> None:
    text = drained.log.read_text()
    assert TOKEN not in text
    assert "of somebody" not in text
