"""A server for trying a site on this machine, with the headers that threads of WebAssembly need.

Knows files, headers and sockets; must not know what a site does.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thinkport.runtime.errors import InputError
from thinkport.runtime.server.connection import uvicorn_options
from thinkport.runtime.server.guard import POLICY

_HEADER_SECONDS = 10.0
_HEADERS = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": f"{POLICY}; manifest-src 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_FOR_EVER = "public, max-age=31536000, immutable"  # of files whose names change with their content
_LASTING = ("/assets/", "/pieces/", "/ort/")
_TYPES = {".mjs": "text/javascript", ".webmanifest": "application/manifest+json"}  # which not every system knows


def site_app(folder: Path, *, headers: bool = True) -> ASGIApp:
    """The files of a site. Without `headers` it is as a host that sets none."""
    pieces = StaticFiles(directory=folder / "pieces")
    rest = GZipMiddleware(StaticFiles(directory=folder, html=True))
    return _WithHeaders(Starlette(routes=[Mount("/pieces", pieces), Mount("/", rest)]), _HEADERS if headers else {})


def serve_site(
    app: ASGIApp,
    bound: socket.socket,
    *,
    tls: tuple[Path, Path] | None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGINT or SIGTERM; for the main thread. `tls` are a certificate's and its key's files, checked."""
    options: dict[str, Any] = {} if tls is None else {"ssl_certfile": tls[0], "ssl_keyfile": tls[1]}
    options |= uvicorn_options(_HEADER_SECONDS)
    config = uvicorn.Config(app, lifespan="off", timeout_graceful_shutdown=1, **options)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL + 1)
    server = uvicorn.Server(config)

    async def main() -> None:
        serving = asyncio.ensure_future(server.serve(sockets=[bound]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if not serving.done():
            on_ready()
        await serving

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())


def check_certificate(certificate: Path, key: Path) -> None:
    """Load a certificate and its key.

    Raises:
        InputError: they can't be used.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: b"")
    except FileNotFoundError:
        lost = certificate if not certificate.is_file() else key
        raise InputError(f"no file at {lost}: --certfile and --keyfile are two files in PEM") from None
    except (ssl.SSLError, OSError) as error:
        raise InputError(
            f"{certificate} and {key} can't be used ({error.strerror or error}): expected a certificate and its key in "
            "PEM, the key without a password"
        ) from error


class _WithHeaders:
    def __init__(self, app: ASGIApp, headers: dict[str, str]):
        self._app, self._headers = app, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    answer[name] = value
                lasting = path.startswith(_LASTING) and message["status"] < 400
                answer["cache-control"] = _FOR_EVER if lasting else "no-cache"
                if kind := _TYPES.get(Path(path).suffix):
                    answer["content-type"] = kind
            await send(message)

        await self._app(scope, receive, sender)
