"""The page's own files. They hold no data, so everybody may have them."""

from pathlib import Path

from starlette.responses import Response

from stream.http.problem import Problem

PLACE = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".LICENSE": "text/plain",
}


def page(name: str) -> Response:
    """One file of the page; only what lies in its folder now, by its very name. Raises Problem."""
    known = {path.name: path for path in PLACE.iterdir() if path.suffix in TYPES and path.is_file()}
    if name not in known:
        raise Problem(404, "there is no such file; the page is /")
    path = known[name]
    # It may change with the next version: the browser asks each time.
    return Response(path.read_bytes(), headers={"Cache-Control": "no-cache"}, media_type=TYPES[path.suffix])
