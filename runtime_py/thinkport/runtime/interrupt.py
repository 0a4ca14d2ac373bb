"""Ctrl-C while a reply is written: it ends the reply, not the program."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTED = 130  # the shell's code for a program ended by Ctrl-C


@contextmanager
def interrupting(cancel: Callable[[], None]) -> Iterator[None]:
    """Call `cancel` on the first Ctrl-C; a second one interrupts as usual. For the main thread only."""

    def first(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        cancel()

    before = signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
