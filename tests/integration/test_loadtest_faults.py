"""The load test with a service of its own, real ones both: kills under load, ends that nobody wanted, no orphans."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import psutil
import pytest

from export.sample import random_model
from localbroker.broker import LocalBroker
from tests.conftest import Elsewhere, MakeTopic
from tests.service import ROOT, command, eventually

Kafka = LocalBroker | Elsewhere


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    random_model(path, hidden=8)
    return path


@pytest.fixture
def arguments(kafka: Kafka, make_topic: MakeTopic, model: Path, tmp_path: Path) -> list[str]:
    """Of a load test that runs its own service."""
    common = ["--bootstrap-servers", kafka.bootstrap_servers, "--model", str(model)]
    common += ["--input-topic", make_topic(2), "--output-topic", make_topic(2)]
    serve = [sys.executable, "-m", "statecast", "serve", *common, "--instance-id", "a", "--client", "confluent"]
    return [*common, "--streams", "200", "--serve", " ".join(serve), "--serve-log", str(tmp_path / "serve.log")]


def test_a_service_that_is_killed_again_and_again_loses_and_repeats_nothing(
    arguments: list[str], tmp_path: Path
) -> None:
    report = tmp_path / "report.json"

    done = command(
        "loadtest", *arguments, "--rate", "2000", "--seconds", "8", "--kill-every", "3", "--seed", "5", "--verify",
        "--json", str(report), "--html", str(tmp_path / "report.html"),
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    told = orjson.loads(report.read_bytes())
    assert told["kills"] >= 2
    assert told["verify"]["checked"] == told["predictions"] == 16_000
    assert [told["verify"][kind] for kind in ("missing", "duplicated", "reordered", "different")] == [0] * 4
    assert (tmp_path / "serve.log").read_text().count("$ ") == told["kills"] + 1
    over_time = told["timeline"]
    assert [mark["what"] for mark in over_time["marks"]] == ["kill -9"] * told["kills"]
    assert max(filter(None, over_time["lag"])) > 1000, "while it is down, events wait"
    assert over_time["lag"][-1] == 0
    assert over_time["cpu_seconds"] > 0.5
    assert max(filter(None, over_time["memory"])) > 30_000_000
    assert f"{told['kills']} kills" in (tmp_path / "report.html").read_text()
    assert f"{told['kills']} kills with -9" in done.stdout


def test_a_service_that_cannot_run_ends_the_load_test_in_one_line(arguments: list[str], tmp_path: Path) -> None:
    arguments[arguments.index("--serve") + 1] += " --batch nonsense"

    done = command("loadtest", *arguments, "--rate", "100", "--seconds", "60")

    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith(
        "statecast: --serve: the service ended with exit code 2: statecast: Invalid value for '--batch'"
    )
    assert line.endswith(f"its log is {tmp_path / 'serve.log'}")
    assert "Traceback" not in done.stderr


@contextmanager
def under_way(arguments: list[str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[psutil.Process]]]:
    """A load test that has started its service, and all the processes that it has."""
    harness = subprocess.Popen(
        [sys.executable, "-m", "statecast", "loadtest", *arguments, "--rate", "100", "--seconds", "600"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        eventually("the service logs", lambda: log.exists() and len(log.read_text().splitlines()) > 1)
        children = psutil.Process(harness.pid).children(recursive=True)
        assert any("serve" in child.cmdline() for child in children)
        yield harness, children
    finally:
        harness.kill()
        harness.wait()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_load_test_that_ends_early_leaves_nobody_behind(
    arguments: list[str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with under_way(arguments, tmp_path / "serve.log") as (harness, children):
        harness.send_signal(number)
        assert harness.wait(30) == code

    assert not psutil.wait_procs(children, timeout=30)[1]
