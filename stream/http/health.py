"""Health and metrics over HTTP, in a thread of its own. It asks how the work goes, and changes nothing."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from stream.errors import UsageError

HOST_PORT = re.compile(r"(?P<host>[^][\s/:]+|\[[^][\s/]+\]):(?P<port>[0-9]{1,5})")
STUCK_AFTER = 60.0  # seconds in which a loop has to come round

Beats = Callable[[], Mapping[str, float]]  # what has to come round -> seconds since it did


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    @staticmethod
    def parse(text: str) -> "Address":
        """Raises UsageError where the text is not HOST:PORT."""
        match = HOST_PORT.fullmatch(text)
        if match is None or int(match["port"]) > 65535:
            raise UsageError(f"--http {text}: must be HOST:PORT, e.g. 127.0.0.1:8080 or [::1]:8080")
        return Address(match["host"].strip("[]"), int(match["port"]))


def application(beats: Beats, ready: Callable[[], bool], registry: CollectorRegistry) -> Starlette:
    """/healthz: every loop comes round. /readyz: every assigned partition is live. /metrics: Prometheus's format."""

    def healthz(_: Request) -> Response:
        stuck = [
            f"{name} has not come round for {still:.0f} s\n" for name, still in beats().items() if still > STUCK_AFTER
        ]
        return PlainTextResponse("".join(stuck), 503) if stuck else PlainTextResponse("ok\n")

    def readyz(_: Request) -> Response:
        return PlainTextResponse("ready\n") if ready() else PlainTextResponse("not every partition is live\n", 503)

    def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])


@contextlib.contextmanager
def serving(beats: Beats, ready: Callable[[], bool], registry: CollectorRegistry, address: Address) -> Iterator[int]:
    """Serve until the block ends; yields the port. Raises UsageError where the address cannot be bound."""
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listener = socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        raise UsageError(f"--http {address.host}:{address.port}: {error.strerror}; choose another address") from None
    config = uvicorn.Config(application(beats, ready, registry), log_level="error", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="http", daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(5)
        listener.close()
