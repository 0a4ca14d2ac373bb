"""Exchanges two folders in one step, where the system can: no moment in which a path holds neither.

Linux has renameat2 with RENAME_EXCHANGE (renameat2(2), from 3.15 on, on most file systems), macOS renamex_np with
RENAME_SWAP. Python offers neither.
"""

import ctypes
import os
import shutil
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_RENAME_SWAP = 2


def exchanged(one: Path, other: Path) -> bool:
    """Exchange what two paths of one file system hold; False where the system can't, and nothing was changed."""
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None, use_errno=True)
    except (OSError, TypeError):  # Windows has no such library
        return False
    if swap := getattr(library, "renameat2", None):
        return bool(swap(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE) == 0)
    if swap := getattr(library, "renamex_np", None):
        return bool(swap(first, second, _RENAME_SWAP) == 0)
    return False


def put_in_place(made: Path, target: Path, *, aside: Path) -> None:
    """Give a folder its name, and delete what had it: in one step, or by way of `aside` where the system can't.

    Raises:
        OSError: a rename failed; `target` is as it was.
    """
    if target.exists() and exchanged(made, target):
        shutil.rmtree(made, ignore_errors=True)
        return
    if target.exists():
        target.rename(aside)
    try:
        made.rename(target)
    except OSError:
        if aside.exists():
            aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)
