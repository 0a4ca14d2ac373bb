"""This process's memory as its system counts it, in bytes."""

import sys
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024
_ROLLUP = Path("/proc/self/smaps_rollup")


@dataclass(frozen=True, kw_only=True)
class ProcessMemory:
    """`private` is what nobody shares and the system can't drop: anonymous pages with those swapped out.

    `resident` is all that is in memory now, mapped files' pages among it, which the system drops when it needs room.
    Windows calls the first private bytes and the second the working set.
    """

    private: int
    resident: int


def process_memory() -> ProcessMemory | None:
    """Of this process; None on a system that is not known here."""
    if sys.platform == "win32":
        return _windows()
    if _ROLLUP.is_file():
        return parse_rollup(_ROLLUP.read_text(encoding="ascii"))
    return None


def parse_rollup(text: str) -> ProcessMemory:
    """What Linux's `smaps_rollup` says, in lines such as `Anonymous: 12 kB`."""
    lines = [line.split() for line in text.splitlines()]
    sizes = {line[0]: int(line[1]) * _KIB for line in lines if len(line) == 3 and line[2] == "kB"}
    return ProcessMemory(private=sizes["Anonymous:"] + sizes["Swap:"], resident=sizes["Rss:"])


def _windows() -> ProcessMemory | None:
    """GetProcessMemoryInfo with PROCESS_MEMORY_COUNTERS_EX (psapi.h)."""
    if sys.platform == "win32":
        import ctypes
        from ctypes import wintypes

        names = ("peak", "working_set", "a", "b", "c", "d", "pagefile", "peak_pagefile", "private")

        class Counters(ctypes.Structure):
            _fields_ = (
                ("cb", wintypes.DWORD),
                ("faults", wintypes.DWORD),
                *((name, ctypes.c_size_t) for name in names),
            )

        counters = Counters(cb=ctypes.sizeof(Counters))
        tell = ctypes.WinDLL("psapi").GetProcessMemoryInfo
        current = wintypes.HANDLE(-1)
        if tell(current, ctypes.byref(counters), counters.cb):
            return ProcessMemory(private=counters.private, resident=counters.working_set)
    return None
