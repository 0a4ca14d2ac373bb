"""How much memory the KV caches of a model's engines may take together, and who goes first when there is no room.

Knows sizes and which engine was used last. Must not know tokens, or what a KV cache holds.
"""

from bisect import bisect_right
from dataclasses import dataclass
from threading import Lock
from typing import Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from thinkport.runtime.engine.kv_cache import capacity_for
from thinkport.runtime.errors import InputError

_MB = 1_000_000


@dataclass(frozen=True, kw_only=True)
class KvSize:
    """What a KV cache takes: `token` bytes for each token of a sequence of at most `context` tokens.

    `in_place`: one buffer of a capacity that grows by steps; otherwise past and present exist side by side.
    """

    token: int
    in_place: bool
    context: int

    def bytes(self, tokens: int) -> int:
        """Bytes for a sequence of so many tokens."""
        return self.token * (capacity_for(tokens, self.context) if self.in_place else 2 * tokens)

    def tokens(self, bytes: int) -> int:  # noqa: A002 - the quantity's own name
        """The most tokens that fit into so many bytes."""
        return max(0, bisect_right(range(self.context + 1), bytes, key=self.bytes) - 1)


class KvHolder(Protocol):
    """What holds a KV cache."""

    def evict(self) -> bool:
        """Free the KV cache unless its memory is held by a use in progress. Return whether it is free now."""


@dataclass(frozen=True, kw_only=True)
class MemoryUse:
    """What a model's conversations take, in bytes; its weights are not among them.

    kv: the KV caches of its chats and other engines. shared: starts of prompts that are kept for other conversations.
    limit: the most that both may take together, None for no limit.
    """

    kv: int
    shared: int
    limit: int | None


Holder = TypeVar("Holder", bound=KvHolder)


class KvMemory(Generic[Holder]):
    """The KV caches of one model's engines. Any thread may use it, but none that holds an engine's lock."""

    def __init__(self, limit: int | None = None):
        """`limit` is the most bytes they may take together; None for no limit."""
        self.limit = limit
        self._lock = Lock()
        self._held: WeakKeyDictionary[Holder, int] = WeakKeyDictionary()  # the most recently used last

    @property
    def bytes(self) -> int:
        """What all of them take now, at most."""
        with self._lock:
            return sum(self._held.values())

    def holders(self) -> list[Holder]:
        """Everything that was added and still exists."""
        with self._lock:
            return list(self._held)

    def add(self, holder: Holder) -> None:
        """Count this one's KV cache too, which is empty yet."""
        with self._lock:
            self._held[holder] = 0

    def fits(self, size: KvSize) -> int:
        """The most tokens that one sequence alone may have."""
        return size.context if self.limit is None else size.tokens(self.limit)

    def used(self, holder: Holder) -> None:
        """This one is in use: of those that are not, it goes last."""
        with self._lock:
            self._held[holder] = self._held.pop(holder, 0)

    def reserve(self, holder: Holder, wanted: int) -> None:
        """Make room for a KV cache of `wanted` bytes; idle ones are evicted for it, the longest unused first.

        Raises:
            InputError: the others are all in use and leave too little.
        """
        if wanted <= self._held.get(holder, 0):
            return
        with self._lock:
            if wanted <= self._held.get(holder, 0):  # an eviction that was refused meanwhile gave it back
                return
            if self.limit is not None:
                self._make_room(holder, self.limit - wanted)
            self._held[holder] = wanted

    def reserve_free(self, holder: Holder, wanted: int) -> bool:
        """Reserve `wanted` bytes without evicting anyone. Return whether it worked.

        Waits for nobody: work ahead is waited for by finalizers, which run wherever garbage is collected.
        """
        if wanted <= self._held.get(holder, 0):
            return True
        if not self._lock.acquire(blocking=False):
            return False
        try:
            taken = sum(self._held.values()) - self._held.get(holder, 0)
            free = self.limit is None or taken + wanted <= self.limit
            if free:
                self._held[holder] = wanted
            return free
        finally:
            self._lock.release()

    def release(self, holder: Holder) -> None:
        """This one holds nothing any more."""
        with self._lock:
            self._held[holder] = 0

    def _make_room(self, holder: Holder, left: int) -> None:
        others = {other: size for other, size in self._held.items() if other is not holder and size}
        for other, size in others.items():
            if sum(self._held[one] for one in others) <= left:
                return
            self._held[other] = 0  # first, so that one that goes on meanwhile reserves anew, and waits for this
            if not other.evict():
                self._held[other] = size
        taken = sum(self._held[one] for one in others)
        if taken > left:
            assert self.limit is not None
            raise InputError(
                f"replies in progress hold {taken / _MB:.0f} MB of KV caches, and this one needs "
                f"{(self.limit - left) / _MB:.0f} of the {self.limit / _MB:.0f} MB that chats may take: wait until one "
                "of them ends, or load the model with a higher memory_limit"
            )
