"""A reply that is read in a thread of its own, for callbacks.

Knows threads. Must not know what the events are, or whose they are.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Event as Flag
from threading import Thread, current_thread
from typing import Generic, Protocol, Self, TypeVar

from thinkport.runtime.engine.stop import Stop

_AT_EXIT = 10.0  # seconds that a program which ends waits for a step in progress

E_co = TypeVar("E_co", covariant=True)
E = TypeVar("E")


class Readable(Protocol[E_co]):
    """What is read: a reply, or a generator."""

    def __iter__(self) -> Iterator[E_co]:
        """Its events."""

    def close(self) -> None:
        """Let go of it."""


class Background(Generic[E]):
    """A reply that is read in the background. All methods may be called from any thread, at any time.

    | state     | becomes it by                     | `done` | `error`         |
    |-----------|-----------------------------------|--------|-----------------|
    | running   | being made                        | no     | None            |
    | ended     | its last event                    | yes    | None            |
    | failed    | an exception, of a callback too   | yes    | that exception  |
    | abandoned | `stop.abandon`, before its end    | yes    | None            |
    """

    def __init__(
        self,
        begin: Callable[[Stop], Readable[E]],
        on_event: Callable[[E], object],
        on_done: Callable[[Self], object],
        stop: Stop | None = None,
    ):
        """Call `begin` with `stop` for what is read and `on_event` for each event, both in a thread of its own.

        `on_done` is called there when it is over, once, whatever ended it. An exception that `on_event` raises ends it
        like an error of the reply's own.
        """
        self.stop = stop or Stop()
        self.error: BaseException | None = None
        self._over = Flag()
        self._thread = Thread(target=self._run, args=(begin, on_event, on_done), name="thinkport-reply", daemon=True)
        # A daemon would be torn down within ONNX Runtime when the program ends, which may crash.
        weakref.finalize(self, _give_up, self.stop, self._thread)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._over.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over, or so many seconds; whether it is."""
        return self._over.wait(timeout)

    def _run(
        self,
        begin: Callable[[Stop], Readable[E]],
        on_event: Callable[[E], object],
        on_done: Callable[[Self], object],
    ) -> None:
        try:
            if not self.stop.abandoned:
                with closing(begin(self.stop)) as events:
                    for event in events:
                        on_event(event)
        except BaseException as error:  # whoever waits for the end gets it, a panic of a native library too
            self.error = error
        finally:
            self._over.set()
            on_done(self)


def _give_up(stop: Stop, thread: Thread) -> None:
    """Abandon a reply that still runs when the program ends, and wait for its step."""
    if thread.is_alive() and thread is not current_thread():
        stop.abandon()
        thread.join(_AT_EXIT)
