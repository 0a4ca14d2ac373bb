"""A turn in a thread of its own: what the model says goes to callbacks, and any thread may end it.

Knows threads and a reply's events. Must not know messages, or what a window does with them.
"""

import weakref
from collections.abc import Callable
from threading import Event as Flag
from threading import Lock, Thread, current_thread

from thinkport.runtime.errors import InputError
from thinkport.runtime.events import End, Event
from thinkport.runtime.reply import Reply

_AT_EXIT = 10.0  # seconds that a program which ends waits for a turn's step in progress

Begin = Callable[[], Reply]
OnEvent = Callable[[Event], object]
OnDone = Callable[["Turn"], object]


class Turn:
    """A reply that is read in the background. All of its methods may be called from any thread, at any time."""

    def __init__(self, begin: Begin, on_event: OnEvent | None = None, on_done: OnDone | None = None):
        """Call `begin` for the reply and `on_event` for each of its events, both in the turn's own thread.

        `on_done` is called there with the turn when it is over, once, whatever ended it. An exception that `on_event`
        raises ends the turn like an error of the reply's own.
        """
        self._wishes = _Wishes()
        self._over = Flag()
        self._end: End | None = None
        self._error: Exception | None = None
        self._thread = Thread(target=self._run, args=(begin, on_event, on_done), name="thinkport-turn", daemon=True)
        # A daemon would be torn down within ONNX Runtime when the program ends, which may crash.
        weakref.finalize(self, _give_up, self._wishes, self._thread)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it is over: the end came, or an error, or it was abandoned."""
        return self._over.is_set()

    @property
    def error(self) -> Exception | None:
        """What it ended with instead of an `End`; None otherwise."""
        return self._error

    def stop_thinking(self) -> None:
        """Close the thought at its next token, so that the answer comes; before there is a reply, at its first."""
        self._wishes.say(Reply.stop_thinking)

    def cancel(self) -> None:
        """End the reply at its next token, with an `End`: what came so far joins the chat's history."""
        self._wishes.say(Reply.cancel)

    def abandon(self) -> None:
        """End the reply at its next token, without an `End`: the chat's history stays as it was."""
        self._wishes.say(Reply.abandon)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over, or so many seconds; whether it is."""
        return self._over.wait(timeout)

    def result(self, timeout: float | None = None) -> End:
        """Wait for the end.

        Raises:
            ThinkportError: what the reply ended with; any other exception that `on_event` raised as well.
            InputError: the turn was abandoned.
            TimeoutError: it isn't over after so many seconds; it goes on.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"the turn isn't over after {timeout} s: wait longer, or cancel it")
        if self._error is not None:
            raise self._error
        if self._end is None:
            raise InputError("the turn was abandoned before its end: begin another one")
        return self._end

    def _run(self, begin: Begin, on_event: OnEvent | None, on_done: OnDone | None) -> None:
        try:
            self._read(begin, on_event)
        except Exception as error:  # whoever asks for the result gets it
            self._error = error
        finally:
            self._wishes.end()
            self._over.set()
        if on_done is not None:
            on_done(self)

    def _read(self, begin: Begin, on_event: OnEvent | None) -> None:
        if self._wishes.abandoned:
            return
        reply = begin()
        try:
            self._wishes.meet(reply)
            for event in reply:
                if on_event is not None:
                    on_event(event)
                if isinstance(event, End):
                    self._end = event
        finally:
            reply.close()


class _Wishes:
    """What is asked of a reply, from any thread, be it before there is one or after it is over."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._reply: Reply | None = None
        self._unmet: list[Callable[[Reply], None]] = []
        self._over = False
        self.abandoned = False

    def say(self, wish: Callable[[Reply], None]) -> None:
        with self._lock:
            if self._over:
                return
            self.abandoned |= wish is Reply.abandon
            if self._reply is None:
                self._unmet.append(wish)
            else:
                wish(self._reply)

    def meet(self, reply: Reply) -> None:
        with self._lock:
            self._reply = reply
            for wish in self._unmet:
                wish(reply)

    def end(self) -> None:
        with self._lock:
            self._over, self._reply = True, None


def _give_up(wishes: _Wishes, thread: Thread) -> None:
    """End a turn that still runs when the program ends; one that was dropped is over, or about to be."""
    if thread.is_alive() and thread is not current_thread():
        wishes.say(Reply.abandon)
        thread.join(_AT_EXIT)
