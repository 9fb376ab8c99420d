"""Health and metrics over HTTP, in a thread of its own. It reads the loop's state and changes nothing."""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from stream.errors import UsageError
from stream.metrics import REGISTRY
from stream.worker import Worker

HOST_PORT = re.compile(r"(?P<host>[^][\s/:]+|\[[^][\s/]+\]):(?P<port>[0-9]{1,5})")
STUCK_AFTER = 60.0  # seconds in which the loop has to come round


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


def application(worker: Worker) -> Starlette:
    """/healthz: the loop comes round. /readyz: every assigned partition is live. /metrics: Prometheus's text format."""

    def healthz(_: Request) -> Response:
        still = worker.idle_seconds()
        if still > STUCK_AFTER:
            return PlainTextResponse(f"the loop has not come round for {still:.0f} s\n", 503)
        return PlainTextResponse("ok\n")

    def readyz(_: Request) -> Response:
        return PlainTextResponse("ready\n") if worker.ready else PlainTextResponse("not every partition is live\n", 503)

    def metrics(_: Request) -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])


@contextlib.contextmanager
def serving(worker: Worker, address: Address) -> Iterator[int]:
    """Serve until the block ends; yields the port. Raises UsageError where the address cannot be bound."""
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listener = socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        raise UsageError(f"--http {address.host}:{address.port}: {error.strerror}; choose another address") from None
    config = uvicorn.Config(application(worker), log_level="error", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="http", daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(5)
        listener.close()
