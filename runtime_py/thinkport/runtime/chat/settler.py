"""Work for the idle time after a turn: one function in a thread, which is told to stop when the next turn begins."""

from collections.abc import Callable

from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.reply.background import Background


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
