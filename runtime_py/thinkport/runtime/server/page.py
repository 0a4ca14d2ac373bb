"""The chat page and its files, which ask for nothing from anywhere else."""

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
PATHS = tuple(_FILES)


async def page(request: Request) -> Response:
    """One of the page's files."""
    name, kind = _FILES[request.url.path]
    data = (files("thinkport.runtime.server") / "page" / name).read_bytes()
    return Response(data, media_type=kind, headers={"cache-control": "no-cache"})
