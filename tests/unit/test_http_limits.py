"""What one who asks can cost the server: bytes, time and connections are bounded, for the slow and the greedy, too."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack

import pytest

from stream import inquiries as asked
from stream.http import application, connections, following, told
from tests.service import eventually
from tests.web import ask, raw, server
from tests.web import following as follow

STREAM = asked.Stream(b"x", 0, 1, 1, 1)
SAID = {"prediction": 1.0, "lower": 0.0, "upper": 2.0}


def event(offset: int, padding: str = "") -> asked.Event:
    return asked.Event(0, offset, 1000 + offset, offset + 1, {"value": padding or 1.0}, None, SAID, None)


class Log:
    """A stream in partition 0 whose events are remembered; the list may grow while somebody follows."""

    def __init__(self, *events: asked.Event) -> None:
        self.events = list(events)
        self.here = True
        self.follows: list[asked.Follow] = []

    def __call__(self, inquiry: asked.Inquiry) -> list[asked.Answer]:
        match inquiry:
            case asked.Find():
                return [asked.Found(0, True, (STREAM,), (SAID,), (None,)) if self.here else asked.Found(0, False)]
            case asked.Follow():
                self.follows.append(inquiry)
                new = tuple(one for one in self.events if one.offset > inquiry.after)
                return [asked.Followed(0, self.here, new)]
            case asked.Browse(limit=limit):
                return [asked.Listed((asked.Stream(b"k" * 4096, 0, 1, 1, 1),) * limit, True)]
        return []


def closed(connection: socket.socket, sent: bytes = b"") -> bool:
    """Sends this, and waits until the other end has closed; whether it did so without a word."""
    try:
        connection.sendall(sent)
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def served(address: str) -> bool:
    """Whether a connection of its own gets an answer."""
    with raw(address) as connection:
        return not closed(connection, HEALTH)


def until(connection: socket.socket, end: bytes) -> bytes:
    """What is received, up to this."""
    received = b""
    while end not in received:
        part = connection.recv(4096)
        assert part, received
        received += part
    return received


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with server(Log()) as address:
        yield address


# Bytes.


def test_a_body_that_is_too_long_is_refused_with_and_without_its_length(address: str) -> None:
    long = b'{"steps": 1' + b" " * application.BODY + b"}"
    assert ask(address, "/v1/streams/x/forecast", "POST", long, content_type="application/json").status == 413
    with raw(address) as connection:
        connection.sendall(
            b"POST /v1/streams/x/forecast HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%b\r\n0\r\n\r\n" % (len(long), long)
        )
        assert connection.recv(12) == b"HTTP/1.1 413"


def test_a_body_where_none_belongs_is_not_looked_at(address: str) -> None:
    assert ask(address, "/v1/overview", "GET", b"x" * 1000).status == 200
    assert ask(address, "/v1/streams/x", "DELETE", b"x" * (application.BODY + 1)).status == 413


def test_a_head_without_end_and_what_is_no_http_are_refused(address: str) -> None:
    for sent in (b"GET / HTTP/1.1\r\nX: " + b"x" * (80 << 10), b"\x16\x03\x01\r\n\r\n"):
        with raw(address) as connection:
            connection.sendall(sent)
            assert connection.recv(12) == b"HTTP/1.1 400"


def test_garbage_after_an_answer_has_begun_ends_the_connection_without_a_word_in_the_log(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    for path, begun in ((b"/healthz", b"ok\n"), (b"/v1/streams/x/events", b"200 OK")):
        with raw(address) as connection:
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
            until(connection, begun)
            connection.sendall(b"no chunk\r\n")
            while not closed(connection):
                pass
    assert not caplog.records


# Time.


@pytest.mark.parametrize(
    ("before", "sent"), [(b"", b""), (b"", b"GET / HTTP/1.1\r\nHos"), (HEALTH, b"GET / HTTP/1.1\r\nHos")]
)
def test_who_does_not_end_a_request_is_dropped(monkeypatch: pytest.MonkeyPatch, before: bytes, sent: bytes) -> None:
    with server() as address, ExitStack() as stack:
        if before:  # the second request on a connection is bound like the first
            connection = stack.enter_context(raw(address))
            connection.sendall(before)
            until(connection, b"ok\n")
        monkeypatch.setattr(connections, "HEAD", 0.3)
        if not before:
            connection = stack.enter_context(raw(address))
        assert closed(connection, sent)


def test_who_does_not_end_a_body_is_told_and_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "ARRIVED", 0.2)
    with server() as address, raw(address) as connection:
        connection.sendall(
            b"POST /v1/streams/x/forecast HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        assert connection.recv(12) == b"HTTP/1.1 408"
        while connection.recv(4096):
            pass


@pytest.mark.parametrize("path", [b"/v1/streams?limit=1000", b"/v1/streams/x/events"])
def test_who_does_not_read_the_answer_is_dropped_and_costs_little(monkeypatch: pytest.MonkeyPatch, path: bytes) -> None:
    # Given: room for one connection; answers of megabytes, or events without end
    monkeypatch.setattr(connections, "TAKEN", 0.5)
    monkeypatch.setattr(connections, "MOST", 1)
    monkeypatch.setattr(following, "LOOK", 0.0)
    log = Log(*(event(offset, "x" * 10_000) for offset in range(2000)))
    with server(log) as address, raw(address) as greedy:
        greedy.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        # When: it never reads. Then: its place becomes free, and no further events are asked for
        eventually("another one has the place", lambda: served(address))
        assert len(log.follows) <= 2


# How many.


def test_who_holds_a_connection_without_a_word_gives_way_to_who_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 2)
    with server() as address, raw(address) as one, raw(address) as two:
        for asks in (one, two):
            asks.sendall(HEALTH)
            until(asks, b"ok\n")
        one.sendall(HEALTH)
        until(one, b"ok\n")
        with raw(address) as three:
            three.sendall(HEALTH)
            until(three, b"ok\n")
        assert closed(two)
        one.sendall(HEALTH)
        until(one, b"ok\n")


def test_who_comes_when_all_are_being_answered_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 2)
    with server(Log(event(1))) as address:
        with follow(address, "/v1/streams/x/events") as one, follow(address, "/v1/streams/x/events") as two:
            next(one), next(two)
            with raw(address) as three:
                assert closed(three)
        eventually("a place is free again", lambda: served(address))


def test_the_health_is_told_while_a_long_answer_is_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def long(*_: object) -> list[int]:
        begun.set()
        assert go_on.wait(60)
        return [1]

    monkeypatch.setattr(told, "forecast", long)
    with server() as address, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, address, "/v1/streams/x/forecast", "POST", {"steps": 1})
        assert begun.wait(60)
        assert ask(address, "/healthz").status == 200
        go_on.set()
        assert asked.result(60).json == [1]


def test_the_overview_is_there_while_other_questions_wait_for_the_loop() -> None:
    go_on = threading.Event()
    begun: list[asked.Inquiry] = []

    def slowly(inquiry: asked.Inquiry) -> list[asked.Answer]:
        if isinstance(inquiry, asked.Find):
            begun.append(inquiry)
            go_on.wait(60)
        return [asked.Wrong(503, "")]

    with server(slowly) as address, ThreadPoolExecutor(20) as pool:
        asks = [pool.submit(ask, address, "/v1/streams/x") for _ in range(20)]
        try:
            eventually("the lane is full", lambda: len(begun) == 8)
            assert ask(address, "/v1/overview").status == 200
            assert not any(one.done() for one in asks)
        finally:
            go_on.set()


def test_questions_that_take_long_leave_the_others_alone_and_do_not_pile_up() -> None:
    go_on = threading.Event()

    def slowly(inquiry: asked.Inquiry) -> list[asked.Answer]:
        if isinstance(inquiry, asked.Forecast):
            go_on.wait(60)
        return [asked.Listed((), False)] if isinstance(inquiry, asked.Browse) else [asked.Wrong(422, "")]

    with server(slowly) as address, ThreadPoolExecutor(9) as pool:
        body = {"steps": 1}
        asks = [pool.submit(ask, address, "/v1/streams/x/forecast", "POST", body) for _ in range(9)]  # one too many
        (refused,), others = wait(asks, 60, FIRST_COMPLETED)
        assert refused.result().status == 503
        assert ask(address, "/v1/streams").status == 200
        assert ask(address, "/healthz").status == 200
        go_on.set()
        assert [one.result(60).status for one in others] == [422] * 8


def test_who_may_not_follow_is_told_why() -> None:
    def full(inquiry: asked.Inquiry) -> list[asked.Answer]:
        return [asked.Wrong(503, "it is full")] if isinstance(inquiry, asked.Follow) else Log()(inquiry)

    with server(full) as address:
        reply = ask(address, "/v1/streams/x/events")
    assert (reply.status, reply.json) == (503, {"error": "it is full"})


# Those who follow.


def test_who_follows_has_what_is_remembered_and_then_each_event_as_it_comes() -> None:
    log = Log(event(3), event(5))
    with server(log) as address, follow(address, "/v1/streams/x/events") as events:
        assert [next(events)["id"], next(events)["id"]] == [3, 5]
        log.events.append(event(6))
        assert next(events) == {
            "id": 6,
            "data": {
                **SAID, "partition": 0, "offset": 6, "ts": 1006, "step": 7, "actual": {"value": 1.0}, "expected": None,
                "surprise": None,
            },
        }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("?after=4", {}),
        ("", {"last_event_id": "4"}),
        ("?after=1", {"last_event_id": "4"}),
        ("?after=4", {"last_event_id": "9" * 5000}),
    ],
)
def test_who_comes_again_misses_nothing_and_has_nothing_twice(path: str, headers: dict[str, str]) -> None:
    with (
        server(Log(*(event(offset) for offset in range(7)))) as address,
        follow(address, f"/v1/streams/x/events{path}", **headers) as events,
    ):
        assert [next(events)["id"], next(events)["id"]] == [5, 6]


def test_a_line_that_is_silent_says_that_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "SILENCE", 0.0)
    with server(Log()) as address, raw(address) as connection:
        connection.sendall(b"GET /v1/streams/x/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(3):
            until(connection, b": still here\n\n")


def test_no_more_follow_than_there_are_places_and_a_place_is_free_again() -> None:
    with pytest.MonkeyPatch.context() as patch, server(Log(event(1))) as address:
        patch.setattr(following, "MOST", 2)
        with follow(address, "/v1/streams/x/events") as one:
            next(one)
            with follow(address, "/v1/streams/x/events") as two:
                next(two)
                assert ask(address, "/v1/streams/x/events").status == 503

        def again() -> bool:
            with raw(address) as connection:
                connection.sendall(b"GET /v1/streams/x/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return connection.recv(12) == b"HTTP/1.1 200"

        eventually("there is a place again", again)


def test_a_stream_whose_partition_goes_away_ends_and_says_where_it_is_when_asked_again() -> None:
    log = Log(event(1))
    with server(log) as address, follow(address, "/v1/streams/x/events") as events:
        next(events)
        log.here = False
        assert list(events) == []
        assert ask(address, "/v1/streams/x/events").status == 421


def test_nobody_follows_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LIFE", 0.1)
    with server(Log(event(1))) as address, follow(address, "/v1/streams/x/events") as events:
        assert [one["id"] for one in events] == [1]


def test_a_stop_ends_open_streams_in_order_and_soon() -> None:
    stack = server(Log(event(1)))
    address = stack.__enter__()
    with follow(address, "/v1/streams/x/events") as events:
        next(events)
        began = time.monotonic()
        stack.__exit__(None, None, None)
        assert list(events) == []  # an end in order: the last chunk came
    assert time.monotonic() - began < 30
