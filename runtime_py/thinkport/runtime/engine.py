"""The token loop: ids in, ids out, over one lane of a session.

Knows ids, the KV cache's length and a sampler. Must not know text, templates or thoughts: a budget is ids that the
caller puts into the queue of forced ones.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from threading import Event
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinkport.runtime.errors import InputError
from thinkport.runtime.requests import check_batch, check_keep, check_lengths, check_limit, check_prompt
from thinkport.runtime.sampling import Sampler
from thinkport.runtime.session import Lane, LaneSource, Logits

_FEW = 16  # tokens worth feeding one by one to a graph that takes several only over an empty cache


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


class Engine:
    """One sequence (or batch) with its KV cache; make one a conversation. Use it from one thread, cancel from any."""

    def __init__(self, session: LaneSource):
        self._session: LaneSource | None = session
        self.ids: list[int] = []  # what the KV cache holds of the one sequence that `generate` runs
        self.reused = 0  # tokens of the last prompt that were in the KV cache already
        self._lane: Lane | None = None
        self._cancelled = Event()
        self._run = 0  # counts what used the KV cache, so that a reply knows when it is no longer its own

    @property
    def session(self) -> LaneSource:
        """The graph that it runs.

        Raises:
            InputError: the engine was closed.
        """
        if self._session is None:
            raise InputError("the model is closed: load it again")
        return self._session

    def generate(
        self,
        prompt: Sequence[int],
        sampler: Sampler,
        *,
        stop_ids: Collection[int] = (),
        max_tokens: int | None = None,
        forced: deque[int] | None = None,
    ) -> Iterator[Token]:
        """Yield the reply's tokens, the last with the reason why it is the last.

        What the KV cache shares with the start of `prompt` is kept and the rest prefilled. Ids that the caller puts
        into `forced` between two tokens come next, in place of sampled ones; they count as tokens but never stop.
        Any later use of the engine ends this reply: to go on with it is an `InputError`.

        Raises:
            InputError: on the call, before any token, if the prompt is empty, too long or not of this vocabulary,
                or the limit is below 1.
        """
        prompt_ids = check_prompt(prompt, self.session).tolist()
        check_limit(max_tokens)
        room = self.session.context_length - len(prompt_ids)
        limit = room if max_tokens is None else min(max_tokens, room)
        last = Finish.LENGTH if limit == max_tokens else Finish.CONTEXT
        self._cancelled.clear()
        self._run += 1
        return self._loop(
            prompt_ids, sampler, frozenset(stop_ids), limit, last, deque() if forced is None else forced, self._run
        )

    def _loop(
        self,
        prompt: list[int],
        sampler: Sampler,
        stop_ids: frozenset[int],
        limit: int,
        last: Finish,
        forced: deque[int],
        run: int,
    ) -> Iterator[Token]:
        self._check_current(run)
        sampler.start(prompt)
        pending = self._rewind(prompt)
        for count in range(1, limit + 1):
            if forced:
                token, origin = forced.popleft(), Origin.FORCED
            else:
                logits = self._feed(pending)
                if logits is None:
                    yield Token(None, Origin.SAMPLED, Finish.CANCELLED)
                    return
                token, origin, pending = sampler.draw(logits), Origin.SAMPLED, []
            sampler.accept(token)
            pending.append(token)
            finish = Finish.STOP if origin is Origin.SAMPLED and token in stop_ids else None
            finish = finish or (last if count == limit else None)
            yield Token(token, origin, finish)
            self._check_current(run)
            if finish:
                return

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
        past = self._lane.length if self._lane else 0
        array = check_batch(ids, past, self._lane.batch if self._lane else None, self.session)
        real = check_lengths(array, past, lengths, attention_mask, self.session)
        check_keep(keep, real)
        lane = self._open(len(array))
        self._run += 1
        self.ids = []  # no longer the sequence of `generate`
        columns = array.shape[1]
        if past and columns > 1 and not self.session.several_tokens_over_past:
            return np.concatenate([lane.step(array[:, i : i + 1]).copy() for i in range(columns)], axis=1)[:, -keep:]
        kept = lane.step(array, real, keep + columns - int(real.min()))
        first = kept.shape[1] - columns + real - keep
        return np.stack([row[start : start + keep] for row, start in zip(kept, first, strict=True)])

    def reset(self) -> None:
        """Forget every token and free the KV cache."""
        self._lane = None
        self.ids = []
        self._run += 1

    def close(self) -> None:
        """Let go of the KV cache and of the session; the engine can't be used any more."""
        self._session = self._lane = None
        self.ids = []

    def _check_current(self, run: int) -> None:
        if run != self._run:
            raise InputError("another reply was begun over this KV cache: end one reply first, or use two chats")

    def _open(self, batch: int) -> Lane:
        if self._lane is None or self._lane.batch != batch:
            self._lane = self.session.open_lane(batch)
        return self._lane

    def _rewind(self, prompt: list[int]) -> list[int]:
        """Trim the KV cache to what it shares with the prompt; return the rest, which is at least one token."""
        shared = common_prefix(self.ids, prompt[:-1])
        rest = len(prompt) - shared
        if not self.session.several_tokens_over_past and rest > _FEW:
            shared = 0
        self._open(1).trim(shared)
        self.ids = self.ids[:shared]
        self.reused = shared
        return prompt[shared:]

    def _feed(self, pending: list[int]) -> npt.NDArray[np.float32] | None:
        """Run `pending` in pieces; the logits (vocabulary,) after its last token, or None once cancelled."""
        lane = self._open(1)
        logits = None
        at = 0
        while at < len(pending):
            if self._cancelled.is_set():
                return None
            piece = pending[at : at + self._piece(len(pending))]
            logits = lane.step(np.array([piece], np.int64))[0, -1]
            self.ids += piece
            at += len(piece)
        return None if self._cancelled.is_set() else logits

    def _piece(self, pending: int) -> int:
        """How many tokens the next step takes."""
        if self.session.several_tokens_over_past:
            return self.session.prefill_chunk
        return 1 if self.ids else pending


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids `a` and `b` have in common at their start."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
