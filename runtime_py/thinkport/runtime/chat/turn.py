"""A chat's work in threads of its own: a turn, whose events go to callbacks or to an event loop, and the time after it.

Any thread may end either. Knows a reply's events. Must not know messages, or what a window does with them.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import closing, suppress
from functools import partial

from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import CallbackError, InputError
from thinkport.runtime.events import End, Event
from thinkport.runtime.reply.background import Background, EventQueue
from thinkport.runtime.reply.reply import Reply

Begin = Callable[[Stop], Reply]
OnEvent = Callable[[Event], object]
OnDone = Callable[["Turn"], object]
Start = Callable[[OnEvent, OnDone], "Turn"]


class Turn(Background):
    """A reply that is read in the background. All of its methods may be called from any thread, at any time."""

    def __init__(
        self, begin: Begin, on_event: OnEvent | None = None, on_done: OnDone | None = None, stop: Stop | None = None
    ):
        """Use `Chat.start`. An exception that a callback raises ends the turn like an error of the reply's own."""
        self._end: End | None = None

        super().__init__(partial(self._read, begin, on_event), on_done or (lambda _: None), stop)

    def _read(self, begin: Begin, on_event: OnEvent | None, stop: Stop) -> None:
        with closing(begin(stop)) as reply:
            for event in reply:
                if on_event is not None:
                    _call(on_event, event)
                if isinstance(event, End):
                    self._end = event

    def stop_thinking(self) -> None:
        """Close the thought at its next token, so that the answer comes; before there is a reply, at its first."""
        self.stop.stop_thinking()

    def cancel(self) -> None:
        """End the reply at its next token, with an `End`: what came so far joins the chat's history."""
        self.stop.cancel()

    def abandon(self) -> None:
        """End the reply at its next token, without an `End`: the chat's history stays as it was."""
        self.stop.abandon()

    def result(self, timeout: float | None = None) -> End:
        """Wait for the end.

        Raises:
            ThinkportError: what the reply ended with; any other exception that `on_event` raised as well.
            CallbackError: `on_event` raised what ends programs, such as `SystemExit`.
            InputError: the turn was abandoned.
            TimeoutError: it isn't over after so many seconds; it goes on.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"the turn isn't over after {timeout} s: wait longer, or cancel it")
        if self.error is not None:
            try:
                raise self.error
            finally:
                del self  # or the error's traceback would hold what holds the error
        if self._end is None:
            raise InputError("the turn was abandoned before its end: begin another one")
        return self._end


def _call(on_event: OnEvent, event: Event) -> None:
    try:
        on_event(event)
    except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:  # a thread that waits would be ended by it
        raise CallbackError(
            f"on_event raised {error!r} in the turn's thread, which can't end the program: hand the wish to your own "
            "thread, and end there"
        ) from error


async def turn_events(start: Start) -> AsyncGenerator[Event]:
    """Yield the events of the turn that `start` begins; the event loop never waits for a step.

    A generator that is left early, also by a cancelled task, abandons the turn and waits for it: one step at most.

    Raises:
        ThinkportError: what the turn ended with.
    """
    queue = EventQueue[Event]()
    turn = start(queue.put, lambda ended: queue.end(ended.error))
    del start  # it holds the chat, and this frame is in the traceback of an error
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
        del turn


class Settler:
    """Runs one piece of work at a time. A settler that is dropped, or alive when the program ends, stops its work.

    `start` is for one thread; work that looks at its stop rarely is waited for as long.
    """

    def __init__(self) -> None:
        self._work: Background | None = None

    def __del__(self) -> None:
        """Ask the work to stop and wait for nothing: garbage is collected in any thread, within any lock."""
        if work := self._work:
            work.stop.cancel()

    def start(self, work: Callable[[Stop], object]) -> None:
        """Stop the work in progress, then run `work(stop)` in the background; it returns soon after it is cancelled."""
        self.stop()
        self._work = Background(work)

    def stop(self) -> None:
        """Ask the work to stop and wait until it does; its error, if it ended with one, is dropped."""
        if work := self._work:
            work.stop.cancel()
            work.wait()
            self._work = None

    def wait(self) -> None:
        """Wait until the work is done, or stopped by another thread.

        Raises:
            ThinkportError: what the work ended with, once; any other exception that it let out as well.
        """
        if work := self._work:
            work.wait()
            self._work, error = None, work.error
            if error:
                try:
                    raise error
                finally:
                    del error, work  # or the error's traceback would hold what holds the error
