"""Steps of many replies over one graph take turns: whoever has waited longest comes next.

Knows threads only. Two steps at once share the cores and take twice as long each, and Python's own lock gives
no order.
"""

from collections import deque
from threading import Lock
from types import TracebackType


class FairTurns:
    """A lock that is had in the order in which it was asked for. Not reentrant."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            mine = Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()  # whoever leaves hands the turn over by releasing it

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
