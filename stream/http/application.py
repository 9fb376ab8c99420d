"""A request's way: who asks, what for, with what; then the endpoint's answer, or one line that says what is wrong."""

import asyncio
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from stream.http import files, openapi
from stream.http.access import Access
from stream.http.asking import Asker
from stream.http.endpoints import EVENTS, TABLE, Asked, Endpoint, Service
from stream.http.following import Followers
from stream.http.problem import Problem, told
from stream.http.view import View

log = structlog.get_logger()

BODY = 64 << 10  # bytes, at most
ARRIVED = 10.0  # seconds that a body may take
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Application:
    """ASGI."""

    def __init__(self, view: View, access: Access) -> None:
        self._access = access
        self._asker = Asker(view)
        self._followers = Followers(self._asker, view.workers)
        self._service = Service(view, self._asker, self._followers, access.stuck_after)
        self._document = openapi.document(access.token is not None)

    def stop(self) -> None:
        """Ends the answers that would go on for ever; on any thread."""
        self._followers.stop()

    def close(self) -> None:
        """When the last answer is given."""
        self._asker.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = [(n.lower().encode(), v.encode()) for n, v in HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in added if pair[0] not in present)]
            await send(message)

        try:
            response = await self._answer(request)
        except Problem as problem:
            response = problem.response()
        except ClientDisconnect:
            return
        except Exception as error:
            # No traceback: what it shows of a request may hold the token.
            frames = traceback.extract_tb(error.__traceback__)
            places = " ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
            log.error("http_failed", error=repr(error), at=places)
            response = Problem(500, "this failed; the log says why").response()
        await response(scope, receive, with_headers)

    async def _answer(self, request: Request) -> Response:
        path: bytes = request.scope["raw_path"]
        if path == b"/" or path.startswith(b"/page/"):
            _allow(request.method, ("GET", "HEAD"))
            return files.page(
                "index.html" if path == b"/" else _decoded(path[len(b"/page/") :]).decode(errors="replace")
            )
        if path == b"/openapi.json":
            self._admit(request)
            _allow(request.method, ("GET", "HEAD"))
            return told(self._document)
        there, key = _endpoints(path)
        if not any(endpoint.open for endpoint in there.values()):
            self._admit(request)
        if not there:
            raise Problem(404, "there is no such path; /openapi.json lists them")
        methods = {**there, "HEAD": there["GET"]} if "GET" in there and there["GET"].media != EVENTS else there
        _allow(request.method, methods)
        endpoint = methods[request.method]
        return await endpoint.run(
            self._service,
            Asked(
                key=key,
                query=_query(request.scope["query_string"], endpoint),
                body=await _body(request, endpoint),
                last_event_id=request.headers.get("last-event-id", ""),
            ),
        )

    def _admit(self, request: Request) -> None:
        refusal = self._access.refuses(request.method, request.headers)
        if refusal is not None:
            headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else {}
            raise Problem(refusal.status, refusal.message, headers)


def _endpoints(path: bytes) -> tuple[Mapping[str, Endpoint], bytes]:
    """(by method, the key), of a path as it was sent: a key's own slashes are still encoded."""
    segments = path[1:].split(b"/")
    found: dict[str, Endpoint] = {}
    key = b""
    for endpoint in TABLE:
        names = endpoint.segments
        if len(names) == len(segments) and all(
            name == "{key}" or name.encode() == segment for name, segment in zip(names, segments, strict=True)
        ):
            found[endpoint.method] = endpoint
            key = _decoded(segments[names.index("{key}")]) if "{key}" in names else b""
    return found, key


def _decoded(segment: bytes) -> bytes:
    decoded = unquote_to_bytes(segment)
    if any(not _hex(part[:2]) for part in segment.split(b"%")[1:]):
        raise Problem(400, "the path is badly encoded; write % itself as %25")
    return decoded


def _hex(digits: bytes) -> bool:
    return len(digits) == 2 and all(digit in b"0123456789abcdefABCDEF" for digit in digits)


def _allow(method: str, methods: Iterable[str]) -> None:
    if method not in methods:
        allowed = ", ".join(sorted(methods))
        raise Problem(405, f"{method} is not for this path; use {allowed}", {"Allow": allowed})


def _query(text: bytes, endpoint: Endpoint) -> Any:
    """Raises Problem where a parameter is not known, given twice, or wrong."""
    if endpoint.open:
        return None  # whoever watches the health may have habits of its own
    # Latin-1 stands for bytes: a key need not be UTF-8.
    pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    given = dict(pairs)
    if len(given) < len(pairs):
        raise Problem(422, "a parameter is given twice; give it once")
    try:
        return msgspec.convert(given, endpoint.query, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(422, f"query: {error}; see /openapi.json") from None


async def _body(request: Request, endpoint: Endpoint) -> Any:
    """Raises Problem where it is too large, too slow, or wrong. What takes none, does not look at it."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > BODY:
        raise Problem(413, f"the body is longer than {BODY} bytes; ask for less")
    if endpoint.body is None:
        return None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # what a page of another site can send without asking is never this
        raise Problem(415, "the body must be JSON; send the header `Content-Type: application/json`")
    content = bytearray()
    try:
        async with asyncio.timeout(ARRIVED):
            async for part in request.stream():
                content += part
                if len(content) > BODY:
                    raise Problem(413, f"the body is longer than {BODY} bytes; ask for less")
    except TimeoutError:
        raise Problem(
            408, f"the body took longer than {ARRIVED:g} s; send it at once", {"Connection": "close"}
        ) from None
    try:
        given = msgspec.json.decode(content)
        if isinstance(given, dict):  # 1.0 is a whole number, too
            given = {n: int(v) if isinstance(v, float) and v.is_integer() else v for n, v in given.items()}
        return msgspec.convert(given, endpoint.body)
    except msgspec.ValidationError as error:
        raise Problem(422, f"body: {error}; see /openapi.json") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"the body is no JSON: {error}") from None
