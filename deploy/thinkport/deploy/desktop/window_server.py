"""The window's server: uvicorn in a thread, on a port of this machine's own address that nobody else knows of.

Knows threads and sockets; must not know what is answered.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from threading import Event, Thread

import uvicorn
from starlette.types import ASGIApp

from thinkport.runtime.server.connection import uvicorn_options
from thinkport.runtime.server.settings import ServerSettings


class WindowServer:
    """Serves an app while it is entered; `url` is where."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, *, on_end: Callable[[], Awaitable[None]]):
        """`on_end` is awaited in the server's loop before its connections are closed."""
        self._bound = socket.create_server((settings.host, settings.port))
        self.url = f"http://{settings.host}:{self._bound.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            **uvicorn_options(settings.header_seconds),
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server, self._on_end, self._ready = uvicorn.Server(config), on_end, Event()
        self._ending: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = Thread(target=lambda: asyncio.run(self._main()), name="thinkport-window")

    def __enter__(self) -> "WindowServer":
        """Begin, and wait until requests are taken."""
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL + 1)  # its tracebacks hold what the page sent
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *raised: object) -> None:
        """End, and wait until that is done."""
        assert self._loop is not None, "it was entered"
        assert self._ending is not None, "it was entered"
        with contextlib.suppress(RuntimeError):  # it ended by itself
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()
        self._bound.close()

    def call(self, work: Callable[[], object]) -> None:
        """Have something done in the server's loop."""
        assert self._loop is not None, "it was entered"
        self._loop.call_soon_threadsafe(work)

    async def _main(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        serving = asyncio.ensure_future(self._server.serve(sockets=[self._bound]))
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.005)
        self._ready.set()
        await self._ending.wait()
        await self._on_end()
        self._server.should_exit = True
        await serving
