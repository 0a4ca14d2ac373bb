"""One export at a time writes to an output path: the second is told at its start, not after an hour's work.

A claim is a locked file in the user's cache folder, whose lock ends with its process, however that ends. Knows no
artifact.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from os import fsencode
from pathlib import Path
from typing import IO

from thinkport.export.errors import OutputError
from thinkport.runtime.machine.user_cache import user_cache_folder


@contextmanager
def claimed(target: Path) -> Iterator[None]:
    """Hold the output path while the block runs; where the cache folder can't be written, nothing is held.

    Raises:
        OutputError: another export holds it.
    """
    path = user_cache_folder() / "exports" / sha256(fsencode(target.resolve())).hexdigest()[:32]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _taken(path)
    except OSError:
        yield
        return
    if file is None:
        raise OutputError(
            f"another export is writing to {target}: wait until it is done, or choose another output path"
        )
    with file:
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()  # still locked: who waits for the name opens a new file, and none is left behind


def _taken(path: Path) -> IO[bytes] | None:
    """The file of that name, locked; None where another process or another claim of this one holds it.

    Raises:
        OSError: it can't be opened.
    """
    while True:
        file = path.open("ab")
        if not _locked(file):
            file.close()
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # its holder ended and deleted it between the opening and the lock


def _locked(file: IO[bytes]) -> bool:
    """Lock a file for this process alone, without waiting; whether that went."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True
