"""Warnings of libraries as one line each on stderr, without the place in the source."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def tidy_warnings() -> Iterator[None]:
    """Show the warnings that come within, of whatever filters are set, as single lines."""
    with warnings.catch_warnings():
        warnings.showwarning = _show
        yield


def warning_line(message: Warning | str) -> str:
    """A warning in one line."""
    return f"thinkport: warning: {' '.join(str(message).split())}\n"


def _show(message: Warning | str, *place: Any, **more: Any) -> None:
    sys.stderr.write(warning_line(message))
