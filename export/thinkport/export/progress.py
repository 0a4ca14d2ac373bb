"""How an export tells what it is doing: stages, their seconds, and how much of a stage is done.

The library keeps the times and calls a listener; it never prints.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Advance = Callable[[int], None]


class Listener:
    """Shows progress, or nothing where a method isn't overridden. Stages start and stop in the exporting thread.

    `advance` and `resize` may come from other threads, one call at a time: a download has threads of its own.
    """

    def start(self, stage: str, total: int | None) -> None:
        """A stage begins; `total` is its size in bytes where that is known."""

    def advance(self, done: int) -> None:
        """So many more bytes of the current stage are done."""

    def resize(self, total: int) -> None:
        """The current stage's size is known now, or has grown: a download finds its files one by one."""

    def stop(self, stage: str, seconds: float) -> None:
        """A stage is done; one that failed is not stopped."""


@dataclass
class Stages:
    """The stages of one export in order, with their seconds."""

    listener: Listener
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Advance]:
        """Time a stage; yields the function that reports bytes done."""
        self.listener.start(name, total)
        start = time.perf_counter()
        yield self.listener.advance
        self.seconds[name] = time.perf_counter() - start
        self.listener.stop(name, self.seconds[name])


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes everywhere but on macOS
