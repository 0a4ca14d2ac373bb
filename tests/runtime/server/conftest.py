"""Servers on loopback, in threads of the tests: real sockets, and clients that nobody here wrote."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Semaphore, Thread
from time import monotonic, sleep
from typing import Any

import pytest
import uvicorn
from openai import OpenAI

from thinkport.runtime import Model
from thinkport.runtime.server import ServerSettings, create_app
from thinkport.runtime.server.connection import uvicorn_options
from thinkport.runtime.server.interface.page import is_built
from thinkport.runtime.server.service import Service


class Slow:
    """Turns that take their time."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def __enter__(self) -> None:
        sleep(self.seconds)

    def __exit__(self, *_) -> None:
        pass


class Allowed:
    """Turns that somebody has to allow, one by one."""

    def __init__(self, allowed: Semaphore):
        self.allowed = allowed

    def __enter__(self) -> None:
        assert self.allowed.acquire(timeout=120)

    def __exit__(self, *_) -> None:
        pass


class Served:
    """A server that takes requests; `loop` is the event loop that it runs in."""

    def __init__(self, url: str, app: object, loop: asyncio.AbstractEventLoop):
        self.url, self.app, self.loop = url, app, loop
        self._clients = ExitStack()

    @property
    def service(self) -> Service:
        return self.app.state.service  # type: ignore[attr-defined]

    def client(self, **options) -> OpenAI:
        return self._clients.enter_context(
            OpenAI(base_url=f"{self.url}/v1", **{"api_key": "any", "max_retries": 0, "timeout": 60, **options})
        )

    def slow_down(self, seconds: float) -> None:
        """Make each step take at least so long: the reference model thinks faster than anybody can click."""
        for engine in self.service.jobs.places._idle:
            engine._uses.turns = Slow(seconds)

    def step_by_step(self, steps: int) -> Semaphore:
        """Make the engines wait after so many steps, for as many as are released."""
        allowed = Semaphore(steps)
        for engine in self.service.jobs.places._idle:
            engine._uses.turns = Allowed(allowed)
        return allowed

    def close(self) -> None:
        """Close the clients."""
        self._clients.close()

    def idle(self, seconds: float = 60.0) -> bool:
        """Whether no reply is being written, within so many seconds."""
        until = monotonic() + seconds
        while self.service.jobs.places.active and monotonic() < until:
            sleep(0.01)
        return not self.service.jobs.places.active


@contextmanager
def running(model: Model, send_buffer: int | None = None, **settings) -> Iterator[Served]:
    """A server; `send_buffer` is how many bytes the system takes for a client that does not read."""
    chosen = ServerSettings(grace_seconds=2.0, **settings)
    app = create_app(model, "nano", chosen)
    config = uvicorn.Config(app, **uvicorn_options(chosen.header_seconds), lifespan="on")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        if send_buffer is not None:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)  # connections inherit it
        loop = asyncio.new_event_loop()
        thread = Thread(target=lambda: loop.run_until_complete(server.serve(sockets=[bound])))
        thread.start()
        while not server.started:
            sleep(0.01)
        try:
            served = Served(f"http://127.0.0.1:{bound.getsockname()[1]}", app, loop)
            yield served
            served.close()
        finally:
            server.should_exit = True
            thread.join(120)
            loop.close()
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def nano_model(nano_artifact: Path) -> Iterator[Model]:
    with Model.load(nano_artifact, kernels="off") as model:
        yield model


@pytest.fixture(scope="session")
def served(nano_model: Model) -> Iterator[Served]:
    with running(nano_model) as one:
        yield one


@pytest.fixture
def serve(nano_model: Model) -> Iterator[Callable[..., Served]]:
    """Starts servers of their own settings."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running(nano_model, **settings))


@pytest.fixture(scope="session")
def serving() -> Callable[..., Any]:
    """A server of a model of the test's own, as a context."""
    return running


@pytest.fixture
def serve_model() -> Iterator[Callable[[Model], Served]]:
    """Starts servers of models of the test's own."""
    with ExitStack() as stack:
        yield lambda model: stack.enter_context(running(model))


@pytest.fixture(scope="session")
def page_built() -> None:
    """The chat page, built of the sources as they are."""
    if not is_built():
        pytest.skip("the chat page is not built: python deploy/web/build.py")
