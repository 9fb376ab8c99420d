"""The service as a child of the load test: killed, restarted, stopped, told of, and never left behind."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from loadtest.errors import EnvironmentFault, UsageError
from loadtest.faults import Faults, distances
from loadtest.service import Service
from tests.service import ROOT, eventually

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
# A service with a worker of its own, whose pid it tells.
FAMILY = (
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print('child', child.pid, flush=True); child.wait()"
)


def python(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "serve.log"


@pytest.fixture
def started(log: Path) -> Iterator[Service]:
    service = Service(python(FAMILY), log)
    service.start()
    eventually("it has a child", lambda: "child" in said(log))
    yield service
    service.kill()


def said(log: Path) -> str:
    """What the service wrote, without the command lines."""
    return "\n".join(line for line in log.read_text().splitlines() if not line.startswith("$ "))


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def noticed(service: Service, act: Callable[[], None] = lambda: None) -> str:
    """What is said of a service that ends by itself."""

    def told() -> str:
        try:
            faults.check()
        except EnvironmentFault as fault:
            return str(fault)
        return ""

    with Faults(service, None, seed=0) as faults:
        act()
        return str(eventually("it is noticed", told))


def family(service: Service, log: Path) -> list[int]:
    return [*service.pids, int(said(log).split()[-1])]


def test_a_kill_takes_all_that_the_service_has_started(started: Service, log: Path) -> None:
    pids = family(started, log)

    started.kill()

    eventually("all are gone", lambda: all(gone(pid) for pid in pids))
    assert len(pids) == 2


def test_a_stop_is_a_sigterm_to_the_service_and_tells_its_exit_code(log: Path) -> None:
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('up', flush=True)\n"
    service = Service(python(f"{code}while True: signal.pause()"), log)
    service.start()
    eventually("it is up", lambda: "up" in said(log))

    assert service.stop() == 7


def test_a_service_that_does_not_stop_is_killed(log: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); "
    service = Service(python(f"{code}time.sleep(600)"), log)
    service.start()
    eventually("it is up", lambda: "up" in said(log))
    (pid,) = service.pids

    assert service.stop(timeout=0.2) is None
    eventually("it is gone", lambda: gone(pid))


def test_what_kills_the_load_test_kills_the_service_with_all_it_started(log: Path) -> None:
    code = (
        f"import sys, time; from pathlib import Path; from loadtest.service import Service;"
        f"service = Service({python(FAMILY)!r}, Path({str(log)!r})); service.start(); time.sleep(600)"
    )
    harness = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    eventually("the service is up", lambda: log.exists() and "child" in said(log))
    pids = [child.pid for child in psutil.Process(harness.pid).children(recursive=True)]

    harness.send_signal(signal.SIGKILL)
    harness.wait()

    eventually("nobody is left", lambda: all(gone(pid) for pid in pids))
    assert len(pids) == 3, "what keeps it, the service, its child"


def test_kills_come_one_after_the_other_and_each_is_followed_by_a_new_life(log: Path) -> None:
    service = Service(python(SLEEP), log)
    with Faults(service, 0.4, seed=1) as faults:
        eventually("it is up", lambda: "up" in said(log))
        (first,) = service.pids
        assert not faults.kills, "none before it is armed"
        faults.arm()
        eventually("three kills", lambda: len(faults.kills) >= 3)
        faults.calm()
        count = len(faults.kills)
        (last,) = eventually("it is up again", lambda: service.pids)
        faults.check()

    moments = [mark.at for mark in faults.kills]
    assert len(moments) == count, "none after it was calmed"
    assert all(0.2 <= later - mark < 2 for mark, later in pairwise(moments))
    assert log.read_text().count("$ ") == len(moments) + 1
    assert first != last
    eventually("all are gone", lambda: gone(first) and gone(last))


def test_the_same_seed_kills_at_the_same_distances() -> None:
    draws = [[next(gaps) for _ in range(4)] for gaps in (distances(5.0, seed) for seed in (3, 3, 4))]

    assert draws[0] == draws[1] != draws[2]
    assert all(2.5 <= gap <= 7.5 for gap in draws[0])


def test_a_service_that_ends_with_an_error_is_told_with_its_last_words(log: Path) -> None:
    service = Service(python("import sys; print('starting'); sys.exit('no broker answers')"), log)

    with pytest.raises(EnvironmentFault) as fault, Faults(service, None, seed=0) as faults:
        eventually("it is noticed", lambda: faults.check() or False)

    assert str(fault.value) == (f"--serve: the service ended with exit code 1: no broker answers; its log is {log}")


def test_a_service_that_is_killed_by_another_hand_is_told_as_well(log: Path) -> None:
    service = Service(python(SLEEP), log)

    def kill() -> None:
        eventually("it is up", lambda: "up" in said(log))
        os.kill(service.pids[0], signal.SIGKILL)

    assert noticed(service, kill) == f"--serve: the service ended with exit code 137: up; its log is {log}"


def test_a_next_life_that_cannot_begin_is_told(log: Path) -> None:
    service = Service(python(SLEEP), log)

    with Faults(service, 0.1, seed=0) as faults:
        eventually("it is up", lambda: "up" in said(log))
        log.unlink()
        log.mkdir()
        faults.arm()
        with pytest.raises(EnvironmentFault, match=r"--serve: the service cannot be started \(Is a directory"):
            eventually("it is noticed", lambda: faults.check() or False)


def test_a_service_that_is_done_is_no_fault(log: Path) -> None:
    service = Service(python("print('done')"), log)

    with Faults(service, 0.1, seed=0) as faults:
        faults.arm()
        eventually("it has ended", lambda: service.exit_code == 0)

    faults.check()
    assert not faults.kills


def test_the_load_waits_until_the_service_answers(tmp_path: Path, log: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = f"{shlex.quote(sys.executable)} -m http.server -b 127.0.0.1 -d {shlex.quote(str(tmp_path))} {port}"
    service = Service(line, log)
    service.start()

    service.wait_ready(f"http://127.0.0.1:{port}/", check=lambda: None)
    with pytest.raises(EnvironmentFault, match=r"--serve-ready .*/no: did not answer with 200 within 0.2 s"):
        service.wait_ready(f"http://127.0.0.1:{port}/no", timeout=0.2, check=lambda: None)
    service.kill()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("statecast-nowhere --model m", "--serve 'statecast-nowhere --model m': there is no such command"),
        ("statecast serve 'x", "cannot be split into words .*; mend the quotes"),
        ("", "--serve '': there is no such command"),
    ],
)
def test_a_command_line_that_cannot_be_run_is_refused(line: str, told: str, log: Path) -> None:
    with pytest.raises(UsageError, match=told):
        Service(line, log)


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--serve-log .*: cannot be written \(Is a directory\); give another path"):
        Service(python(SLEEP), tmp_path)


def test_statecast_is_found_beside_the_python_that_runs(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert Path(Service("statecast serve", log).command[0]).parent == Path(sys.executable).parent
