"""The machine's cache of what it derived from artifacts: entries, which are folders of files, by key.

Entries are never shipped. Any number of processes may use one cache at once: an entry appears whole or not at all, and
nobody deletes it while a process uses it. Nothing here is needed to run: a cache that can't be used is a miss. Knows
files, keys and locks; must not know what the files hold.
"""

import shutil
import warnings
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from thinkport.runtime.errors import CacheWarning
from thinkport.runtime.machine.cache_record import RECORD_NAME, CacheKey, CacheRecord
from thinkport.runtime.machine.file_lock import FileLock

CACHE_BYTES = 12 << 30  # most bytes of all entries; packed weights take 0.8 GB at 0.6B and 10 at 8B
FREE_BYTES = 2 << 30  # of the disk stay free when an entry is made
_LOCK, _MAKING = ".lock", ".making"


class Lease(ExitStack):
    """An entry in use: its files stay in place until the lease is closed or the process ends."""

    def __init__(self, folder: Path, lock: FileLock):
        super().__init__()
        self.folder = folder
        self.enter_context(lock)


@dataclass(frozen=True, kw_only=True)
class CacheEntry:
    """An entry as `thinkport cache` lists it; `used` is seconds since the epoch."""

    name: str
    key: CacheKey
    bytes: int
    used: float
    in_use: bool


class MachineCache:
    """Entries in one folder, at most `limit` bytes; the longest unused ones make room for new ones."""

    def __init__(self, folder: Path, limit: int = CACHE_BYTES):
        self.folder, self.limit = folder, limit

    def find(self, key: CacheKey) -> Lease | None:
        """The entry of `key`, if its files match its record; None otherwise."""
        return self._take(key, check=True)

    def make(self, key: CacheKey, write: Callable[[Path], object], *, expected_bytes: int) -> Lease | None:
        """Make the entry of `key`: `write` fills the folder that it is given.

        Return None if another process is making the entry, if there is no room for `expected_bytes` (about the entry's
        size), or, with a warning, if the folder can't be written. Other errors of `write` are raised.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            alone = FileLock.try_take(self._lock_of(key.name), alone=True)
            if alone is None:
                return None
            with alone:
                self._clear_leftovers(key.name)
                if not self._has_room(expected_bytes):
                    return None
                self._make_alone(key, write)
        except OSError as error:
            self._warn(error)
            return None
        return self._take(key, check=False)

    def discard(self, key: CacheKey) -> None:
        """Delete the entry of `key` unless a process uses it."""
        self._remove(key.name)

    def entries(self) -> list[CacheEntry]:
        """All entries, the longest unused first."""
        found: list[CacheEntry] = []
        for path in self.folder.glob(f"*/{RECORD_NAME}"):
            record, name = CacheRecord.read(path.parent), path.parent.name
            if record is not None and not name.endswith(_MAKING):
                free = self._lock_alone(name)
                if free:
                    free.close()
                entry = CacheEntry(
                    name=name, key=record.key, bytes=record.bytes, used=self._used(name), in_use=free is None
                )
                found.append(entry)
        return sorted(found, key=lambda entry: entry.used)

    def clear(self) -> int:
        """Delete entries that no process uses; return the bytes freed."""
        return sum(entry.bytes for entry in self.entries() if self._remove(entry.name))

    def _take(self, key: CacheKey, *, check: bool) -> Lease | None:
        folder = self.folder / key.name
        try:
            if not (folder / RECORD_NAME).is_file():
                return None
            lock = FileLock.try_take(self._lock_of(key.name), alone=False)
            if lock is None:  # another process is deleting it
                return None
            self._lock_of(key.name).touch()
        except OSError as error:
            self._warn(error)
            return None
        record = CacheRecord.read(folder)
        if record is None or record.key != key or (check and not record.is_true_of(folder)):
            lock.close()
            self.discard(key)
            return None
        return Lease(folder, lock)

    def _make_alone(self, key: CacheKey, write: Callable[[Path], object]) -> None:
        """Fill a folder beside the entry's and rename it."""
        making = self.folder / f"{key.name}.{token_hex(4)}{_MAKING}"
        making.mkdir()
        try:
            write(making)
            CacheRecord.of(key, making).write(making)
            shutil.rmtree(self.folder / key.name, ignore_errors=True)
            making.rename(self.folder / key.name)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise

    def _clear_leftovers(self, own: str) -> None:
        """Delete what dead processes left half written or half deleted: folders whose entry is not locked."""
        for left in self.folder.glob(f"*{_MAKING}"):
            name = left.name.partition(".")[0]
            lock = nullcontext() if name == own else self._lock_alone(name)
            if lock is not None:
                with lock:
                    shutil.rmtree(left, ignore_errors=True)

    def _has_room(self, wanted: int) -> bool:
        """Delete the longest unused entries until `wanted` bytes fit. Return whether they do."""
        if wanted > self.limit:
            return False
        entries = self.entries()
        held = sum(entry.bytes for entry in entries)
        for entry in entries:
            if held + wanted <= self.limit:
                break
            held -= entry.bytes if self._remove(entry.name) else 0
        return held + wanted <= self.limit and shutil.disk_usage(self.folder).free >= wanted + FREE_BYTES

    def _remove(self, name: str) -> bool:
        """Delete an entry unless a process uses it. It is renamed first, so that nobody finds half of it."""
        lock = self._lock_alone(name)
        if lock is None:
            return False
        with lock:
            going = self.folder / f"{name}.{token_hex(4)}{_MAKING}"
            try:
                (self.folder / name).rename(going)
            except OSError:  # not there, or on Windows open somewhere
                return False
            shutil.rmtree(going, ignore_errors=True)
        return True

    def _lock_alone(self, name: str) -> FileLock | None:
        try:
            return FileLock.try_take(self._lock_of(name), alone=True)
        except OSError:
            return None

    def _lock_of(self, name: str) -> Path:
        """An entry's lock file. It is never deleted: a process that has it open would hold a lock on no file."""
        return self.folder / (name + _LOCK)

    def _used(self, name: str) -> float:
        try:
            return self._lock_of(name).stat().st_mtime
        except OSError:
            return 0.0

    def _warn(self, error: OSError) -> None:
        warnings.warn(
            f"the cache in {self.folder} can't be used ({error.strerror or error}), so loading takes longer and more "
            "memory: free or name another folder for it, or turn it off",
            CacheWarning,
            stacklevel=3,
        )
