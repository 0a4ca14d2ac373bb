"""The KV caches of one model's engines: the uses that follow each other over each, and the memory they have in common.

Knows locks, sizes and who may step. Must not know sampling, text or what a use is for. No lock is taken within another
one but in this order: a turn, the pool's lock, an engine's lock. Closing takes engines' locks alone, so that a signal
handler may close wherever its thread is.
"""

import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from enum import StrEnum
from itertools import count
from threading import Condition, RLock
from time import perf_counter

from thinkport.runtime.engine.held_sequence import HeldSequence
from thinkport.runtime.engine.kv_cache import KvSize
from thinkport.runtime.engine.pace import Pace
from thinkport.runtime.engine.prefix_cache import PrefixCache
from thinkport.runtime.engine.session import LaneSource
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import CacheLostError, UnavailableError

CLOSED = "the model is closed: load it again"
UNLOADED = "the model is unloaded: call its reload() first"
_SUPERSEDED = "another reply was begun over this KV cache: end one reply first, or use two chats"
_EVICTED = "other conversations needed the memory of this KV cache: begin again, or raise memory_limit"
_MB = 1_000_000
_AWAY = 1.0  # seconds after which a reader who asks for no token is away
_LOOK = 0.02  # seconds between two looks for room


class UseState(StrEnum):
    """How far a use has come; see `Use`."""

    BEGUN = "begun"
    AHEAD = "ahead"
    HOLDING = "holding"
    PAUSED = "paused"
    OVER = "over"
    LOST = "lost"


class Use:
    """One use of a KV cache: a reply, a prefill, a restore, a call of `logits`. Made by `KvUses.begin`.

    | state   | entered by                                | steps | eviction for others' memory       |
    |---------|-------------------------------------------|-------|-----------------------------------|
    | begun   | `begin`                                   | run   | drops the cache; the use goes on  |
    | ahead   | `begin(ahead=True)`: costs time if lost   | run   | drops the cache; the use is lost  |
    | holding | `holding`: the memory is this use's lease | run   | refused; a reply may be paused    |
    | paused  | `pause`, of a reply that is holding       | run   | nothing is left to drop           |
    | over    | the end of `holding`                      | run   | drops the cache                   |
    | lost    | eviction while ahead                      | raise | nothing is left to drop           |

    A paused reply is holding again after `regain`, and has to run all of its tokens again. In every state, steps raise
    once a later use has begun, or the engine was unloaded or closed. `pausable`: it can run its tokens again.
    `left_at`: when its reader was given a token and has not asked for the next one since; None while it is asked.
    """

    _numbers = count()

    def __init__(self, uses: "KvUses", stop: Stop, state: UseState):
        self.stop, self.state = stop, state
        self.number, self.pausable = next(self._numbers), False  # later uses have higher numbers
        self.left_at: float | None = None
        self._uses = uses

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Lease the memory of the KV cache: until the block ends nobody evicts it.

        Raises:
            CacheLostError, InputError: as `step` does.
        """
        with self._uses.lock:
            self.check()
            self.state = UseState.HOLDING
        self._uses.pool.used(self._uses)
        try:
            yield
        finally:
            self.state = UseState.OVER

    def reserve(self, tokens: int, batch: int = 1) -> None:
        """Make room for a KV cache of so many tokens, before the step that needs it and outside of `step`.

        Raises:
            UnavailableError: replies in progress leave too little memory.
        """
        self._uses.pool.reserve(self._uses, batch * self._uses.session.kv_size.bytes(tokens))

    def paused(self) -> bool:
        """Whether the KV cache was dropped for others' replies; look within `step`, where that can't change."""
        return self.state is UseState.PAUSED

    @property
    def may_pause(self) -> bool:
        """Whether others may drop its KV cache between two steps, and let steps of theirs overwrite its logits then."""
        return self.pausable and self._uses.pool.limit is not None

    def grow(self, tokens: int) -> bool:
        """Make room as `reserve` does, for which younger replies are paused; where that is too little, this one is.

        Return whether it has the room.
        """
        try:
            self._uses.pool.reserve(self._uses, self._uses.session.kv_size.bytes(tokens), pausing=True)
        except UnavailableError:
            self.check()  # that may be it
            self._uses.pause()
        return not self.paused()

    def regain(self, tokens: int) -> bool:
        """Wait until a paused reply has room for so many tokens, the oldest first. False once its stop is cancelled.

        Raises:
            CacheLostError, InputError: as `step` does.
        """
        return self._uses.pool.wait_for_room(self, self._uses, tokens)

    def reserve_free(self, tokens: int) -> bool:
        """Make room as `reserve` does, if nobody has to be evicted. Return whether it worked."""
        return self._uses.pool.reserve_free(self._uses, self._uses.session.kv_size.bytes(tokens))

    @property
    def reserved(self) -> int:
        """Bytes that are reserved for the KV cache."""
        return self._uses.reserved

    def give_back(self, reserved: int, tokens: int) -> None:
        """Reserve no more than so many bytes, or than a KV cache of `tokens` takes if that is more."""
        with suppress(UnavailableError):  # an engine that was closed meanwhile has nothing reserved
            kept = max(reserved, self._uses.session.kv_size.bytes(tokens))
            self._uses.reserved = min(self._uses.reserved, kept)

    @contextmanager
    def step(self) -> Iterator[HeldSequence]:
        """The held sequence for one step, which no other thread changes meanwhile.

        Raises:
            CacheLostError: a later use has the KV cache, or it was evicted.
            InputError: the engine is unloaded or closed.
        """
        with self._uses.turns, self._uses.lock:
            self.check()
            yield self._uses.held

    def check(self) -> None:
        """Raise what `step` would raise now."""
        self._uses.session  # noqa: B018 - raises where there is none
        if self._uses.current is not self:
            raise CacheLostError(_SUPERSEDED)
        if self.state is UseState.LOST:
            raise CacheLostError(_EVICTED)


class KvUses:
    """The KV cache of one engine, its lock, its share of the memory, and the use that has it now."""

    def __init__(
        self,
        session: LaneSource,
        prefixes: PrefixCache | None,
        pace: Pace | None,
        pool: "KvPool",
        *,
        fixed: bool = False,
    ):
        """See `Engine`."""
        self.pool = pool
        self.turns: AbstractContextManager[None] = nullcontext()  # around each step; tests slow steps down by it
        self.lock = RLock()  # held for a step, an eviction or a close
        self.reserved = 0  # bytes of the pool
        self._current: weakref.ref[Use] | None = None  # weak, so that an engine that is dropped is collected at once
        self.prefixes, self.pace = prefixes, pace
        self._gone, self._fixed = CLOSED, fixed
        self.reload(session)
        pool.add(self)

    @property
    def session(self) -> LaneSource:
        """The graph.

        Raises:
            UnavailableError: there is none any more.
        """
        session = self._session
        if session is None:
            raise UnavailableError(self._gone)
        return session

    @property
    def current(self) -> Use | None:
        """The use that has the KV cache; None where the latest is gone."""
        return None if self._current is None else self._current()

    def begin(self, stop: Stop | None = None, *, ahead: bool = False) -> Use:
        """A new use, which ends the one before at its next step.

        It waits for no lock: between two steps of an earlier use there is little time to get one.
        """
        use = Use(self, stop or Stop(), UseState.AHEAD if ahead else UseState.BEGUN)
        self._current = weakref.ref(use)
        return use

    def pause(self) -> bool:
        """Drop the KV cache of a reply in progress, which runs its tokens again later. Return whether it is dropped."""
        with self.lock:
            use = self.current
            if use is None or use.state is not UseState.HOLDING or not use.pausable:
                return False
            use.state = UseState.PAUSED
            self.held.evict()
        self.reserved = 0
        return True

    def evict(self) -> bool:
        """Drop the KV cache unless a use holds its memory. Return whether it is dropped."""
        with self.lock:
            use = self.current
            if use is not None and use.state is UseState.HOLDING:
                return False
            if use is not None and use.state is UseState.AHEAD:
                use.state = UseState.LOST
            self.held.evict()
            return True

    def clear(self) -> None:
        """Forget every token and free the KV cache; the use in progress ends."""
        self.begin()
        with self.lock:
            self.held.clear()
        self.reserved = 0

    def reload(self, session: LaneSource) -> None:
        """Go on over a session, with nothing in the KV cache; the use in progress ends."""
        self.begin()
        with self.lock:
            self.held = HeldSequence(session, self.prefixes, self.pace, fixed=self._fixed)
            self._session: LaneSource | None = session
        self.reserved = 0

    def close(self, why: str = CLOSED) -> None:
        """Let go of the KV cache and of the session, once the step in progress ends; `reload` gives another one.

        From any thread. `why` is what later uses are told.
        """
        self._gone, self._session = why, None
        wait = 0.0
        while not self.lock.acquire(timeout=wait):
            self.held.interrupt(why)  # whose step may wait for this thread, in a signal handler, to run its own
            wait = _LOOK  # again: it may have been on its way to that step
        try:
            self.held.close()
        finally:
            self.lock.release()
        self.reserved = 0


class KvPool:
    """The memory that the KV caches of one model's engines may take together, and who goes first without room.

    Any thread may use it, but none that holds an engine's lock.
    """

    def __init__(self, limit: int | None = None):
        """`limit` is the most bytes they may take together; None for no limit."""
        self.limit = limit
        self._lock = RLock()
        self._freed = Condition(self._lock)  # looked at often enough to be told by nobody
        self._paused: list[Use] = []  # replies that wait for room
        self._uses: weakref.WeakKeyDictionary[KvUses, None] = weakref.WeakKeyDictionary()  # the latest used last

    @property
    def bytes(self) -> int:
        """What all of them take now, at most."""
        return sum(uses.reserved for uses in self.holders())

    def holders(self) -> list[KvUses]:
        """Everything that was added and still exists, the longest unused first; waits for nobody."""
        return [uses for ref in self._uses.keyrefs() if (uses := ref()) is not None]

    def add(self, uses: KvUses) -> None:
        """Count this one's KV cache too."""
        self._uses[uses] = None

    def fits(self, size: KvSize) -> int:
        """The most tokens that one sequence alone may have."""
        return size.context if self.limit is None else size.tokens(self.limit)

    def used(self, uses: KvUses) -> None:
        """This one is in use: of those that are not, it goes last."""
        with self._lock:
            self._uses.pop(uses, None)
            self._uses[uses] = None

    def reserve(self, uses: KvUses, wanted: int, *, pausing: bool = False) -> None:
        """Make room for a KV cache of `wanted` bytes; idle ones are evicted for it, the longest unused first.

        With `pausing`, replies that began later are paused after that, the latest first, and those whose readers are
        away.

        Raises:
            UnavailableError: the others are all in use and leave too little.
        """
        if wanted > uses.reserved:
            with self._lock:
                if self.limit is not None:
                    self._make_room(uses, wanted, self.limit, pausing=pausing)
                uses.reserved = max(wanted, uses.reserved)  # an eviction that was refused meanwhile gave it back

    def reserve_free(self, uses: KvUses, wanted: int) -> bool:
        """Reserve `wanted` bytes without evicting anyone. Return whether it worked."""
        with self._lock:
            free = self.limit is None or self.bytes - uses.reserved + wanted <= self.limit
            if free:
                uses.reserved = max(wanted, uses.reserved)
            return free

    def wait_for_room(self, use: Use, uses: KvUses, tokens: int) -> bool:
        """Have a paused reply hold memory for so many tokens again; see `Use.regain`."""
        with self._lock:
            self._paused.append(use)
            try:
                while not use.stop.cancelled:
                    use.check()
                    wanted = uses.session.kv_size.bytes(tokens)
                    if use is min(self._paused, key=lambda one: one.number):
                        with suppress(UnavailableError):
                            self.reserve(uses, wanted, pausing=True)
                            use.state = UseState.HOLDING
                            return True
                    self._freed.wait(_LOOK)
                return False
            finally:
                self._paused.remove(use)

    def _make_room(self, uses: KvUses, wanted: int, limit: int, *, pausing: bool) -> None:
        others = [other for other in self.holders() if other is not uses and other.reserved]
        for other in others:
            if sum(one.reserved for one in others) + wanted <= limit:
                return
            held, other.reserved = other.reserved, 0  # first: one that goes on meanwhile reserves anew, and waits
            if not other.evict():
                other.reserved = held
        for other in _pausable(uses.current, others) if pausing else ():
            if sum(one.reserved for one in others) + wanted <= limit:
                return
            other.pause()
        taken = sum(one.reserved for one in others)
        if taken + wanted > limit:
            raise UnavailableError(
                f"replies in progress hold {taken / _MB:.0f} MB of KV caches, and this one needs {wanted / _MB:.0f} of "
                f"the {limit / _MB:.0f} MB that chats may take: wait until one of them ends, or load the model with a "
                "higher memory_limit"
            )


def _pausable(use: Use | None, others: list[KvUses]) -> list[KvUses]:
    """Whose replies may be paused for one: those that began later, the latest first, then those of readers away."""
    replies = [(other, one) for other in others if (one := other.current) and one.pausable]
    younger = [(other, one) for other, one in replies if use is not None and one.number > use.number]
    younger.sort(key=lambda pair: -pair[1].number)
    since = perf_counter() - _AWAY
    away = [(other, one) for other, one in replies if one.left_at is not None and one.left_at < since]
    return [other for other, _ in [*younger, *away]]
