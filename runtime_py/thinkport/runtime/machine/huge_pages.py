"""Memory in huge pages (2 MiB instead of 4 KiB), which Linux gives to whom asks: fewer look-ups of addresses.

Knows how Linux is asked and says what it gave (its page admin-guide/mm/transhuge); elsewhere memory is ordinary. Must
not know what lies in it.
"""

import mmap
import threading
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HUGE_PAGE = 2 << 20  # bytes, of x86-64, and of ARM with pages of 4 KiB
BLOCK = 16 * HUGE_PAGE  # so large that what is left over at its end is little of it
LEAST = HUGE_PAGE // 8  # bytes of an array; smaller ones would keep blocks alive and gain nothing
_LINE = 64  # bytes: a cache line, and the widest vector
_SMAPS = Path("/proc/self/smaps")


class HugeBlocks:
    """Gives arrays of zeros out of blocks of huge pages, several small ones of one block.

    A block is free when the last of its arrays is, so that what grows array by array needs a block more for a while.
    Threads may ask at once.
    """

    def __init__(self) -> None:
        self._block, self._used = np.empty(0, np.uint8), 0
        self._alone = threading.Lock()

    def zeros(self, shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """A new array of zeros, which begins at a multiple of 64 bytes where huge pages are asked for."""
        kind = np.dtype(dtype)
        size = prod(shape) * kind.itemsize
        if not hasattr(mmap, "MADV_HUGEPAGE") or size < LEAST:
            return np.zeros(shape, kind)
        return self._take(size).view(kind).reshape(shape)

    def _take(self, size: int) -> npt.NDArray[np.uint8]:
        if size > BLOCK // 2:
            return _block(size)
        with self._alone:
            if self._used + size > len(self._block):
                self._block, self._used = _block(BLOCK), 0
            start, self._used = self._used, self._used + -(-size // _LINE) * _LINE
            return self._block[start : start + size]


def _block(size: int) -> npt.NDArray[np.uint8]:
    """Zeros in memory of the process's own that begins at a huge page and is advised to be of them."""
    mapping = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    whole = np.frombuffer(mapping, np.uint8)  # holds the mapping, as its slices hold it
    start = -whole.ctypes.data % HUGE_PAGE
    mapping.madvise(mmap.MADV_HUGEPAGE, start, size)
    return whole[start : start + size]


def advised_memory(smaps: Path = _SMAPS) -> tuple[int, int] | None:
    """Bytes of this process that lie in memory advised to be huge pages, and those of them that do in huge pages.

    None where the system doesn't say.
    """
    resident = huge = 0
    found = {}
    try:
        with smaps.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                found[key] = value.split()
                if key == "VmFlags":  # a mapping's last line
                    if "hg" in found[key]:
                        resident += int(found["Rss"][0])
                        huge += int(found["AnonHugePages"][0])
                    found = {}
    except (OSError, KeyError, ValueError):
        return None
    return resident << 10, huge << 10
