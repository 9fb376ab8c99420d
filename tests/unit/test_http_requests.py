"""Which requests are let in, and what a wrong one is told, by a real server whose service is made up."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from stream import inquiries as asked
from stream.http.application import HEADERS
from tests.service import ROOT
from tests.web import SERVICE, ask, get, server


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with server(SERVICE, workers=2) as address:
        yield address


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=ten", "order=best", "limits=5", "limit=5&limit=6", "limit="]
)
def test_a_parameter_that_is_unknown_or_out_of_range_is_told(address: str, query: str) -> None:
    reply = get(address, f"/v1/streams?{query}", asked.Listed((), False))
    assert reply.status == 422
    assert "\n" not in reply.json["error"]
    assert not SERVICE.questions


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 60_000, 400),
        ([], 422),
        ({}, 422),
        ({"steps": 0}, 422),
        ({"steps": 1001}, 422),
        ({"steps": "1"}, 422),
        ({"steps": 1, "samples": 10_001}, 422),
        ({"steps": 1, "seed": -1}, 422),
        ({"steps": 1, "more": 1}, 422),
        ({"steps": 1, "seed": None}, 422),
        ({"steps": True}, 422),
    ],
)
def test_a_body_that_is_wrong_is_told(address: str, body: Any, status: int) -> None:
    SERVICE.questions = []
    reply = ask(address, "/v1/streams/x/forecast", "POST", body, content_type="application/json")
    assert (reply.status, list(reply.json)) == (status, ["error"])
    assert not SERVICE.questions


def test_a_body_that_a_page_of_another_site_could_send_is_refused(address: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert ask(address, "/v1/streams/x/forecast", "POST", b'{"steps": 1}', content_type=kind).status == 415


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/v1/streams", "POST", "GET, HEAD"),
        ("/v1/streams/x", "PUT", "DELETE, GET, HEAD"),
        ("/", "DELETE", "GET, HEAD"),
        ("/v1/streams/x/forecast", "GET", "POST"),
        ("/v1/streams/x/events", "HEAD", "GET"),
        ("/healthz", "OPTIONS", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_for_a_path_is_told_which_are(address: str, path: str, method: str, allowed: str) -> None:
    reply = get(address, path, method=method)
    assert (reply.status, reply.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/x", "/v1", "/v1/streams/a/b", "/v1/streams/a/forecast/b", "/V1/model", "//"])
def test_another_path_is_404(address: str, path: str) -> None:
    assert get(address, path, asked.Found(1, True)).status == 404


@pytest.mark.parametrize("path", ["/v1/streams/%", "/v1/streams/%2", "/v1/streams/%zz", "/v1/streams/a%%", "/page/%q"])
def test_a_path_that_is_badly_encoded_is_told(address: str, path: str) -> None:
    assert get(address, path).status == 400


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/healthz",
        "/metrics",
        "/openapi.json",
        "/v1/model",
        "/v1/streams",
        "/v1/streams/x",
        "/x",
        "/page/x",
        "/v1/streams/%",
    ],
)
def test_every_answer_has_the_headers_that_keep_a_browser_safe(address: str, path: str) -> None:
    reply = get(address, path)
    headers = {name.lower(): value for name, value in HEADERS.items()}
    if path == "/":
        headers["cache-control"] = "no-cache"
    assert headers.items() <= reply.headers.items()
    assert "server" not in reply.headers


def test_the_page_and_its_files_are_served_and_nothing_beside_them(address: str) -> None:
    page = get(address, "/")
    assert page.headers["content-type"].startswith("text/html")
    assert get(address, "/page/index.html").body == page.body
    for path in (
        "/page/",
        "/page/../server.py",
        "/page/..%2Fserver.py",
        "/page/%2Fetc%2Fpasswd",
        "/page/.",
        "/page/%00",
    ):
        assert get(address, path).status == 404, path


def test_with_a_token_only_health_and_the_page_go_without() -> None:
    with server(SERVICE, token="s3cret") as address:
        for path in ("/", "/page/index.html", "/healthz", "/readyz"):
            assert ask(address, path).status in (200, 503), path
        for path in (
            "/metrics",
            "/openapi.json",
            "/v1/model",
            "/v1/overview",
            "/v1/streams",
            "/v1/streams/x",
            "/nowhere",
        ):
            reply = ask(address, path, authorization="Bearer wrong")
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer"), path
            assert ask(address, path).status == 401
        assert ask(address, "/v1/streams/x", "DELETE").status == 401
        assert ask(address, "/v1/model", authorization="Bearer s3cret").status == 200


def test_without_one_a_name_that_leads_here_by_somebody_elses_will_is_refused(address: str) -> None:
    assert ask(address, "/v1/model", host="evil.example").status == 403
    assert ask(address, "/healthz", host="evil.example").status == 200
    assert ask(address, "/v1/streams/x", "DELETE", origin="https://evil.example").status == 403


def test_a_question_that_fails_is_told_in_one_line_and_logged(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: asked.Inquiry) -> list[asked.Answer]:
        raise RuntimeError("the inside")

    with server(fail) as address:
        reply = ask(address, "/v1/streams/x")
    assert (reply.status, reply.json) == (500, {"error": "this failed; the log says why"})
    told = capsys.readouterr()
    assert "http_failed" in told.out + told.err


def test_every_endpoint_stands_in_the_document(address: str) -> None:
    document = json.loads(get(address, "/openapi.json").body)
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/healthz", "/readyz", "/metrics", "/v1/model", "/v1/overview", "/v1/streams", "/v1/streams/{key}",
        "/v1/streams/{key}/forecast", "/v1/streams/{key}/events",
    }  # fmt: skip
    limit = next(p for p in document["paths"]["/v1/streams"]["get"]["parameters"] if p["name"] == "limit")
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"], limit["schema"]["default"]) == (1, 1000, 100)


def test_who_only_passes_questions_on_loads_no_model_library() -> None:
    code = (
        "import sys, stream.supervisor, stream.http.server; print({'onnx', 'onnxruntime', 'numpy'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.strip() == "set()"
