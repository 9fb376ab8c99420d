"""`make images-check`: the service image at work, run by buildah against the embedded Kafka, verified by the load test.

Needs root and buildah.
"""

import contextlib
import os
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from containers import USER, Container, container, innermost, size, told

from export.sample import random_model
from localbroker.broker import LocalBroker
from localbroker.ports import free_port

SERVICE, LOADTEST = "localhost/statecast", "localhost/statecast-loadtest"
MOST_BYTES = 350_000_000
INPUT, OUTPUT = "events", "predictions"
TOKEN = "only-for-this-check"


def check_contents(service: Container) -> None:
    """Small, not root, healthy by itself, without torch or a package installer."""
    config = service.config
    told("runs as a numbered user that is not root", config["User"] == f"{USER}:{USER}", config["User"])
    told("says how its health is asked", "healthcheck.py" in str(config.get("Healthcheck")))
    told("is stopped by SIGTERM", config["StopSignal"] == "SIGTERM")
    told("has a place for state that a new volume takes its owner from", (service.root / "state").stat().st_uid == USER)
    taken = size(SERVICE)
    told(f"takes at most {MOST_BYTES // 1_000_000} MB", taken <= MOST_BYTES, f"{taken / 1e6:.0f} MB")
    told("the load test's size", True, f"{size(LOADTEST) / 1e6:.0f} MB")
    absent = (
        "import importlib.util as u, sys; sys.exit(any(map(u.find_spec, ['torch', 'training', 'loadtest', 'pip'])))"
    )
    told("has no torch, training, loadtest or pip inside", service.run("python", "-c", absent) == 0)
    present = "import engine.model, stream.broker.port, confluent_kafka, onnxruntime"
    told("has both clients and the engine inside", service.run("python", "-c", present) == 0)


def check_drain(service: Container, load: Container, settings: dict[str, str]) -> None:
    """A filled topic, worked off; then the whole output held against the offline replay."""
    filled = _load(load, settings, "--create-topics", "--events=20000", "--streams=500", "--missing=0.01", "--preload")
    told("the load test fills a topic", filled == 0)
    code, text = service.said(*service.command, "--until-end", **settings)
    told("the service drains it on a read-only root and ends with 0", code == 0, "" if code == 0 else text)
    verified = _load(load, settings, f"--output-topic={OUTPUT}", "--events=0", "--verify")
    told("each event has one prediction, with the replay's bits", verified == 0)


def check_life(service: Container, load: Container, settings: dict[str, str]) -> None:
    """Becomes healthy, answers, follows a load, stops on SIGTERM with 0, and has written nothing into its image."""
    health = service.config["Healthcheck"]["Test"][1:]
    running = service.start(*service.command, **settings)
    try:
        deadline = time.monotonic() + 60
        while (code := service.run(*health, **settings)) != 0 and time.monotonic() < deadline:
            time.sleep(0.5)
        told("becomes healthy", code == 0)
        check_pages(settings["STATECAST_HTTP__HTTP"])
        code = _load(load, settings, f"--output-topic={OUTPUT}", "--rate=2000", "--seconds=5", "--verify")
        told("follows a load, verified", code == 0)
    finally:
        innermost(running.pid).terminate()
    told("ends with 0 on SIGTERM", running.wait(timeout=60) == 0)
    told("is not healthy any more", service.run(*health, **settings) != 0)
    places = (Path(folder) / name for folder, _, names in os.walk(service.root) for name in names)
    written = [p for p in places if p.lstat().st_uid == USER and service.root / "tmp" not in p.parents]
    told("has written nothing outside /tmp", not written, written or "")


def check_pages(address: str) -> None:
    """Health is for everybody, the page holds no data, and everything else wants the token."""
    told("/healthz answers without the token", _get(address, "/healthz")[0] == 200)
    code, kind = _get(address, "/")
    told("the page is served at /", code == 200 and kind.startswith("text/html"), kind)
    told("/metrics is refused without the token", _get(address, "/metrics")[0] == 401)
    told("/metrics answers with it", _get(address, "/metrics", TOKEN)[0] == 200)


def _get(address: str, path: str, token: str = "") -> tuple[int, str]:
    """Status and content type."""
    request = urllib.request.Request(f"http://{address}{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"]


def _load(load: Container, settings: dict[str, str], *options: str) -> int:
    servers = settings["STATECAST_KAFKA__BOOTSTRAP_SERVERS"]
    place = (f"--bootstrap-servers={servers}", f"--input-topic={INPUT}", "--model=/model/model.onnx")
    return load.run(*load.config["Entrypoint"], *place, *options)


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
            "STATECAST_HTTP__HTTP": f"127.0.0.1:{free_port()}",
            "STATECAST_HTTP__TOKEN": TOKEN,
        }
        check_drain(service, load, settings)
        check_life(service, load, settings)
    print("the images work")


if __name__ == "__main__":
    main()
