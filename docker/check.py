"""`make images-check`: the service image at work, run by buildah against the embedded Kafka, verified by the load test.

It knows the images only from outside: their configuration, their files, and what they do. Needs root and buildah.
"""

import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from export.sample import random_model
from localbroker.broker import LocalBroker

BUILDAH = shlex.split(os.environ.get("BUILDAH", "buildah --storage-driver vfs"))
SERVICE, LOADTEST = "localhost/statecast", "localhost/statecast-loadtest"
USER = 10001
MOST_BYTES = 350_000_000
INPUT, OUTPUT = "events", "predictions"


def buildah(*arguments: str) -> str:
    done = subprocess.run([*BUILDAH, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


class Container:
    """A working container of an image; each `start` runs a process in it as the image's user."""

    def __init__(self, image: str, model: Path) -> None:
        self.id = buildah("from", "--pull=never", image)
        self.model = model
        self.config: dict[str, Any] = json.loads(buildah("inspect", self.id))["Docker"]["config"]

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        settings = [f"--env={name}={value}" for name, value in environment.items()]
        volume = f"--volume={self.model}:/model/model.onnx:ro"
        return subprocess.Popen([*BUILDAH, "run", "--isolation=chroot", volume, *settings, self.id, "--", *command])

    def run(self, *command: str, **environment: str) -> int:
        return self.start(*command, **environment).wait(timeout=300)


@contextlib.contextmanager
def container(image: str, model: Path) -> Iterator[Container]:
    made = Container(image, model)
    try:
        yield made
    finally:
        buildah("rm", made.id)


def told(what: str, holds: bool, seen: object = "") -> None:
    print(f"{'ok  ' if holds else 'FAIL'} {what} {seen}".rstrip(), flush=True)
    if not holds:
        sys.exit(1)


def check_contents(service: Container) -> None:
    """Small, not root, healthy by itself, without torch or a package installer."""
    config = service.config
    size = next(
        image["size"] for image in json.loads(buildah("images", "--json")) if f"{SERVICE}:latest" in image["names"]
    )
    told("runs as a numbered user that is not root", config["User"] == f"{USER}:{USER}", config["User"])
    told("says how its health is asked", "healthcheck.py" in str(config.get("Healthcheck")))
    told("is stopped by SIGTERM", config["StopSignal"] == "SIGTERM")
    told(f"takes at most {MOST_BYTES // 1_000_000} MB", _bytes(size) <= MOST_BYTES, size)
    absent = (
        "import importlib.util as u, sys; sys.exit(any(map(u.find_spec, ['torch', 'training', 'loadtest', 'pip'])))"
    )
    told("has no torch, training, loadtest or pip inside", service.run("python", "-c", absent) == 0)
    present = "import engine.model, stream.broker.port, confluent_kafka, onnxruntime"
    told("has both clients and the engine inside", service.run("python", "-c", present) == 0)


def _bytes(size: str) -> float:
    number, unit = size.split()
    return float(number) * {"KB": 1e3, "MB": 1e6, "GB": 1e9}[unit]


def check_drain(service: Container, load: Container, settings: dict[str, str]) -> None:
    """A filled topic, worked off; then the whole output held against the offline replay."""
    filled = _load(load, settings, "--create-topics", "--events=20000", "--streams=500", "--missing=0.01", "--preload")
    told("the load test fills a topic", filled == 0)
    serve = _command(service)
    told("the service drains it and ends with 0", service.run(*serve, "--until-end", **settings) == 0)
    verified = _load(load, settings, f"--output-topic={OUTPUT}", "--events=0", "--verify")
    told("each event has one prediction, with the replay's bits", verified == 0)


def check_life(service: Container, load: Container, settings: dict[str, str]) -> None:
    """Becomes healthy, follows a load, stops on SIGTERM with 0, and has written nothing into its image."""
    health = service.config["Healthcheck"]["Test"][1:]
    running = service.start(*_command(service), **settings)
    try:
        deadline = time.monotonic() + 60
        while (code := service.run(*health, **settings)) != 0 and time.monotonic() < deadline:
            time.sleep(0.5)
        told("becomes healthy", code == 0)
        code = _load(load, settings, f"--output-topic={OUTPUT}", "--rate=2000", "--seconds=5", "--verify")
        told("follows a load, verified", code == 0)
    finally:
        _service_itself(running.pid).terminate()
    told("ends with 0 on SIGTERM", running.wait(timeout=60) == 0)
    told("is not healthy any more", service.run(*health, **settings) != 0)
    root = Path(buildah("mount", service.id))
    places = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    written = [p.relative_to(root) for p in places if p.lstat().st_uid == USER and root / "tmp" not in p.parents]
    told("has written nothing outside /tmp", not written, written or "")


def _service_itself(pid: int) -> psutil.Process:
    """The last of the processes that buildah puts around it: those would take a signal as their own end."""
    while children := psutil.Process(pid).children():
        pid = children[-1].pid
    return psutil.Process(pid)


def _command(service: Container) -> list[str]:
    return [*service.config["Entrypoint"], *service.config["Cmd"]]


def _load(load: Container, settings: dict[str, str], *options: str) -> int:
    servers = settings["STATECAST_KAFKA__BOOTSTRAP_SERVERS"]
    place = (f"--bootstrap-servers={servers}", f"--input-topic={INPUT}", "--model=/model/model.onnx")
    return load.run(*load.config["Entrypoint"], *place, *options)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="statecast-images-") as folder, contextlib.ExitStack() as stack:
        model = Path(folder) / "model.onnx"
        random_model(model, hidden=16, scaling="stream", lags=(1, 2, 24))
        Path(folder).chmod(0o755)
        model.chmod(0o644)
        service = stack.enter_context(container(SERVICE, model))
        check_contents(service)
        load = stack.enter_context(container(LOADTEST, model))
        broker = LocalBroker()
        stack.callback(broker.stop)
        broker.start()
        settings = {
            "STATECAST_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "STATECAST_KAFKA__INPUT_TOPIC": INPUT,
            "STATECAST_KAFKA__OUTPUT_TOPIC": OUTPUT,
            "STATECAST_KAFKA__INSTANCE_ID": "image-1",
            "STATECAST_HTTP__HTTP": f"127.0.0.1:{_free_port()}",
        }
        check_drain(service, load, settings)
        check_life(service, load, settings)
    print("the images work")


if __name__ == "__main__":
    main()
