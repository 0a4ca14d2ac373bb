"""Steps of many replies over one graph take turns: whoever has waited longest comes next.

Knows threads only. Two steps at once share the cores and take twice as long each, and Python's own lock gives
no order.
"""

from collections import deque
from threading import Condition
from types import TracebackType


class FairTurns:
    """A lock that is had in the order in which it was asked for. Not reentrant."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._taken = False
        self._waiting: deque[object] = deque()

    def __enter__(self) -> None:
        me = object()
        with self._changed:
            self._waiting.append(me)
            try:
                self._changed.wait_for(lambda: not self._taken and self._waiting[0] is me)
                self._taken = True
            finally:  # an interrupted wait leaves the line too
                self._waiting.remove(me)
                self._changed.notify_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._taken = False
            self._changed.notify_all()
