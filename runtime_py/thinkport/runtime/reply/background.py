"""Work in a thread of its own, such as reading a reply for callbacks, and its events for an event loop.

Knows threads and asyncio. Must not know what the work is, or what the events are.
"""

import traceback
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from threading import Event as Flag
from threading import Thread
from typing import Generic, Self, TypeVar

from thinkport.runtime.engine.stop import Stop

_AT_EXIT = 10.0  # seconds that a program which ends waits for a step in progress
E = TypeVar("E")


class Background:
    """Work in the background, which looks at its stop. All methods may be called from any thread, at any time.

    | state     | becomes it by                     | `done` | `error`         |
    |-----------|-----------------------------------|--------|-----------------|
    | running   | being made                        | no     | None            |
    | ended     | the work's return                 | yes    | None            |
    | failed    | an exception, of a callback too   | yes    | that exception  |
    | abandoned | `stop.abandon`, before its end    | yes    | None            |
    """

    def __init__(
        self,
        work: Callable[[Stop], object],
        on_done: Callable[[Self], object] = lambda _: None,
        stop: Stop | None = None,
    ):
        """Call `work` with `stop` in a thread, and there `on_done` once when it is over, whatever ended it."""
        self.stop = stop or Stop()
        self.error: BaseException | None = None
        self._over = Flag()
        self._thread = Thread(target=self._run, args=(work, on_done), name="thinkport-work", daemon=True)
        # A daemon would be torn down within ONNX Runtime when the program ends, which may crash.
        self._at_exit = weakref.finalize(self, _give_up, self.stop, self._thread)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._over.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over, or so many seconds; whether it is."""
        return self._over.wait(timeout)

    def _run(self, work: Callable[[Stop], object], on_done: Callable[[Self], object]) -> None:
        try:
            if not self.stop.abandoned:
                work(self.stop)
        except BaseException as error:  # whoever waits for the end gets it, a panic of a native library too
            self.error = _without_locals(error)
        finally:
            self._at_exit.detach()  # the collector's thread never waits for this one
            self._over.set()
            on_done(self)
            del self, work, on_done  # the frames of an error's traceback hold this one, which called them


def _without_locals(error: BaseException) -> BaseException:
    """An error to be kept: where it came from can be printed, and what its frames held, a KV cache, is let go of.

    Frames keep the functions that they ran, so work that holds its `Background` in a closure would still make a cycle.
    """
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__
    return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)  # the first frame is the thread's


def _give_up(stop: Stop, thread: Thread) -> None:
    """Abandon work that still runs when the program ends, and wait for its step."""
    stop.abandon()  # first: a thread that starts later finds it so and does nothing
    if thread.is_alive():
        thread.join(_AT_EXIT)


class EventQueue(Generic[E]):
    """Events in their order; made in the event loop that reads them, filled by another thread."""

    def __init__(self) -> None:
        import asyncio  # whoever has a loop has it loaded; others need not wait for it

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
        import asyncio

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
