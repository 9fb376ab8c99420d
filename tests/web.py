"""For the tests that speak HTTP: a client that sends a path as it is, and a server whose service is made up."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from stream import inquiries
from stream.http.access import Access
from stream.http.server import serving
from stream.http.view import View
from stream.settings import HttpSection
from tests.service import eventually


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(address: str, path: str, method: str = "GET", body: Any = None, timeout: float = 60.0, **headers: str) -> Reply:
    """body: sent as JSON, or as it is where it is bytes. headers: `content_type="..."`."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        given.setdefault("content-type", "application/json")
    try:
        connection.request(method, path, body, given)
        answer = connection.getresponse()
        return Reply(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def ask_again(address: str, path: str, method: str = "GET", body: Any = None, **headers: str) -> Reply:
    """As `ask`; again where the answer is 503, which says so: this machine may be busy."""

    def once() -> Reply | None:
        reply = ask(address, path, method, body, **headers)
        return None if reply.status == 503 else reply

    return cast(Reply, eventually("an answer", once))


@contextmanager
def following(address: str, path: str, timeout: float = 60.0, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of a text/event-stream: {"id": ..., "data": ...}; ends when the server ends it in order. Asks again
    where the answer is 503, which says so: this machine may be busy."""

    def once() -> tuple[http.client.HTTPConnection, http.client.HTTPResponse] | None:
        connection = http.client.HTTPConnection(address, timeout=timeout)
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        if answer.status != 503:
            return connection, answer
        connection.close()
        return None

    connection, answer = eventually("an answer", once)
    assert answer.status == 200, answer.read()
    assert answer.getheader("content-type", "").startswith("text/event-stream")

    def events() -> Iterator[dict[str, Any]]:
        fields: dict[str, Any] = {}
        while line := answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                yield {"id": int(fields["id"]), "data": json.loads(fields["data"])}
                fields = {}
        assert answer.chunk_left is None, "it broke off"  # otherwise the last chunk has come

    try:
        yield events()
    finally:
        connection.close()


def raw(address: str) -> socket.socket:
    """A connection on which anything can be said."""
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host.strip("[]"), int(port)), timeout=60)


Ask = Callable[[inquiries.Inquiry], Sequence[inquiries.Answer]]


@contextmanager
def server(
    answer: Ask = lambda _: [], token: str | None = None, workers: int = 1, beats: dict[str, float] | None = None,
    ready: Callable[[], bool] = lambda: True, **http: Any,
) -> Iterator[str]:  # fmt: skip
    """HOST:PORT of a server whose questions `answer` answers."""
    settings = HttpSection(**{"http": "127.0.0.1:0", "token": SecretStr(token) if token else None, **http})
    view = View(
        beats=lambda: beats or {},
        ready=ready,
        registry=CollectorRegistry(),
        ask=lambda inquiry: list(answer(inquiry)),
        application_id="app",
        input_topic="in",
        output_topic="out",
        workers=workers,
    )
    with serving(view, Access.of(settings)) as port:
        yield f"127.0.0.1:{port}"


class Scripted:
    """A service that answers with what a test says; only its model is always known."""

    def __init__(self) -> None:
        self.answers: Sequence[inquiries.Answer] = ()
        self.questions: list[inquiries.Inquiry] = []

    def __call__(self, inquiry: inquiries.Inquiry) -> Sequence[inquiries.Answer]:
        if isinstance(inquiry, inquiries.Describe):
            return [inquiries.Described("0123456789abcdef" * 4, {"task": "number"})]
        self.questions.append(inquiry)
        return self.answers


SERVICE = Scripted()


def get(address: str, path: str, *answers: inquiries.Answer, method: str = "GET", body: Any = None) -> Reply:
    """What a server of SERVICE makes of these answers; `SERVICE.questions` is then what it asked."""
    SERVICE.answers, SERVICE.questions = answers, []
    return ask(address, path, method, body)
