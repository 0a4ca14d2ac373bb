"""Listens on an address and serves a model until it is told to end.

Knows uvicorn and sockets; must not know routes.
"""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette

from thinkport.runtime.errors import InputError
from thinkport.runtime.model import Model
from thinkport.runtime.server.app import LOG, create_app
from thinkport.runtime.server.connection import uvicorn_options
from thinkport.runtime.server.service import Service
from thinkport.runtime.server.settings import ServerSettings

_IDLE = 30  # seconds that a connection may wait for its next request


class _Server(uvicorn.Server):
    """Ends replies in its own time: first no new ones, then those that go on get a while, then they end cleanly."""

    def __init__(self, app: Starlette, **options: Any):
        super().__init__(uvicorn.Config(app, **options))
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End replies while connections are still open, then close those."""
        for server in self.servers:
            server.close()
        service: Service | None = getattr(self._app.state, "service", None)
        if service is not None:
            await service.jobs.end(service.settings.grace_seconds)
        await super().shutdown(sockets)


def listen(settings: ServerSettings) -> socket.socket:
    """A socket that listens where the settings say; it raises what `listen_on` does."""
    return listen_on(settings.host, settings.port)


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that listens on an address; port 0 takes a free one.

    Raises:
        InputError: the address can't be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise InputError(f"--host is {host!r}, which is no address here: {error.strerror or error}") from error
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"{host}:{port} can't be listened on ({getattr(error, 'strerror', None) or error}): take another --port, "
            "or 0 for a free one"
        ) from error


def serve(
    model: Model,
    name: str,
    settings: ServerSettings,
    bound: socket.socket,
    *,
    on_ready: Callable[[], None] = lambda: None,
    until: Callable[[], bool] | None = None,
) -> None:
    """Serve a model on a listening socket until SIGINT or SIGTERM, or until `until` is true; for the main thread.

    `on_ready` is called once requests are taken.
    """
    server = _Server(
        create_app(model, name, settings),
        **uvicorn_options(settings.header_seconds),
        lifespan="on",
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
    )
    _log_to_stderr(requests=settings.log_requests)

    async def main() -> None:
        serving = asyncio.ensure_future(server.serve(sockets=[bound]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if not serving.done():
            on_ready()
        while until is not None and not serving.done():
            await asyncio.sleep(0.5)
            server.should_exit = server.should_exit or until()
        await serving

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())


def _log_to_stderr(*, requests: bool) -> None:
    """Lines about requests if asked for. uvicorn's own hold tracebacks, and those hold what clients sent."""
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL + 1)
    if requests and not LOG.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        LOG.addHandler(handler)
        LOG.setLevel(logging.INFO)
        LOG.propagate = False
