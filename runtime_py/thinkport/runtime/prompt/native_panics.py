"""What a library in Rust writes to stderr when it panics, kept away from the terminal: its exception says the same.

Knows the text of a panic and the file descriptor of stderr; must not know which library is called.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from threading import Lock

_STDERR = 2
_TURN = Lock()  # the descriptor is the process's
_PANIC = re.compile(rb"\n?thread '[^'\n]*'[^\n]* panicked at .*?(?:^note: [^\n]*\n|\Z)", re.DOTALL | re.MULTILINE)


@contextmanager
def without_panics() -> Iterator[None]:
    """Leave panics out of what the process writes to stderr meanwhile; the rest is written at the end.

    For short work only: what other threads write waits too.
    """
    try:
        terminal = os.dup(_STDERR)
    except OSError:  # it is closed: nothing can be written
        yield
        return
    try:
        with _TURN, TemporaryFile() as kept:
            os.dup2(kept.fileno(), _STDERR)
            try:
                yield
            finally:
                os.dup2(terminal, _STDERR)
                kept.seek(0)
                if rest := _PANIC.sub(b"", kept.read()):
                    os.write(_STDERR, rest)
    finally:
        os.close(terminal)
