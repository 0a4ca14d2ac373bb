"""Replies that are written in threads and read from the event loop.

A job has a place for its replies and returns it within one token after its reader left. Knows threads and places;
must not know what a client asked for or how it is answered.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.events import Event
from thinkport.runtime.reply.background import Background, Readable
from thinkport.runtime.reply.event_queue import EventQueue
from thinkport.runtime.server.places import Places

_KEEP_ALIVE = 15.0  # seconds of silence after which a reader is told that all is well


class Piece(NamedTuple):
    """An event of the reply of that number."""

    number: int
    event: Event


class Plan(NamedTuple):
    """What a job writes: `begin` makes the reply number `index` over an engine, `prompt` is what they begin with."""

    prompt: Sequence[int]
    begin: Callable[[Engine, int, Stop], Readable[Event]]
    replies: int = 1


class Job:
    """The replies of one request, one after the other; a stop from outside ends all of them.

    `begun` is done once the first reply has begun, or raises why it can't; `over` once the last one's thread is.
    """

    def __init__(self, name: str, plan: Plan, engine: Engine):
        """Start a thread that writes."""
        self.name = name
        self._plan, self._engine = plan, engine
        self._loop = asyncio.get_running_loop()
        self.begun, self.over = self._loop.create_future(), self._loop.create_future()
        self._queue = EventQueue[Piece]()
        self._background = Background(self._write, self._queue.put, self._ended)

    def stop_thinking(self) -> None:
        """Close the open thought at its next token, and those of the replies that follow."""
        self._background.stop.stop_thinking()

    def cancel(self) -> None:
        """End at the next token."""
        self._background.stop.cancel()

    def pieces(self) -> AsyncGenerator[Piece | None]:
        """Yield every piece as it comes, and None after each while without one."""
        return self._queue.read(_KEEP_ALIVE)

    def _write(self, stop: Stop) -> Generator[Piece]:
        for index in range(self._plan.replies):
            if index and stop.cancelled:
                return
            reply = self._plan.begin(self._engine, index, Stop(within=stop))  # a stop string ends its own reply only
            if not index:
                self._loop.call_soon_threadsafe(_settle, self.begun, None)
            for event in reply:
                yield Piece(index, event)

    def _ended(self, background: Background[Piece]) -> None:
        self._queue.end(background.error)
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            self._loop.call_soon_threadsafe(_settle, self.begun, background.error)
            self._loop.call_soon_threadsafe(_settle, self.over, None)


def _settle(future: "asyncio.Future[None]", error: BaseException | None) -> None:
    if future.done():  # a request that is cancelled cancels the future that it awaits
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


class Jobs:
    """Every job of a server."""

    def __init__(self, places: Places):
        self.places = places
        self._running: dict[str, Job] = {}

    def find(self, name: str) -> Job | None:
        """A job that goes on, by its name."""
        return self._running.get(name)

    async def start(self, name: str, plan: Plan) -> Job:
        """Wait for a place and begin; errors of the request are raised here, before anything is written.

        Raises:
            ApiError: too many wait, or the server ends.
            ThinkportError: a request that can't be run.
        """
        engine = await self.places.take(plan.prompt)
        began = monotonic()
        try:
            job = self._running[name] = Job(name, plan, engine)
        except BaseException:  # no thread is to be had
            self.places.give_back(engine, 0.0)
            raise

        def over(_: "asyncio.Future[None]") -> None:
            del self._running[name]
            self.places.give_back(engine, monotonic() - began)

        job.over.add_done_callback(over)
        try:
            await job.begun
        except asyncio.CancelledError:
            job.cancel()
            raise
        return job

    async def end(self, grace: float) -> None:
        """Take nothing new, let replies go on for `grace` seconds at most, then end them."""
        self.places.close()
        jobs = list(self._running.values())
        if jobs:
            await asyncio.wait([job.over for job in jobs], timeout=grace)
            for job in jobs:
                job.cancel()
            await asyncio.wait([job.over for job in jobs])
