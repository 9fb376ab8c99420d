"""`make chaos`, short: a few random faults under load, and every event still has exactly its outcome."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from loadtest.port import ClientName
from tests.chaos.run import Options, run
from tests.service import ROOT, eventually


@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_random_faults_cost_no_event(tmp_path: Path, client: ClientName) -> None:
    """Exactly once; for the other delivery there is `make chaos DELIVERY=at_least_once`."""
    # A test plans the same faults each time; `make chaos` draws others.
    report = run(Options(11, tmp_path, faults=4, seconds=8.0, client=client, rate=1500))

    assert not report.wrong(), report.table()


def test_ctrl_c_ends_everything_that_was_started(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "tests.chaos", "--faults", "0", "--json", str(tmp_path / "chaos.json")],
            cwd=ROOT, stdout=sink, stderr=sink, env={**os.environ, "TMPDIR": str(tmp_path)},
        )  # fmt: skip
    try:
        eventually("the load is on", lambda: "sent" in said.read_text(), 120)
        started = psutil.Process(process.pid).children(recursive=True)

        process.send_signal(signal.SIGINT)

        assert process.wait(60) == 130, said.read_text()
        assert len(started) >= 3, "a broker and two instances"
        assert not psutil.wait_procs(started, timeout=30)[1]
    finally:
        process.kill()
