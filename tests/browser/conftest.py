"""A real Chromium without a window. Debian's is installed where it is missing and we may; else the tests skip."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

INSTALL = (
    ("apt-get", "update"),
    ("apt-get", "install", "--yes", "--no-install-recommends", "chromium"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(900))  # the first may have to install the browser


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where it is; skips where there is none."""
    if os.geteuid() != 0:
        if found := shutil.which("chromium"):
            return found
        pytest.skip("chromium is not installed, and only root may do so: apt-get install chromium")
    with (Path(tempfile.gettempdir()) / "statecast-tests-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may want it at once
        if found := shutil.which("chromium"):
            return found
        for command in INSTALL:
            _install(command)
        if found := shutil.which("chromium"):
            return found
    pytest.skip("chromium was installed, but is not on PATH")


def _install(command: tuple[str, ...]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=environment)
    except FileNotFoundError:
        pytest.skip("chromium is not installed, and there is no apt-get to install it with")
    except subprocess.TimeoutExpired:
        pytest.skip(f"chromium is not installed, and `{' '.join(command)}` had not ended after 300 s")
    except subprocess.CalledProcessError as error:
        print(error.stdout, error.stderr)
        why = (error.stderr.strip().splitlines() or ["no word"])[-1]
        pytest.skip(f"chromium is not installed, and `{' '.join(command)}` failed: {why}")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses root; /dev/shm is small in containers.
        arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()
