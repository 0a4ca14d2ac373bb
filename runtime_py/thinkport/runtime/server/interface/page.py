"""The chat page: files that `deploy/web/build.py` builds into a folder beside this module, or a sentence without them.

Knows files and their types; must not know what the page does.
"""

import gzip
from functools import cache, lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from thinkport.runtime.server.api_error import ApiError

FOLDER = Path(__file__).with_name("built")
_ASSETS = "/assets/"
_ICON = "/icon.svg"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_PACKED = {".woff2"}  # gzip makes these no smaller
_FOR_EVER = "public, max-age=31536000, immutable"  # an asset's name changes with its content
_BUILDER = Path(__file__).parents[5] / "deploy" / "web" / "build.py"


def page_routes(folder: Path = FOLDER) -> list[Route]:
    """The routes of the built page in `folder`; without one, `/` says how to get it."""

    async def page(request: Request) -> Response:
        path = request.url.path
        file = _files(folder, _stamp(folder)).get("/index.html" if path == "/" else path)
        if file is None:
            return _missing(folder, path)
        zipped = "gzip" in request.headers.get("accept-encoding", "") and file.suffix not in _PACKED
        headers = {"cache-control": _FOR_EVER if path.startswith(_ASSETS) else "no-cache", "vary": "accept-encoding"}
        if zipped:
            headers["content-encoding"] = "gzip"
        data = _zipped(file, file.stat().st_mtime_ns) if zipped else file.read_bytes()
        return Response(data, media_type=_TYPES[file.suffix], headers=headers)

    return [Route(path, page) for path in ("/", _ICON, f"{_ASSETS}{{name}}")]


def is_open(path: str) -> bool:
    """Whether a path is one of the page's files, which anybody may read."""
    return path in ("/", _ICON) or path.startswith(_ASSETS)


def is_built(folder: Path = FOLDER) -> bool:
    """Whether there is a page."""
    return (folder / "index.html").is_file()


def how_to_build(builder: Path = _BUILDER) -> str:
    """How this installation gets its page, in a sentence."""
    if builder.is_file():
        return "The chat page is not built yet: run `python deploy/web/build.py` in thinkport's folder, then reload."
    return "This installation of thinkport came without its chat page: install it again, from a wheel."


def _stamp(folder: Path) -> tuple[tuple[int, int], ...]:
    """What differs once the page was built again, which puts another folder there."""
    found = (place.stat() for place in (folder, folder / _ASSETS.strip("/")) if place.is_dir())
    return tuple((one.st_ino, one.st_mtime_ns) for one in found)


@lru_cache(maxsize=8)
def _files(folder: Path, _: tuple[tuple[int, int], ...]) -> dict[str, Path]:
    """The files by their paths, looked up and never joined: no path leads out of the folder."""
    found = (path for path in folder.rglob("*") if path.suffix in _TYPES)
    return {f"/{path.relative_to(folder).as_posix()}": path for path in found}


def _missing(folder: Path, path: str) -> Response:
    if path != "/" or is_built(folder):
        raise ApiError(404, "there is no such path")
    return PlainTextResponse(f"{how_to_build()} The interfaces work without it: see /openapi.json.\n", 404)


@cache
def _zipped(file: Path, _: int) -> bytes:
    return gzip.compress(file.read_bytes(), 6, mtime=0)
