"""Starts of prompts whose keys and values are kept for later conversations, such as a system prompt and its tools.

Knows ids and snapshots; must not know lanes, chats or where a start ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from thinkport.runtime.engine.kv_cache import KvSnapshot
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
        self._lock = Lock()  # a signal handler may `clear`, which takes no lock: it puts another list in place

    @property
    def bytes(self) -> int:
        """What its entries take: keys, values and ids."""
        return sum(entry.nbytes for entry in self._entries)

    def covers(self, ids: Sequence[int]) -> bool:
        """Whether an entry begins with all of `ids`; it counts as used."""
        with self._lock:
            return self._use(np.asarray(ids, np.int64), len(ids)) is not None

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
            if self._use(entry.ids, len(ids)) is None:
                kept = [one for one in self._entries if _shared(one.ids, entry.ids) < len(one.ids)]
                kept.append(entry)
                while sum(one.nbytes for one in kept) > self.limit_bytes:
                    del kept[0]
                self._entries = kept
        return True

    def longest(self, ids: Sequence[int]) -> KvSnapshot | None:
        """What the entry that shares most with the start of `ids` has of it, as a view; None where none shares a token.

        Of entries that share as much, the most recently used one; it counts as used.
        """
        with self._lock:
            return self._use(np.asarray(ids, np.int64), 1)

    def clear(self) -> None:
        """Forget every entry."""
        self._entries = []

    def _use(self, ids: _Ids, least: int) -> KvSnapshot | None:
        entries = self._entries
        most, at = max(((_shared(entry.ids, ids), at) for at, entry in enumerate(entries)), default=(0, 0))
        if most < max(least, 1):
            return None
        entries.append(entries.pop(at))
        return entries[-1].snapshot.first(most)


def _shared(a: _Ids, b: _Ids) -> int:
    """How many ids `a` and `b` have in common at their start."""
    size = min(len(a), len(b))
    different = np.flatnonzero(a[:size] != b[:size])
    return int(different[0]) if different.size else size
