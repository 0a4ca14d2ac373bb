"""A turn's events for asyncio: read in a thread of its own, awaited in the loop's.

Knows turns and event loops; must not know chats.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from thinkport.runtime.events import Event
from thinkport.runtime.turn import OnDone, OnEvent, Turn

Start = Callable[[OnEvent, OnDone], Turn]


async def turn_events(start: Start) -> AsyncGenerator[Event]:
    """The events of the turn that `start` begins, as they come; the loop is never blocked.

    Left early, be it by a cancelled task, the turn is abandoned and waited for, which takes a step at most.

    Raises:
        ThinkportError: what the turn ended with.
    """
    loop, events = asyncio.get_running_loop(), asyncio.Queue[Event | None]()

    def put(event: Event | None) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(events.put_nowait, event)

    turn = start(put, lambda _: put(None))
    try:
        while (event := await events.get()) is not None:
            yield event
    finally:
        turn.abandon()
        while not turn.done:
            await events.get()
    if turn.error is not None:
        raise turn.error
