"""Starts of prompts whose keys and values are kept for later conversations, such as a system prompt and its tools.

Knows ids and snapshots; must not know lanes, chats or where a start ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from thinkport.runtime.engine.kv_snapshot import KvSnapshot
from thinkport.runtime.errors import InputError

_Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Entry:
    ids: _Ids
    snapshot: KvSnapshot

    @property
    def nbytes(self) -> int:
        return self.ids.nbytes + self.snapshot.nbytes


class PrefixCache:
    """At most `limit_bytes` of snapshots, the least recently used going first; for all engines of one graph.

    Any thread may use it. No stored entry is the start of another one.
    """

    def __init__(self, limit_bytes: int):
        """A limit of 0 stores nothing.

        Raises:
            InputError: a negative limit.
        """
        if limit_bytes < 0:
            raise InputError(f"the prefix cache's limit is {limit_bytes} bytes, expected 0 for none, or more")
        self.limit_bytes = limit_bytes
        self._entries: list[_Entry] = []  # the most recently used last
        self._lock = Lock()

    @property
    def bytes(self) -> int:
        """What its entries take: keys, values and ids."""
        with self._lock:
            return self._bytes()

    def covers(self, ids: Sequence[int]) -> bool:
        """Whether an entry begins with all of `ids`; it counts as used."""
        wanted = np.asarray(ids, np.int64)
        with self._lock:
            return self._use_covering(wanted)

    def put(self, ids: Sequence[int], snapshot: KvSnapshot) -> bool:
        """Keep the snapshot of `ids` in place of the entries that are a start of it; False if it alone is too large.

        Nothing changes where an entry begins with `ids` already. A snapshot that is a view is copied.
        """
        assert len(ids) == snapshot.length, "a snapshot holds its ids' keys and values"
        entry = _Entry(ids=np.array(ids, np.int64), snapshot=snapshot)
        if entry.nbytes > self.limit_bytes:
            return False
        entry = _Entry(ids=entry.ids, snapshot=snapshot.owned())
        with self._lock:
            if not self._use_covering(entry.ids):
                self._entries = [kept for kept in self._entries if _shared(kept.ids, entry.ids) < len(kept.ids)]
                self._entries.append(entry)
                self._drop_oldest()
        return True

    def longest(self, ids: Sequence[int]) -> KvSnapshot | None:
        """What the entry that shares most with the start of `ids` has of it, as a view; None where none shares a token.

        Of entries that share as much, the most recently used one; it counts as used.
        """
        wanted = np.asarray(ids, np.int64)
        with self._lock:
            shared = [_shared(entry.ids, wanted) for entry in self._entries]
            most = max(shared, default=0)
            if not most:
                return None
            return self._use(len(shared) - 1 - shared[::-1].index(most)).snapshot.first(most)

    def clear(self) -> None:
        """Forget every entry."""
        with self._lock:
            self._entries = []

    def _bytes(self) -> int:
        return sum(entry.nbytes for entry in self._entries)

    def _use(self, at: int) -> _Entry:
        entry = self._entries.pop(at)
        self._entries.append(entry)
        return entry

    def _use_covering(self, ids: _Ids) -> bool:
        covering = [at for at, entry in enumerate(self._entries) if _shared(entry.ids, ids) == len(ids)]
        if covering:
            self._use(covering[-1])
        return bool(covering)

    def _drop_oldest(self) -> None:
        while self._bytes() > self.limit_bytes:
            del self._entries[0]


def _shared(a: _Ids, b: _Ids) -> int:
    """How many ids `a` and `b` have in common at their start."""
    size = min(len(a), len(b))
    different = np.flatnonzero(a[:size] != b[:size])
    return int(different[0]) if different.size else size
