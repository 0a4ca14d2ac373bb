"""Places for replies, each with an engine whose KV cache stays from request to request, and a bounded line before them.

Knows engines and waiting; must not know requests. For one event loop.
"""

import asyncio
import math
from collections.abc import Sequence

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.fair_turns import FairTurns
from thinkport.runtime.engine.held_sequence import common_prefix
from thinkport.runtime.model import Model
from thinkport.runtime.server.api_error import ApiError


class Places:
    """At most `parallel` replies at a time, and at most `queue` requests that wait for one to end, first come first."""

    def __init__(self, model: Model, parallel: int, queue: int):
        turns = FairTurns()
        self._idle = [model.engine(turns) for _ in range(parallel)]
        self._parallel, self._queue = parallel, queue
        self._line: list[asyncio.Future[None]] = []
        self._seconds = 5.0  # of a reply, on average
        self.closed = False

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._line)

    @property
    def active(self) -> int:
        """How many replies are being written."""
        return self._parallel - len(self._idle)

    async def take(self, prompt: Sequence[int]) -> Engine:
        """A place, once there is one: the idle one whose KV cache holds most of the prompt's start.

        Raises:
            ApiError: 429 with Retry-After, too many wait; 503, the server ends.
        """
        self._check_open()
        if self._line or not self._idle:
            await self._wait()
        best = max(self._idle, key=lambda engine: (common_prefix(engine.ids, prompt), -len(engine.ids)))
        self._idle.remove(best)
        self._wake()
        return best

    def give_back(self, engine: Engine, seconds: float) -> None:
        """The place's reply is over, after so many seconds."""
        self._seconds += 0.2 * (seconds - self._seconds)
        self._idle.append(engine)
        self._wake()

    def close(self) -> None:
        """Take no more requests; those that wait end with an error."""
        self.closed = True
        for future in self._line:
            if not future.done():
                future.set_result(None)

    async def _wait(self) -> None:
        if len(self._line) >= self._queue:
            seconds = max(1, math.ceil(self._seconds * (len(self._line) + 1) / self._parallel))
            raise ApiError(
                429,
                f"{len(self._line)} requests wait already: try again in about {seconds} seconds",
                headers={"retry-after": str(min(seconds, 600))},
            )
        future = asyncio.get_running_loop().create_future()
        self._line.append(future)
        try:
            await future
        except asyncio.CancelledError:
            self._line.remove(future)
            self._wake()  # it may have been called, or counted as called: call the next one
            raise
        self._line.remove(future)
        self._check_open()

    def _wake(self) -> None:
        """Call as many waiting requests as there are idle places."""
        called = sum(future.done() for future in self._line)
        for future in self._line:
            if called >= len(self._idle):
                return
            if not future.done():
                future.set_result(None)
                called += 1

    def _check_open(self) -> None:
        if self.closed:
            raise ApiError(503, "the server is ending", headers={"retry-after": "5"})
