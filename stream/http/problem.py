"""What keeps a request from its answer."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response


class Problem(Exception):
    """Told to whoever asked, in one line with the mend. status: as in HTTP; more: further fields of the answer."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.more = more

    def response(self) -> Response:
        return told({"error": str(self), **self.more}, self.status, self.headers)


def told(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A body as JSON."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")
