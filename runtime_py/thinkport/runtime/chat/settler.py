"""Work for the idle time after a turn: one function in a thread of its own, which is told to stop when a turn begins.

Knows threads; must not know what the work is.
"""

import weakref
from collections.abc import Callable
from threading import Thread, current_thread

from thinkport.runtime.engine.stop import Stop


class _Work:
    """A function that runs in a thread. It holds no settler, so that a dropped settler is collected and ends it."""

    def __init__(self, work: Callable[[Stop], object]):
        self._stop = Stop()
        self.error: Exception | None = None
        self._thread = Thread(target=self._run, args=(work,), name="thinkport-settler", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Ask the work to stop and wait until it does."""
        self._stop.cancel()
        self.join()

    def join(self) -> None:
        """Wait for the work; a finalizer may ask for it in the work's own thread, which can't wait for itself."""
        if self._thread is not current_thread():
            self._thread.join()

    def _run(self, work: Callable[[Stop], object]) -> None:
        try:
            work(self._stop)
        except Exception as error:  # `wait` raises it in the thread that asks
            self.error = error


class Settler:
    """Runs one piece of work at a time. A settler that is dropped, or alive when the program ends, stops its work.

    `start` is for one thread; work that looks at its stop rarely is waited for as long.
    """

    def __init__(self) -> None:
        self._work: _Work | None = None
        self._finalizer: weakref.finalize[[], Settler] | None = None

    def start(self, work: Callable[[Stop], object]) -> None:
        """Stop the work in progress, then run `work(stop)` in the background; it returns soon after it is cancelled."""
        self.stop()
        self._work = started = _Work(work)
        self._finalizer = weakref.finalize(self, started.end)

    def stop(self) -> None:
        """Ask the work to stop and wait until it does; its error, if it ended with one, is dropped."""
        if work := self._work:
            work.end()
            self._forget()

    def wait(self) -> None:
        """Wait until the work is done, or stopped by another thread.

        Raises:
            ThinkportError: what the work ended with, once; any other exception that it let out as well.
        """
        if work := self._work:
            work.join()
            self._forget()
            if work.error:
                raise work.error

    def _forget(self) -> None:
        """Drop work that is over, and its finalizer."""
        self._work = None
        if self._finalizer:
            self._finalizer.detach()
