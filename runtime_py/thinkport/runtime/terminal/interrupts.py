"""Ctrl-C while a reply is written: it ends the thought, then the turn, then the program.

For the main thread only, where Python delivers signals.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

INTERRUPTED = 130  # the shell's code for a program ended by Ctrl-C


class Press(StrEnum):
    """What a press asks for."""

    STOP_THINKING = "stop thinking"
    CANCEL = "cancel"
    LEAVE = "leave"


class Presses:
    """The presses of one turn; `last` is what the latest asked for."""

    def __init__(self) -> None:
        self.last: Press | None = None

    def next(self, *, thought_open: bool) -> Press:
        """What one more press asks for: each goes a step further than the one before."""
        if self.last is None and thought_open:
            self.last = Press.STOP_THINKING
        elif self.last in (None, Press.STOP_THINKING):
            self.last = Press.CANCEL
        else:
            self.last = Press.LEAVE
        return self.last


@contextmanager
def pressing(act: Callable[[Press], None], thought_open: Callable[[], bool]) -> Iterator[Presses]:
    """Call `act` on a Ctrl-C that ends the thought or the turn; one that leaves is a `KeyboardInterrupt`."""
    presses = Presses()

    def pressed(number: int, frame: object) -> None:
        press = presses.next(thought_open=thought_open())
        if press is Press.LEAVE:
            raise KeyboardInterrupt
        act(press)

    before = signal.signal(signal.SIGINT, pressed)
    try:
        yield presses
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def interrupting(cancel: Callable[[], None]) -> Iterator[None]:
    """Call `cancel` on the first Ctrl-C; a second one interrupts as usual."""
    with pressing(lambda press: cancel(), thought_open=lambda: False):
        yield
