"""The token loop: one reply's ids, drawn or forced, one after the other, and what the model thought of the drawn ones.

Knows ids, rows of logits, a sampler and drafts. Must not know text, templates or thoughts: a budget is ids that the
caller puts into the queue of forced ones. Probabilities are the model's own, before penalties, temperature and
truncation.
"""

from collections import deque
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinkport.runtime.engine.draft_policy import Drafter
from thinkport.runtime.engine.kv_cache import KvStart
from thinkport.runtime.engine.kv_uses import Use
from thinkport.runtime.engine.next_start import NextStart
from thinkport.runtime.engine.sampling import Sampler
from thinkport.runtime.engine.session import Logits


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    """A drawn token's log probability in nats, and the likeliest tokens at its place with theirs, likeliest first."""

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


class LogprobRecorder:
    """Takes note of the tokens of one reply as they are drawn."""

    def __init__(self, top: int = 0):
        """`top` is how many of the likeliest tokens are noted beside the drawn one."""
        self._top = top
        self._last: TokenLogprob | None = None

    def record(self, logits: npt.NDArray[np.float32], token: int) -> None:
        """Note `token`, drawn from `logits` (vocabulary,)."""
        largest = float(logits.max())
        normalizer = largest + float(np.log(np.exp(logits - largest, dtype=np.float64).sum()))
        likeliest = np.argpartition(logits, -self._top)[-self._top :] if self._top else np.empty(0, np.int64)
        order = likeliest[np.argsort(-logits[likeliest])]
        top = tuple((int(each), float(logits[each]) - normalizer) for each in order)
        self._last = TokenLogprob(id=token, logprob=float(logits[token]) - normalizer, top=top)

    def take(self) -> TokenLogprob | None:
        """What was noted since the last time; None for a token that was not drawn."""
        last, self._last = self._last, None
        return last


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


@dataclass(kw_only=True)
class TokenLoop:
    """What one reply is made of: see `Engine.generate`.

    `limit` is the most tokens, `last` the finish that it stands for. `reused` counts the prompt's tokens that were not
    run, once the first token came.
    """

    use: Use
    prompt: list[int]
    sampler: Sampler
    drafter: Drafter
    limit: int
    last: Finish
    stop_ids: Collection[int] = ()
    forced: deque[int] = field(default_factory=deque)
    shareable: int = 0
    following: NextStart | None = None
    start: KvStart | None = None
    reused: int = 0
    _count: int = 0  # tokens of the reply so far
    _said: list[int] = field(default_factory=list)  # these tokens

    def tokens(self) -> Generator[Token]:
        """Yield the tokens; the memory of the KV cache is held from the first that is asked for until they are over.

        Raises:
            CacheLostError: a later use has the KV cache.
            InputError: the engine is closed, or replies in progress leave too little memory.
        """
        with self.use.holding():
            before, self.use.pausable = self.use.reserved, True
            try:
                yield from self._tokens()
            finally:
                if self.following is not None:
                    self.use.give_back(before, len(self.prompt) + self._count)

    def _tokens(self) -> Iterator[Token]:
        self.sampler.start(self.prompt)
        self.use.reserve(len(self.prompt))
        with self.use.step() as held:
            if self.start is not None:
                held.write(*self.start)
                self.start = None
            self.reused = held.rewind(self.prompt, len(self.prompt) - 1, self.shareable)
            aside = held.piece
        pending = self.prompt[self.reused :]  # at least one token
        rows = None  # of logits: after what was pending, and after each guess
        for count in range(1, self.limit + 1):
            self._count = count
            if self.forced:
                token, origin = self.forced.popleft(), Origin.FORCED
            else:
                if pending:
                    if rows is not None:
                        pending = self._begin_again(pending)
                        self._run_aside(aside)
                    rows = self._feed(pending, self.limit - count)
                    pending = []
                if rows is None or self.use.stop.cancelled:
                    self._drop_guess()
                    yield from self._given(Token(None, Origin.SAMPLED, Finish.CANCELLED))
                    self._go_on()
                    return
                token, origin = self.sampler.draw(rows[self.drafter.right]), Origin.SAMPLED
                self.use.check()  # or a later step may have overwritten the logits
            self.sampler.accept(token)
            self._said.append(token)
            finish = Finish.STOP if origin is Origin.SAMPLED and token in self.stop_ids else None
            finish = finish or (self.last if count == self.limit else None)
            came = self.drafter.accept(token)
            if not came or finish:
                self._drop_guess()
            if not came:
                pending.append(token)
            yield from self._given(Token(token, origin, finish))
            self.use.check()
            if finish:
                self._go_on()
                return

    def _given(self, token: Token) -> Iterator[Token]:
        """A token, and while its reader has it, since when."""
        self.use.left_at = perf_counter()
        yield token
        self.use.left_at = None

    def _run_aside(self, width: int) -> None:
        """Run a piece of what the next prompt begins with, while nothing of a step's logits is needed any more."""
        following = self.following
        if following is None or not following.ready(width) or self.use.stop.cancelled:
            return
        following.look()  # between two steps: a long history takes tens of ms, and others may run theirs meanwhile
        if following.over:
            return
        ran = len(self.prompt) + self._count
        if self.use.reserve_free(3 * ran - 2 * following.shared):  # both ends are copied meanwhile
            with self.use.step() as held:
                if not held.crowded and not self.use.paused():
                    held.run_aside(following)
        else:
            following.over = True

    def _go_on(self) -> None:
        """Leave the KV cache as the next prompt needs it."""
        if self.following is None or self.following.rows is None or self.use.stop.abandoned:
            return
        with self.use.step() as held:
            if not self.use.paused():
                held.go_on_with(self.following)

    def _begin_again(self, pending: list[int]) -> list[int]:
        """What to run for `pending`; see `HeldSequence.begin_again`."""
        if len(pending) == 1:
            return pending
        with self.use.step() as held:
            return pending if self.use.paused() else held.begin_again(pending)

    def _feed(self, pending: list[int], most: int) -> Logits | None:
        """Run `pending`, a single token with a guess of at most `most` tokens; None once cancelled.

        The logits (1 + guessed, vocabulary) are those after the last pending token and after each guessed one. A reply
        that is paused meanwhile waits, and then runs what it lost as well.
        """
        logits = None
        while logits is None:
            wanted = self._resumed() if self.use.paused() else pending
            if wanted is None or self.use.stop.cancelled:
                return None
            logits = self._run_pieces(wanted, most)
        return logits

    def _resumed(self) -> list[int] | None:
        """What a paused reply runs once there is room for it; None once cancelled."""
        ids = [*self.prompt, *self._said]
        self.drafter.settle()
        if not self.use.regain(len(ids)):
            return None
        with self.use.step() as held:
            return ids if self.use.paused() else ids[held.rewind(ids, len(ids) - 1) :]

    def _run_pieces(self, pending: list[int], most: int) -> Logits | None:
        """Run `pending` in pieces; None once cancelled or paused."""
        logits = None
        with self.use.step() as held:
            if self.use.paused():
                return None
            pieces, ran, crowded = held.pieces(pending), len(held.ids), held.crowded
        for piece in pieces:
            if self.use.stop.cancelled:
                return None
            # A guess would take a step in which all rows could have a token.
            guess = self.drafter.draft(0 if crowded else most) if len(pending) == 1 else []
            if not self.use.grow(ran + len(pending) + len(guess)):
                return None
            began = perf_counter()
            with self.use.step() as held:
                if self.use.paused():
                    return None
                logits = held.run(piece, guess)
                if self.use.may_pause:
                    logits = logits.copy()
            if len(pending) == 1 and not crowded:
                self.drafter.ran(perf_counter() - began)
        return logits

    def _drop_guess(self) -> None:
        """Take out of the KV cache what was guessed and did not come."""
        if self.drafter.left:
            with self.use.step() as held:
                if not self.use.paused():
                    held.drop(self.drafter.left)
        self.drafter.settle()


class Generation(Iterator[Token]):
    """The tokens of a reply as they come, and what is counted of them. Read it from one thread; cancel it from any."""

    def __init__(self, loop: TokenLoop):
        """Use `Engine.generate`."""
        self._loop = loop
        self._tokens = loop.tokens()  # the generator holds the loop, not this object: dropped, it is collected at once

    def __next__(self) -> Token:
        """The next token, once it has come.

        Raises:
            InputError: a later use has the KV cache, the engine is closed, or there is too little memory.
        """
        return next(self._tokens)

    @property
    def reused(self) -> int:
        """Tokens of the prompt that were not run, since this or the prefix cache had them."""
        return self._loop.reused

    @property
    def drafted(self) -> int:
        """Tokens that were guessed ahead."""
        return self._loop.drafter.drafted

    @property
    def accepted(self) -> int:
        """Guessed tokens that came."""
        return self._loop.drafter.accepted

    def close(self) -> None:
        """Let go of the KV cache, whose memory others may then have. For the thread that reads it."""
        self._tokens.close()

    def cancel(self) -> None:
        """End it before its next token, or between two pieces of its prompt; from any thread, at any time."""
        self._loop.use.stop.cancel()
