"""One engine's KV cache and the uses that follow each other over it.

Knows locks, memory and who may step. Must not know sampling, text or what a use is for.
"""

import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from threading import RLock

from thinkport.runtime.engine.held_sequence import HeldSequence
from thinkport.runtime.engine.kv_memory import KvMemory
from thinkport.runtime.engine.pace import Pace
from thinkport.runtime.engine.prefix_cache import PrefixCache
from thinkport.runtime.engine.session import LaneSource
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import CacheLostError, InputError

CLOSED = "the model is closed: load it again"
UNLOADED = "the model is unloaded: call its reload() first"
_SUPERSEDED = "another reply was begun over this KV cache: end one reply first, or use two chats"
_EVICTED = "other conversations needed the memory of this KV cache: begin again, or raise memory_limit"


class UseState(StrEnum):
    """How far a use has come; see `Use`."""

    BEGUN = "begun"
    AHEAD = "ahead"
    HOLDING = "holding"
    OVER = "over"
    LOST = "lost"


class Use:
    """One use of a KV cache: a reply, a prefill, a restore, a call of `logits`. Made by `KvUses.begin`.

    | state   | entered by                                | steps | eviction for others' memory       |
    |---------|-------------------------------------------|-------|-----------------------------------|
    | begun   | `begin`                                   | run   | drops the cache; the use goes on  |
    | ahead   | `begin(ahead=True)`: costs time if lost   | run   | drops the cache; the use is lost  |
    | holding | `holding`: the memory is this use's lease | run   | refused                           |
    | over    | the end of `holding`                      | run   | drops the cache                   |
    | lost    | eviction while ahead                      | raise | nothing is left to drop           |

    In every state, steps raise once a later use has begun, or the engine was unloaded or closed.
    """

    def __init__(self, uses: "KvUses", stop: Stop, state: UseState):
        self.stop, self.state = stop, state
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
        self._uses.memory.used(self._uses)
        try:
            yield
        finally:
            self.state = UseState.OVER

    def reserve(self, tokens: int, batch: int = 1) -> None:
        """Make room for a KV cache of so many tokens, before the step that needs it and outside of `step`.

        Raises:
            InputError: replies in progress leave too little memory.
        """
        self._uses.memory.reserve(self._uses, batch * self._uses.session.kv_size.bytes(tokens))

    def reserve_free(self, tokens: int) -> bool:
        """Make room as `reserve` does, if nobody has to be evicted or waited for. Return whether it worked."""
        return self._uses.memory.reserve_free(self._uses, self._uses.session.kv_size.bytes(tokens))

    @contextmanager
    def step(self) -> Iterator[HeldSequence]:
        """The held sequence for one step, which no other thread changes meanwhile.

        Raises:
            CacheLostError: a later use has the KV cache, or it was evicted.
            InputError: the engine is unloaded or closed.
        """
        with self._uses.lock, self._uses.turns:
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
        memory: "KvMemory[KvUses]",
        turns: AbstractContextManager[None] | None,
    ):
        """See `Engine`."""
        self.memory, self.turns = memory, turns or nullcontext()
        self.lock = RLock()  # held for a step, an eviction or a close; a signal handler may close within a step
        self._current: weakref.ref[Use] | None = None  # weak, so that an engine that is dropped is collected at once
        self._session: LaneSource | None = session
        self._gone = CLOSED  # why there is no session, where there is none
        self._prefixes, self._pace = prefixes, pace
        self.held = HeldSequence(session, prefixes, pace)
        memory.add(self)

    @property
    def session(self) -> LaneSource:
        """The graph.

        Raises:
            InputError: there is none any more.
        """
        session = self._session
        if session is None:
            raise InputError(self._gone)
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

    def evict(self) -> bool:
        """Drop the KV cache unless a use holds its memory. Return whether it is dropped. See `KvHolder`."""
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
        self.memory.release(self)

    def unload(self) -> None:
        """Let go of the KV cache and the session as `close` does, until `reload`."""
        self._gone = UNLOADED
        self._drop()

    def reload(self, session: LaneSource) -> None:
        """Go on over a session of the same graph, with nothing in the KV cache."""
        self.begin()
        with self.lock:
            self.held = HeldSequence(session, self._prefixes, self._pace)
            self._session, self._gone = session, CLOSED

    def close(self) -> None:
        """Let go of the KV cache and of the session once the step in progress ends; from any thread."""
        self._gone = CLOSED
        self._drop()

    def _drop(self) -> None:
        self._session = None
        with self.lock:
            self.held.close()
        self.memory.release(self)
