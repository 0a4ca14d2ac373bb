"""Replies that are written in threads and read from the event loop, the places for them, and the line before these.

A place is an engine whose KV cache stays from request to request; places share their steps. A job returns its
place within one token after its reader left. Must not know what a client asked for or how it is answered.
"""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.held_sequence import common_prefix
from thinkport.runtime.engine.scheduler import StepFigures
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.events import Event
from thinkport.runtime.model import MemoryUse, Model
from thinkport.runtime.reply.background import Background, EventQueue
from thinkport.runtime.server.api_error import ApiError
from thinkport.runtime.server.reply_plan import ReplyPlan


class Places:
    """At most `max_rows` rows at a time, and at most `queue` requests that wait for some to end, first come first.

    A reply takes a row, or as many as it writes thoughts at the same time.
    """

    def __init__(self, model: Model, max_rows: int, queue: int):
        self._model, self._refreshing = model, asyncio.Lock()
        self._idle = [model.engine() for _ in range(max_rows)]
        self.max_rows, self._queue, self._free = max_rows, queue, max_rows
        self._line: dict[asyncio.Future[None], int] = {}  # and the rows that each waits for
        self._seconds = 5.0  # of a reply, on average
        self._asked = monotonic()
        self.closed = self.asleep = False

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._line)

    @property
    def active(self) -> int:
        """How many rows are being written."""
        return self.max_rows - self._free

    @property
    def steps(self) -> StepFigures:
        """What steps ran since the graph was loaded."""
        return self._model.steps

    @property
    def memory(self) -> MemoryUse:
        """What the model's conversations take now."""
        return self._model.memory

    @property
    def wait_seconds(self) -> int:
        """About how long a request that came now would wait for a place, by how long replies took; 0 with one free."""
        if self._free and not self._line:
            return 0
        return self._wait_of(1)

    def _wait_of(self, rows: int) -> int:
        """About how many seconds so many rows more would wait."""
        return max(1, math.ceil(self._seconds * (sum(self._line.values()) + rows) / self.max_rows))

    async def take(self, prompt: Sequence[int], rows: int = 1) -> Engine:
        """A place, once there are so many rows: the idle one whose KV cache holds most of the prompt's start.

        Raises:
            ApiError: 429 with Retry-After, too many wait; 503, the server ends.
            ThinkportError: the device was lost, and nothing can be loaded in its place.
        """
        self._check_open()
        self._asked = monotonic()
        async with self._refreshing:  # nobody takes a place while the graph changes, and no place is taken then
            if self.asleep:
                await _to_its_end(self._model.reload)
                self.asleep = False
            elif self._model.stale and not self.active:
                await _to_its_end(self._model.refresh)
        self._check_open()  # loading takes a while
        if self._line or self._free < rows:
            await self._wait(rows)
        best = max(self._idle, key=lambda engine: (common_prefix(engine.ids, prompt), -len(engine.ids)))
        self._idle.remove(best)
        self._free -= rows
        self._wake()
        return best

    async def unload_after(self, seconds: float) -> None:
        """Unload the model each time that nobody asked it anything for so many seconds; until cancelled."""
        while True:
            await asyncio.sleep(max(self._asked + seconds - monotonic(), min(seconds, 1.0)))
            async with self._refreshing:
                still = not self.active and not self._line and monotonic() >= self._asked + seconds
                if still and not self.asleep and self._model.loaded:
                    self.asleep = True  # first: a request that is cancelled meanwhile must not hide it
                    try:
                        await _to_its_end(self._model.unload)
                    except Exception as error:  # nobody awaits this task
                        self.asleep, self._asked = not self._model.loaded, monotonic()
                        _LOG.error("the idle model can't be unloaded, which is tried again later: %s", error)

    def give_back(self, engine: Engine, seconds: float, rows: int = 1) -> None:
        """The place's reply of so many rows is over, after so many seconds."""
        self._asked = monotonic()
        self._seconds += 0.2 * (seconds - self._seconds)
        self._idle.append(engine)
        self._free += rows
        self._wake()

    def close(self) -> None:
        """Take no more requests; those that wait end with an error."""
        self.closed = True
        for future in self._line:
            if not future.done():
                future.set_result(None)

    async def _wait(self, rows: int) -> None:
        if len(self._line) >= self._queue:
            seconds = self._wait_of(rows)
            told = f"{len(self._line)} requests wait already: try again in about {seconds} seconds"
            raise ApiError(429, told, headers={"retry-after": str(min(seconds, 600))})
        future = asyncio.get_running_loop().create_future()
        self._line[future] = rows
        try:
            await future
        except asyncio.CancelledError:
            del self._line[future]
            self._wake()  # it may have been called, or counted as called: call the next one
            raise
        del self._line[future]
        self._check_open()

    def _wake(self) -> None:
        """Call the waiting requests that there are rows for, none before one that came earlier."""
        left = self._free
        for future, rows in self._line.items():
            left -= rows
            if left < 0:
                return
            if not future.done():
                future.set_result(None)

    def _check_open(self) -> None:
        if self.closed:
            raise ApiError(503, "the server is ending", headers={"retry-after": "5"})


async def _to_its_end(work: Callable[[], object]) -> None:
    """Do some work in a thread; whoever is cancelled meanwhile waits for its end, and so keeps the locks that it holds.

    Raises:
        ThinkportError: what `work` raises.
    """
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(working)
    finally:
        while not working.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([working])


Found = TypeVar("Found")
_LOG = logging.getLogger("thinkport.server.places")
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
        self._working: dict[asyncio.Future[Any], Stop] = {}

    def find(self, name: str) -> Job | None:
        """A job that goes on, by its name."""
        return self._running.get(name)

    async def start(self, name: str, plan: ReplyPlan) -> Job:
        """Wait for a place and begin; errors of the request are raised here, before anything is written.

        Raises:
            ApiError: too many wait, or the server ends.
            ThinkportError: a request that can't be run.
        """
        rows = plan.prepared.width
        assert rows <= self.places.max_rows, "more would wait for ever: `ThinkingFields` and `create_app` refuse them"
        engine = await self.places.take(plan.prepared.prompt.ids, rows)
        began = monotonic()
        try:
            job = self._running[name] = Job(name, plan, engine)
        except BaseException:  # no thread is to be had
            self.places.give_back(engine, 0.0, rows)
            raise

        def over(_: "asyncio.Future[None]") -> None:
            del self._running[name]
            self.places.give_back(engine, monotonic() - began, rows)

        job.over.add_done_callback(over)
        try:
            await job.begun
        except asyncio.CancelledError:
            job.stop.cancel()
            raise
        return job

    async def run(self, prompt: Sequence[int], work: Callable[[Engine, Stop], Found]) -> Found:
        """What `work` finds at a place, in a thread; its stop is cancelled where nobody waits for it any more.

        Raises:
            ApiError: too many wait, or the server ends.
            ThinkportError: what `work` raises.
        """
        engine = await self.places.take(prompt)
        began, stop = monotonic(), Stop()
        working = asyncio.ensure_future(asyncio.to_thread(work, engine, stop))

        def over(done: "asyncio.Future[Found]") -> None:
            del self._working[working]
            self.places.give_back(engine, monotonic() - began)
            if not done.cancelled():
                done.exception()  # seen, be it that nobody waits for it

        self._working[working] = stop
        working.add_done_callback(over)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            stop.cancel()
            raise

    async def end(self, grace: float) -> None:
        """Take nothing new, let replies go on for `grace` seconds at most, then end them."""
        self.places.close()
        going = {job.over: job.stop for job in self._running.values()} | self._working
        if going:
            await asyncio.wait(going, timeout=grace)
            for stop in going.values():
                stop.cancel()
            await asyncio.wait(going)
