"""The demo as a user runs it, on a small part of its data, with a few seconds of training, against a real Kafka."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import AdminClient

from demo import weather
from tests.service import wait_for

HOURS = 400
SMALL = ["--hours", str(HOURS), "--train-seconds", "1", "--rate", "2000"]
PATIENCE = 120.0  # seconds


@contextmanager
def demo(servers: str, out: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo in a process group of its own, as a shell starts it; its output in out.txt beside the report."""
    with out.with_suffix(".txt").open("w") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", *SMALL, "--out", str(out)],
            env=os.environ | {"KAFKA_BOOTSTRAP_SERVERS": servers},
            stdout=told,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def said(out: Path) -> str:
    return out.with_suffix(".txt").read_text()


def demo_topics(servers: str) -> set[str]:
    found = AdminClient({"bootstrap.servers": servers}).list_topics(timeout=10).topics
    return {topic for topic in found if topic.startswith("statecast-demo-")}


@pytest.fixture
def servers(kafka: object) -> Iterator[str]:
    """Where Kafka is; afterwards it has no more topics of the demo's than before."""
    servers = str(kafka.bootstrap_servers)  # type: ignore[attr-defined]
    before = demo_topics(servers)
    yield servers
    assert wait_for(lambda: demo_topics(servers) <= before, 30), demo_topics(servers) - before


def test_the_whole_way_on_a_small_part_of_the_data(servers: str, tmp_path: Path) -> None:
    out = tmp_path / "report"
    with demo(servers, out) as process:
        assert process.wait(PATIENCE) == 0, said(out)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["verified"] is True
    assert summary["events"] == summary["predictions"] == len(weather.read(weather.installed_file(), HOURS))
    for name in ("model", "persistence", "ar24"):
        assert 0 < summary["scaled_mae"][name] < 10
    assert 0 < summary["coverage_90"] <= 1
    assert summary["events_per_second"] > 0
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]
    page = (out / "index.html").read_text()
    assert page.count("<svg") == 3
    assert "bit-identical to the offline replay" in page
    assert "verified: every one of" in said(out)


def test_ctrl_c_leaves_no_process_behind(servers: str, tmp_path: Path) -> None:
    out = tmp_path / "report"
    with demo(servers, out) as process:
        wait_for(lambda: "ready after" in said(out) or process.poll() is not None, PATIENCE)
        assert "ready after" in said(out), said(out)
        children = psutil.Process(process.pid).children(recursive=True)
        assert any("serve" in child.cmdline() for child in children)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == 130, said(out)
    assert not psutil.wait_procs(children, timeout=30)[1]
    assert "Traceback" not in said(out)
    assert "stopped; everything that was started has ended" in said(out)
