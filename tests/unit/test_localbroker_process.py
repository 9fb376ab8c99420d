"""The embedded Kafka's child process: tied to its owner's life, and to nothing shorter."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from localbroker.process import Process
from tests.service import eventually

OWNER = """
import sys, time
from pathlib import Path
from localbroker.process import Process
here = Path(sys.argv[1])
print(Process([sys.executable, "-c", "import time; time.sleep(600)"], here, here / "log").pid, flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def sleeper(folder: Path) -> Process:
    return Process([sys.executable, "-c", "import time; time.sleep(600)"], folder, folder / "log")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_kill_9_of_the_owner_takes_the_child_along(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        assert alive(child)

        owner.kill()

        eventually("the child is gone", lambda: not alive(child), 20)


def test_the_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    started: list[Process] = []
    thread = threading.Thread(target=lambda: started.append(sleeper(tmp_path)))
    thread.start()
    thread.join()

    # A signal at the thread's end would be there by now; what is waited for here does not come.
    assert not started[0].wait(0.5)

    started[0].signal(signal.SIGKILL)
    assert started[0].wait(20)
    assert started[0].exit_code == -signal.SIGKILL


def test_the_terminal_s_signals_do_not_reach_the_child(tmp_path: Path) -> None:
    child = sleeper(tmp_path)

    assert os.getpgid(child.pid) != os.getpgid(0)

    child.signal(signal.SIGKILL)
    assert child.wait(20)


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    child = Process([sys.executable, "-c", "print('a line'); raise SystemExit(3)"], tmp_path, tmp_path / "log")

    assert child.wait(20)
    assert child.exit_code == 3
    assert (tmp_path / "log").read_text() == "a line\n"


def test_a_log_that_cannot_be_written_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Process(["true"], tmp_path, tmp_path / "absent" / "log")
