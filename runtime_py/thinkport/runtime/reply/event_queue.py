"""From a thread that reads a reply to an event loop that waits for its events.

Knows asyncio. Must not know what the events are.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Generic, TypeVar

E = TypeVar("E")


class EventQueue(Generic[E]):
    """Events in their order; made in the event loop that reads them, filled by another thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[E | None] = asyncio.Queue()
        self._error: BaseException | None = None

    def put(self, event: E) -> None:
        """Add an event; from any thread. Nothing where the loop is closed: nobody waits any more."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def end(self, error: BaseException | None = None) -> None:
        """Say that no more come, and what they ended with; from any thread."""
        self._error = error
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._events.put_nowait, None)

    async def read(self, silence: float | None = None) -> AsyncGenerator[E | None]:
        """Every event as it comes; with `silence`, None after so many seconds without one.

        Raises:
            BaseException: what they ended with.
        """
        while True:
            try:
                event = await asyncio.wait_for(self._events.get(), silence)
            except TimeoutError:
                yield None
                continue
            if event is None:
                break
            yield event
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self  # or the error's traceback would hold what holds the error
