"""Warnings of libraries as one line each on stderr, without the place in the source."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def tidy_warnings() -> Iterator[None]:
    """Show the warnings that come within, of whatever filters are set, as single lines."""

    def show(message: Warning | str, *place: Any, **more: Any) -> None:
        sys.stderr.write(f"thinkport: warning: {' '.join(str(message).split())}\n")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
