"""What is typed while a reply is drawn is not echoed into the drawing; it waits for the next prompt."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

if sys.platform == "win32":

    @contextmanager
    def without_echo() -> Iterator[None]:
        """A Windows console echoes only while it is read."""
        yield

else:
    import termios

    @contextmanager
    def without_echo() -> Iterator[None]:
        """No echo on stdin within, if it is a terminal; Ctrl-C still works."""
        if not sys.stdin.isatty():
            yield
            return
        before = termios.tcgetattr(sys.stdin)
        quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
        termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
        try:
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
