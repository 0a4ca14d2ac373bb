"""Exchanges two folders in one step, where the system can: no moment in which a path holds neither.

Linux has renameat2 with RENAME_EXCHANGE (renameat2(2), from 3.15 on, on most file systems), macOS renamex_np with
RENAME_SWAP. Python offers neither.
"""

import ctypes
import os
import sys
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_RENAME_SWAP = 2


def exchanged(one: Path, other: Path) -> bool:
    """Exchange what two paths of one file system hold; False where the system can't, and nothing was changed."""
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            return bool(library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE) == 0)
        if sys.platform == "darwin":
            return bool(library.renamex_np(first, second, _RENAME_SWAP) == 0)
    except (AttributeError, OSError, TypeError):  # a library without it, or Windows, which has no such library
        return False
    return False
