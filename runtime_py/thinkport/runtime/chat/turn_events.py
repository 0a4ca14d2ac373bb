"""A turn's events for asyncio: read in a thread of its own, awaited in the loop's.

Knows turns and event loops; must not know chats.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from thinkport.runtime.chat.turn import OnDone, OnEvent, Turn
from thinkport.runtime.events import Event
from thinkport.runtime.reply.event_queue import EventQueue

Start = Callable[[OnEvent, OnDone], Turn]


async def turn_events(start: Start) -> AsyncGenerator[Event]:
    """The events of the turn that `start` begins, as they come; the loop is never blocked.

    Left early, be it by a cancelled task, the turn is abandoned and waited for, which takes a step at most.

    Raises:
        ThinkportError: what the turn ended with.
    """
    queue = EventQueue[Event]()
    turn = start(queue.put, lambda ended: queue.end(ended.error))
    ended = False
    try:
        async for event in queue.read():
            if event is not None:
                yield event
        ended = True
    finally:
        turn.abandon()
        if not ended and not turn.done:
            with suppress(Exception):  # a turn that is left raises nothing
                async for _ in queue.read():
                    pass
