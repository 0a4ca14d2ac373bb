"""Replies that are written in threads and read from the event loop.

A job has a place for its replies and gives it back within one token of its reader's going. Knows threads and places;
must not know what a client asked for or how it is answered.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, NamedTuple, Protocol

from thinkport.runtime.engine import Engine
from thinkport.runtime.server.places import Places

_KEEP_ALIVE = 15.0  # seconds of silence after which a reader is told that all is well


class Written(Protocol):
    """A reply that goes on while it is iterated."""

    def __iter__(self) -> Iterator[Any]:
        """Its events."""

    def cancel(self) -> None:
        """End it at its next token; from any thread."""

    def stop_thinking(self) -> None:
        """Close its thought at its next token; from any thread."""


class Piece(NamedTuple):
    """An event of the reply of that number."""

    number: int
    event: Any


class Plan(NamedTuple):
    """What a job writes: `begin` makes the reply number `index` over an engine, `prompt` is what they begin with."""

    prompt: Sequence[int]
    begin: Callable[[Engine, int], Written]
    replies: int = 1


class Job:
    """The replies of one request, one after the other."""

    def __init__(self, name: str, plan: Plan, engine: Engine, first: Written):
        self.name = name
        self._plan, self._engine, self._reply = plan, engine, first
        self._over = False
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Piece | BaseException | None] = asyncio.Queue()

    def stop_thinking(self) -> None:
        """Close the open thought at its next token."""
        self._reply.stop_thinking()

    def cancel(self) -> None:
        """End at the next token."""
        self._over = True
        self._reply.cancel()

    def run(self) -> None:
        """Write everything; in a thread of its own."""
        ended: BaseException | None = None
        try:
            for index in range(self._plan.replies):
                if index and not self._over:
                    self._reply = self._plan.begin(self._engine, index)
                if self._over:
                    self._reply.cancel()  # a reply that began just now had not heard of it
                for event in self._reply:
                    self._put(Piece(index, event))
        except Exception as error:  # whatever it is, the reader has to hear of it
            ended = error
        self._put(ended)

    def _put(self, item: Piece | BaseException | None) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    async def pieces(self) -> AsyncIterator[Piece | None]:
        """Everything as it comes; None where nothing came for a while."""
        while True:
            try:
                item = await asyncio.wait_for(self._queue.get(), _KEEP_ALIVE)
            except TimeoutError:
                yield None
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item


class Jobs:
    """Every job of a server."""

    def __init__(self, places: Places, parallel: int):
        self.places = places
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="thinkport-reply")
        self._running: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()

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
        began, loop = monotonic(), asyncio.get_running_loop()
        beginning = loop.run_in_executor(self._threads, plan.begin, engine, 0)
        try:
            first = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            beginning.add_done_callback(lambda done: self._forget(done, engine))
            raise
        except Exception:
            self.places.give_back(engine, 0.0)
            raise
        job = Job(name, plan, engine, first)
        self._running[name] = job
        task = loop.create_task(self._run(job, engine, began))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def _forget(self, begun: "asyncio.Future[Written]", engine: Engine) -> None:
        """Nobody waits any more for a reply that has begun, or failed to, only now; none of it was run."""
        begun.exception()
        self.places.give_back(engine, 0.0)

    async def _run(self, job: Job, engine: Engine, began: float) -> None:
        """Write a job in a thread; then its place is free. Nobody cancels this: a step can't be interrupted."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, job.run)
        finally:
            del self._running[job.name]
            self.places.give_back(engine, monotonic() - began)

    async def end(self, grace: float) -> None:
        """Take nothing new, let replies go on for `grace` seconds at most, then end them."""
        self.places.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for job in list(self._running.values()):
            job.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False)
