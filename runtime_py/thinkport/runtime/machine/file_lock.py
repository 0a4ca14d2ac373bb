"""File locks between processes. The system releases the locks of a process that dies.

Knows the operating system's locks; must not know what is locked.
"""

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    _FAIL_IMMEDIATELY, _EXCLUSIVE = 1, 2  # LockFileEx, minwinbase.h

    class _Overlapped(ctypes.Structure):
        _fields_ = (
            ("internal", ctypes.c_void_p),
            ("internal_high", ctypes.c_void_p),
            ("offset", wintypes.DWORD),
            ("offset_high", wintypes.DWORD),
            ("event", wintypes.HANDLE),
        )

    def _try_lock(descriptor: int) -> bool:
        handle = wintypes.HANDLE(msvcrt.get_osfhandle(descriptor))
        lock = ctypes.WinDLL("kernel32", use_last_error=True).LockFileEx
        return bool(lock(handle, _FAIL_IMMEDIATELY | _EXCLUSIVE, 0, 1, 0, ctypes.byref(_Overlapped())))
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        """`flock`, which belongs to the open file: two locks of one process exclude each other as any two do."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class FileLock(ExitStack):
    """A lock that is held. Close it to release it, or use it as a context manager; a second close does nothing.

    `descriptor` is the locked file, open for reading and writing: on Windows, no other one reads its first byte.
    """

    descriptor: int

    @classmethod
    def try_take(cls, path: Path) -> Self | None:
        """Lock `path`, which is created if missing. Return None where another lock prevents it.

        Raises:
            OSError: the file can't be opened, or its file system has no locks.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with cls() as lock:
            lock.callback(os.close, descriptor)
            if not _try_lock(descriptor):
                return None
            taken = lock.pop_all()
            taken.descriptor = descriptor
            return taken

    def __del__(self) -> None:
        self.close()
