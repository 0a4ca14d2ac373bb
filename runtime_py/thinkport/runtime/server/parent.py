"""Whether the process that started this one is still there.

A parent that ends closes the pipe that is this process's standard input, on every system; on POSIX the process gets
another parent too. Knows processes only.
"""

import os
import stat
import sys
from threading import Thread


class Parent:
    """The process that started this one, watched from now on."""

    def __init__(self) -> None:
        self._id, self._closed = os.getppid(), False
        if _is_pipe():
            Thread(target=self._read, daemon=True, name="thinkport-parent").start()

    def gone(self) -> bool:
        """Whether it has ended, or has closed this process's standard input."""
        return self._closed or (os.name == "posix" and os.getppid() != self._id)

    def _read(self) -> None:
        try:
            while os.read(0, 4096):
                pass
        except OSError:
            pass
        self._closed = True


def _is_pipe() -> bool:
    try:
        mode = os.fstat(0).st_mode
        return sys.stdin is not None and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))  # Node.js gives a socket
    except OSError:
        return False
