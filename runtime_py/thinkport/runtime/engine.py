"""The token loop: ids in, ids out, over one held sequence.

Knows ids, a sampler and whose turn it is. Must not know text, templates or thoughts: a budget is ids that the caller
puts into the queue of forced ones.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from itertools import count as counting
from threading import Event, RLock
from time import perf_counter
from typing import NamedTuple

import numpy.typing as npt

from thinkport.runtime.draft_policy import DraftPolicy
from thinkport.runtime.drafter import Drafter
from thinkport.runtime.errors import InputError
from thinkport.runtime.held_sequence import HeldSequence
from thinkport.runtime.kv_memory import KvMemory
from thinkport.runtime.kv_snapshot import KvSnapshot
from thinkport.runtime.pace import Pace
from thinkport.runtime.prefix_cache import PrefixCache
from thinkport.runtime.requests import check_batch, check_fits, check_keep, check_lengths, check_limit, check_prompt
from thinkport.runtime.sampling import Sampler
from thinkport.runtime.session import LaneSource, Logits

CLOSED = "the model is closed: load it again"
UNLOADED = "the model is unloaded: call its reload() first"
_SUPERSEDED = "another reply was begun over this KV cache: end one reply first, or use two chats"


class Origin(StrEnum):
    """Where a token came from."""

    SAMPLED = "sampled"
    FORCED = "forced"


class Finish(StrEnum):
    """Why a reply ended: a stop id, the caller's limit, the model's context, or `cancel`."""

    STOP = "stop"
    LENGTH = "length"
    CONTEXT = "context"
    CANCELLED = "cancelled"


class Token(NamedTuple):
    """One step of a reply; `finish` is None until the last. `id` is None only where a cancelled reply ends."""

    id: int | None
    origin: Origin
    finish: Finish | None


class _SupersededError(InputError):
    """A later use has the KV cache now."""


class Engine:
    """One sequence (or batch) with its KV cache; make one a conversation.

    Use it from one thread; `cancel` and `close` may come from any. A use that begins while another one goes on, in
    whatever thread, ends it at its next step: a reply raises `InputError`, a prefill returns False.
    """

    def __init__(
        self,
        session: LaneSource,
        prefixes: PrefixCache | None = None,
        pace: Pace | None = None,
        policy: DraftPolicy | None = None,
        memory: "KvMemory[Engine] | None" = None,
        turns: AbstractContextManager[None] | None = None,
    ):
        """`prefixes` gives and takes starts of prompts, `pace` knows how long steps take on this machine.

        Engines of the same graph may have both in common, and `memory`, which all of their KV caches have to fit into.
        `policy` says how many tokens a reply with drafts guesses. Each step is run within `turns`, which engines that
        share the cores may have in common.
        """
        self._session: LaneSource | None = session
        self._gone = CLOSED  # why there is no session, where there is none
        self.reused = 0  # tokens of the last prompt that were not run, since this or the prefix cache had them
        self.drafted = self.accepted = 0  # tokens of the last reply that were guessed ahead, and those that came
        self._policy = policy or DraftPolicy()
        self._prefixes, self._pace = prefixes, pace
        self._held = HeldSequence(session, prefixes, pace)
        self._memory, self._turns = memory, turns or nullcontext()
        if memory is not None:
            memory.add(self)
        self._cancelled = Event()
        self._lock = RLock()  # held for a step, a rewind or a close; a signal handler may close within a step
        self._uses = counting(1)
        self._use = 0  # the latest one, so that a reply knows when the KV cache is no longer its own
        self._ahead: int | None = None  # the use that is work for later, of which nobody misses anything
        self._replying: int | None = None  # the use that is a reply which was begun to be read and is not over

    @property
    def session(self) -> LaneSource:
        """The graph that it runs.

        Raises:
            InputError: the engine was closed.
        """
        if self._session is None:
            raise InputError(self._gone)
        return self._session

    @property
    def context_length(self) -> int:
        """The most tokens that a sequence can have: the model's context, or what of it the memory has room for."""
        session = self.session
        return session.context_length if self._memory is None else self._memory.fits(session.kv_size)

    @property
    def ids(self) -> list[int]:
        """What the KV cache holds of the one sequence that `generate` and `prefill` run."""
        return list(self._held.ids)

    def generate(
        self,
        prompt: Sequence[int],
        sampler: Sampler,
        *,
        stop_ids: Collection[int] = (),
        max_tokens: int | None = None,
        forced: deque[int] | None = None,
        shareable: int = 0,
        drafts: bool = False,
    ) -> Iterator[Token]:
        """Yield the reply's tokens, the last with the reason why it is the last.

        What the KV cache shares with the start of `prompt` is kept and the rest prefilled. Ids that the caller puts
        into `forced` between two tokens come next, in place of sampled ones; they count as tokens but never stop.
        Other conversations are likely to begin with the first `shareable` ids: they are run as pieces of their own
        and go to the prefix cache. Any later use of the engine ends this reply: to go on with it is an `InputError`.

        With `drafts`, what came before is guessed to come again: a step runs a token and a few guessed ones, and each
        next token is drawn from its own logits as ever, by the same sampler in the same state, for as long as the draws
        agree with the guess. So the distribution is exactly that without drafts, and the ids are the same wherever
        steps of one and of several tokens compute the same logits. They do in float32 up to its rounding; kernels that
        round activations to int8 may differ in the last bits, which flips near-ties. Graphs that can't take several
        tokens over others do without.

        Raises:
            InputError: on the call, before any token, if the prompt is empty, too long or not of this vocabulary,
                or the limit is below 1.
        """
        prompt_ids = check_prompt(prompt, self.session).tolist()
        check_limit(max_tokens)
        context = self.context_length
        check_fits(len(prompt_ids), context)
        room = context - len(prompt_ids)
        limit = room if max_tokens is None else min(max_tokens, room)
        last = Finish.LENGTH if limit == max_tokens else Finish.CONTEXT
        self._cancelled.clear()
        queue = deque() if forced is None else forced
        drafter = Drafter(prompt_ids, self._policy if drafts and self.session.several_tokens_over_past else None)
        use = self._begin()
        tokens = self._loop(prompt_ids, shareable, sampler, frozenset(stop_ids), limit, last, queue, drafter, use)
        return self._replied(tokens, use)

    def _replied(self, tokens: Iterator[Token], use: int) -> Iterator[Token]:
        """The tokens of a reply, whose KV cache stays from the first one that is asked for until they are over."""
        with self._alone(use):
            self._replying = use
        if self._memory is not None:
            self._memory.used(self)
        try:
            yield from tokens
        finally:
            if self._replying == use:
                self._replying = None

    def _loop(
        self,
        prompt: list[int],
        shareable: int,
        sampler: Sampler,
        stop_ids: frozenset[int],
        limit: int,
        last: Finish,
        forced: deque[int],
        drafter: Drafter,
        use: int,
    ) -> Iterator[Token]:
        self.drafted = self.accepted = 0
        sampler.start(prompt)
        self._reserve(len(prompt))
        pending = self._rewind(prompt, shareable, use)
        rows = None  # of logits: after what was pending, and after each guess
        for count in range(1, limit + 1):
            if forced:
                token, origin = forced.popleft(), Origin.FORCED
            else:
                if pending:
                    rows = self._feed(pending, drafter, limit - count, use)
                    pending = []
                if rows is None or self._cancelled.is_set():
                    self._drop_guess(drafter, use)
                    yield Token(None, Origin.SAMPLED, Finish.CANCELLED)
                    return
                token, origin = sampler.draw(rows[drafter.right]), Origin.SAMPLED
                self._check_current(use)  # or a later step may have overwritten the logits
            sampler.accept(token)
            finish = Finish.STOP if origin is Origin.SAMPLED and token in stop_ids else None
            finish = finish or (last if count == limit else None)
            came = drafter.accept(token)
            if not came or finish:
                self._drop_guess(drafter, use)
            if not came:
                pending.append(token)
            yield Token(token, origin, finish)
            self._check_current(use)
            if finish:
                return

    def prefill(self, ids: Sequence[int], *, stop: Event | None = None) -> bool:
        """Make the KV cache hold exactly `ids`, so that a prompt that begins with them pays only for its rest.

        False if it does not hold them: `stop` was set or a later use began, where what was run is kept; or nothing is
        done, since the graph takes several tokens over an empty cache only and too many are missing, or since others
        have the memory.

        Raises:
            InputError: ids that can't be a prompt, or the engine is closed, be it meanwhile.
        """
        wanted = check_prompt(ids, self.session).tolist()
        self._ahead = use = self._begin()
        if self._memory and not self._memory.take_free(self, self.session.kv_size.bytes(len(wanted))):
            return False
        try:
            return self._prefill(wanted, stop or Event(), use)
        except _SupersededError:
            return False

    def _prefill(self, wanted: list[int], stop: Event, use: int) -> bool:
        with self._alone(use) as held:
            if stop.is_set() or not held.in_reach(wanted):
                return False
            shared = held.rewind(wanted, len(wanted))
        for piece in held.pieces(wanted[shared:]):
            if stop.is_set():
                return False
            with self._alone(use):
                held.run(piece)
        return True

    def snapshot(self) -> tuple[list[int], KvSnapshot] | None:
        """The ids that the KV cache holds and a copy of their keys and values; None where it holds no sequence.

        A reply or prefill in progress goes on.

        Raises:
            InputError: the engine is closed.
        """
        with self._lock:
            self._check_current(self._use)
            kept = self._held.read()
            return (self.ids, kept) if kept else None

    def restore(self, ids: Sequence[int], snapshot: KvSnapshot) -> None:
        """Make the KV cache hold `ids` by a snapshot of them, from an engine of the same graph.

        Raises:
            InputError: ids that can't be a prompt, or a snapshot of other tokens or of another KV layout.
        """
        wanted = check_prompt(ids, self.session).tolist()
        if len(wanted) != snapshot.length:
            raise InputError(f"{len(wanted)} ids and a KV snapshot of {snapshot.length} tokens, expected as many")
        use = self._begin()
        check_fits(len(wanted), self.context_length)
        self._reserve(len(wanted))
        with self._alone(use) as held:
            held.write(wanted, snapshot)

    def cancel(self) -> None:
        """End the reply in progress before its next token, or between two pieces of its prompt; from any thread."""
        self._cancelled.set()

    def logits(
        self,
        ids: npt.ArrayLike,
        *,
        lengths: npt.ArrayLike | None = None,
        attention_mask: npt.ArrayLike | None = None,
        keep: int = 1,
    ) -> Logits:
        """Run ids (batch, sequence) over the KV cache and return the last `keep` logits of each row.

        The first call is a prefill, whose rows may be of unequal lengths, padded on the right and told by `lengths`
        (batch,) or by an `attention_mask` of the ids' shape; later calls go on from there, one token a row, or
        several if there is one row. Returns float32 (batch, keep, vocabulary), the caller's own.

        Raises:
            InputError: whatever the model or GroupQueryAttention can't take, such as left padding.
        """
        lane = self._held.lane
        past = lane.length if lane else 0
        array = check_batch(ids, past, lane.batch if lane else None, self.session)
        real = check_lengths(array, past, lengths, attention_mask, self.session)
        check_keep(keep, real)
        use = self._begin()
        self._reserve(past + array.shape[1], len(array))
        with self._alone(use) as held:
            return held.run_batch(array, real, keep)

    def reset(self) -> None:
        """Forget every token and free the KV cache."""
        self._begin()
        with self._lock:
            self._held.clear()
        self._release()

    def drop_idle(self) -> bool:
        """Free the KV cache unless a reply over it goes on; whether it is free now. Work done ahead ends."""
        with self._lock:
            if self._replying is not None and self._replying == self._use:
                return False
            if self._ahead == self._use:
                self._begin()
            self._held.clear()
            return True

    def unload(self) -> None:
        """Let go of the KV cache and the session as `close` does, until `reload`."""
        self._gone = UNLOADED
        self.close()

    def reload(self, session: LaneSource) -> None:
        """Go on over a session of the same graph, with nothing in the KV cache."""
        self._begin()
        with self._lock:
            self._held = HeldSequence(session, self._prefixes, self._pace)
            self._session, self._gone = session, CLOSED

    def close(self) -> None:
        """Let go of the KV cache and of the session once the step in progress ends; the engine can't be used any more.

        From any thread: a reply or prefill in another one ends with an `InputError`.
        """
        self._session = None
        with self._lock:
            self._held.close()
        self._release()

    def _begin(self) -> int:
        """A new use. It waits for no lock: between two steps of an earlier use there is little time to get one."""
        self._use = use = next(self._uses)
        return use

    def _check_current(self, use: int) -> None:
        if self._session is None:
            raise InputError(self._gone)
        if use != self._use:
            raise _SupersededError(_SUPERSEDED)

    @contextmanager
    def _alone(self, use: int) -> Iterator[HeldSequence]:
        """The held sequence for one step of a use that is still the latest."""
        with self._lock, self._turns:
            self._check_current(use)
            yield self._held

    def _reserve(self, tokens: int, batch: int = 1) -> None:
        """Room in the memory that engines share, before a step that needs it and outside of this engine's lock."""
        if self._memory is not None:
            self._memory.reserve(self, batch * self.session.kv_size.bytes(tokens))

    def _release(self) -> None:
        if self._memory is not None:
            self._memory.release(self)

    def _rewind(self, prompt: list[int], shareable: int, use: int) -> list[int]:
        """Hold what is to be had of the prompt without running it; the rest, which is at least one token."""
        with self._alone(use) as held:
            self.reused = held.rewind(prompt, len(prompt) - 1, shareable)
        return prompt[self.reused :]

    def _feed(self, pending: list[int], drafter: Drafter, most: int, use: int) -> Logits | None:
        """Run `pending` in pieces, a single token with a guess of at most `most` tokens; None once cancelled.

        The logits (1 + guessed, vocabulary) are those after the last pending token and after each guessed one.
        """
        logits = None
        for piece in self._held.pieces(pending):
            if self._cancelled.is_set():
                return None
            guess = drafter.draft(most) if len(pending) == 1 else []
            self._reserve(len(self._held.ids) + len(piece) + len(guess))
            began = perf_counter()
            with self._alone(use) as held:
                logits = held.run(piece, guess)
            if len(pending) == 1:
                drafter.ran(perf_counter() - began)
        return logits

    def _drop_guess(self, drafter: Drafter, use: int) -> None:
        """Take out of the KV cache what was guessed and did not come."""
        if drafter.left:
            with self._alone(use) as held:
                held.drop(drafter.left)
        drafter.settle()
        self.drafted, self.accepted = drafter.drafted, drafter.accepted
