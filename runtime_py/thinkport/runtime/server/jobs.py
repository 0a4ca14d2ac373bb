"""Replies that are written in threads and read from the event loop.

A job has a place for its replies and returns it within one token after its reader left. Knows threads and places;
must not know what a client asked for or how it is answered.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import closing, suppress
from functools import partial
from time import monotonic
from typing import NamedTuple

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.events import Event
from thinkport.runtime.reply.background import Background
from thinkport.runtime.reply.event_queue import EventQueue
from thinkport.runtime.server.places import Places
from thinkport.runtime.server.reply_plan import ReplyPlan

_KEEP_ALIVE = 15.0  # seconds of silence after which a reader is told that all is well


class Piece(NamedTuple):
    """An event of the reply of that number."""

    number: int
    event: Event


class Job(Background):
    """The replies of one request, one after the other; its stop ends all of them.

    `begun` is done once the first reply has begun, or raises why it can't; `over` once the last one's thread is.
    """

    def __init__(self, name: str, plan: ReplyPlan, engine: Engine):
        """Start a thread that writes."""
        self.name = name
        self._loop = asyncio.get_running_loop()
        self.begun, self.over = self._loop.create_future(), self._loop.create_future()
        self._queue = EventQueue[Piece]()
        super().__init__(partial(self._write, plan, engine), Job._ended)

    def pieces(self) -> AsyncGenerator[Piece | None]:
        """Yield every piece as it comes, and None after each while without one."""
        return self._queue.read(_KEEP_ALIVE)

    def _write(self, plan: ReplyPlan, engine: Engine, stop: Stop) -> None:
        for number in range(plan.replies):
            if number and stop.cancelled:
                return
            with closing(plan.begin(engine, number, Stop(within=stop))) as reply:  # a stop string ends its own only
                if not number:
                    engine.make_room(len(plan.prepared.prompt.ids))
                    self._settle(self.begun)
                for event in reply:
                    self._queue.put(Piece(number, event))

    def _ended(self) -> None:
        self._queue.end(self.error)
        self._settle(self.begun, self.error)
        self._settle(self.over)

    def _settle(self, future: "asyncio.Future[None]", error: BaseException | None = None) -> None:
        def settle() -> None:
            if not future.done():  # a request that is cancelled cancels the future that it awaits
                future.set_exception(error) if error else future.set_result(None)

        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            self._loop.call_soon_threadsafe(settle)


class Jobs:
    """Every job of a server."""

    def __init__(self, places: Places):
        self.places = places
        self._running: dict[str, Job] = {}

    def find(self, name: str) -> Job | None:
        """A job that goes on, by its name."""
        return self._running.get(name)

    async def start(self, name: str, plan: ReplyPlan) -> Job:
        """Wait for a place and begin; errors of the request are raised here, before anything is written.

        Raises:
            ApiError: too many wait, or the server ends.
            ThinkportError: a request that can't be run.
        """
        engine = await self.places.take(plan.prepared.prompt.ids)
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
            job.stop.cancel()
            raise
        return job

    async def end(self, grace: float) -> None:
        """Take nothing new, let replies go on for `grace` seconds at most, then end them."""
        self.places.close()
        jobs = list(self._running.values())
        if jobs:
            await asyncio.wait([job.over for job in jobs], timeout=grace)
            for job in jobs:
                job.stop.cancel()
            await asyncio.wait([job.over for job in jobs])
