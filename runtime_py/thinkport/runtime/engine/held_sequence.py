"""The tokens that an engine's KV cache holds: kept from prompt to prompt, run in pieces, shared through a prefix cache.

Knows ids, a lane and prefixes. Must not know sampling, replies or threads: its engine lets in one thread at a time.
"""

from collections.abc import Sequence
from time import perf_counter
from typing import cast

import numpy as np

from thinkport.runtime.engine.kv_cache import KvSnapshot
from thinkport.runtime.engine.next_start import PIECE, NextStart
from thinkport.runtime.engine.pace import Pace
from thinkport.runtime.engine.prefix_cache import PrefixCache
from thinkport.runtime.engine.scheduler import ScheduledLane
from thinkport.runtime.engine.session import Ids, Lane, LaneSource, Logits, RewritableLane
from thinkport.runtime.errors import CacheLostError

_EVICTED = (
    "other conversations needed the memory of the KV cache that this goes on from: call reset() and run all of it "
    "again, or load the model with a higher memory_limit"
)
_WORTH = 16  # tokens that are worth copying a snapshot rather than running them
_ONE_STEP = 16  # tokens of a first step that surely take no longer than a step of one, which reads as many weights


class HeldSequence:
    """One sequence (or batch) and its KV cache.

    With `fixed` steps a prompt gives the same logits to the bit whatever was held before: kernels round by how many
    tokens a step takes, so all but the last of a prompt's steps are `prefill_chunk` wide and begin at a multiple of it,
    and only what such steps ran is kept for another prompt.
    """

    def __init__(
        self,
        session: LaneSource,
        prefixes: PrefixCache | None = None,
        pace: Pace | None = None,
        *,
        fixed: bool = False,
    ):
        """`pace` says how long steps take, which all sequences of a model tell each other."""
        self.ids: list[int] = []  # what the KV cache holds of one sequence; empty where it holds a batch
        self.lane: Lane | None = None
        self._session: LaneSource | None = session
        self._several = session.several_tokens_over_past
        self._fixed = fixed and not session.exact_steps
        self._chunk = session.prefill_chunk
        self._whole = 0  # tokens at the start that fixed steps ran
        self._prefixes = prefixes if prefixes and prefixes.limit_bytes and self._several else None
        self._pace = pace or Pace()
        self._boundary = 0  # where the start that is to be shared ends; 0 where none is
        self._evicted = False  # whether tokens that a step could go on from are gone

    def open(self, batch: int) -> Lane:
        """The lane if it is of `batch` sequences, or else a new one in its place."""
        if self.lane is None or self.lane.batch != batch:
            assert self._session, "a closed engine runs no steps"
            self.ids, self.lane, self._whole = [], self._session.open_lane(batch), 0
        return self.lane

    @property
    def past(self) -> int:
        """Tokens that `run_batch` goes on from, of the longest sequence.

        Raises:
            CacheLostError: they were evicted.
        """
        if self._evicted:
            raise CacheLostError(_EVICTED)
        return self.lane.length if self.lane else 0

    def clear(self) -> None:
        """Forget every token and free the KV cache."""
        self.ids, self.lane, self._evicted, self._whole = [], None, False, 0

    def evict(self) -> None:
        """Free the KV cache; `run_batch` is refused until a prompt, a snapshot or `clear` begins anew."""
        evicted = self._evicted or (self.lane is not None and self.lane.length > 0)
        self.clear()
        self._evicted = evicted

    @property
    def crowded(self) -> bool:
        """Whether others are stepping too; see `ScheduledLane`."""
        lane: object = self.lane
        return isinstance(lane, ScheduledLane) and lane.crowded

    def interrupt(self, why: str) -> None:
        """End the step in progress, which another thread waits for."""
        lane: object = self.lane
        if isinstance(lane, ScheduledLane):
            lane.interrupt(why)

    def close(self) -> None:
        """Forget every token and let go of the session."""
        self.clear()
        self._session = None

    def rewind(self, wanted: list[int], most: int, shareable: int = 0) -> int:
        """Hold a start of `wanted` of at most `most` tokens, the longest to be had without running one; its length.

        The first `shareable` tokens go to the prefix cache when `pieces` runs them.
        """
        self._evicted = False
        shared = self._kept(common_prefix(self.ids, wanted[:most]))
        if not self._worth_keeping(shared, len(wanted)):
            shared = 0
        stored = self._prefixes.longest(wanted[:most]) if self._prefixes else None
        length = self._aligned(stored.length) if stored else 0  # what is stored was run in fixed steps
        if stored and length >= shared + _WORTH:
            shared = length
            self.write(wanted[:shared], stored.first(shared))
            self._whole = shared
        self.open(1).trim(shared)
        self._whole = min(self._whole, shared)
        self.ids = wanted[:shared]
        self._boundary = self._end_of_start(wanted[: max(shareable, 0)])
        return shared

    def in_reach(self, wanted: list[int]) -> bool:
        """Whether `wanted` can be run over what the KV cache shares with it."""
        return self._worth_keeping(common_prefix(self.ids, wanted), len(wanted))

    def begin_again(self, pending: list[int]) -> list[int]:
        """What to run so that the held sequence goes on with `pending`: that, or all of it over an empty cache.

        The latter where a graph takes one token at a time over a past and `pending` are so many that one step for
        everything takes less. Counted and not measured, so that the same reply is run the same way every time.
        """
        total = len(self.ids) + len(pending)
        if self._several or len(pending) <= _ONE_STEP or total > _ONE_STEP * len(pending):
            return pending
        wanted = [*self.ids, *pending]
        self.open(1).trim(0)
        self.ids, self._whole = [], 0
        return wanted

    def pieces(self, pending: Sequence[int]) -> list[Sequence[int]]:
        """What the next steps take of `pending`, which the KV cache makes room for at the first of them."""
        self.open(1).expect(len(pending))
        pieces, held = [], len(self.ids)
        while pending:
            step = self._step_over(held, len(pending))
            pieces.append(pending[:step])
            pending, held = pending[step:], held + step
        return pieces

    def run(self, ids: Sequence[int], guess: Sequence[int] = ()) -> Logits:
        """Run ids, and a guess of what follows them, in one step.

        Returns the logits after the ids and after each guessed token, float32 (1 + guessed, vocabulary), valid until
        the next step.
        """
        started = perf_counter()
        logits: Logits = self.open(1).step(np.array([[*ids, *guess]], np.int64), keep=1 + len(guess))[0]
        self._pace.add(len(ids) + len(guess), perf_counter() - started, over_past=bool(self.ids))
        if self._whole == len(self.ids) and len(ids) == self._chunk and not guess:
            self._whole += self._chunk
        self.ids += [*ids, *guess]
        if self._prefixes and len(self.ids) - len(guess) == self._boundary:
            self._prefixes.put(self.ids[: self._boundary], self.open(1).read(self._boundary))
        return logits

    def drop(self, tokens: int) -> None:
        """Forget the last `tokens`, which were guessed wrong."""
        del self.ids[len(self.ids) - tokens :]
        self.open(1).trim(len(self.ids))

    @property
    def piece(self) -> int:
        """Tokens of a step of `run_aside`."""
        return self._chunk if self._fixed else PIECE

    def run_aside(self, following: NextStart) -> None:
        """Run a piece of what the next prompt begins with, and hold what is held now again."""
        if following.rows is None:
            same = common_prefix(self.ids, following.wanted)
            following.begin(same, self._kept(same), self.piece)
        piece = following.piece(self.piece)
        if not piece:
            return
        lane, shared, own_ids, whole = self._rewritable, following.shared, self.ids, self._whole
        own = lane.read_end(shared)
        self.ids, self._whole = own_ids[:shared], min(whole, shared)  # what is held where the step fails
        self._end_with(following.rows, shared)
        lane.step(np.array([piece], np.int64))
        following.ids += piece
        following.rows = lane.read_end(shared)
        self._end_with(own, shared)
        self.ids, self._whole = own_ids, whole

    def go_on_with(self, following: NextStart) -> None:
        """Hold what was run of the next prompt's start in place of the reply; nothing where nothing was."""
        if following.rows is not None:
            self.ids, self._whole = self.ids[: following.shared], 0  # what is held where writing fails
            self._end_with(following.rows, following.shared)
            self.ids, self._whole = list(following.ids), len(following.ids) if self._fixed else 0

    @property
    def _rewritable(self) -> RewritableLane:
        return cast("RewritableLane", self.open(1))

    def _end_with(self, rows: KvSnapshot | None, start: int) -> None:
        if rows is None:
            self._rewritable.trim(start)
        else:
            self._rewritable.write_end(rows, start)

    def run_batch(self, ids: Ids, lengths: Ids, keep: int, past: int) -> Logits:
        """Run ids (batch, sequence), checked over `past` tokens in the lane, which is then no sequence of known ids.

        Returns the last `keep` logits of each row's `lengths`, float32 (batch, keep, vocabulary), the caller's own.

        Raises:
            CacheLostError: the lane no longer holds `past` tokens.
        """
        if self.past != past:
            raise CacheLostError(_EVICTED)
        self.ids, self._whole = [], 0
        lane = self.open(len(ids))
        columns = ids.shape[1]
        if lane.length and columns > 1 and not self._several:
            return np.concatenate([lane.step(ids[:, i : i + 1]).copy() for i in range(columns)], axis=1)[:, -keep:]
        kept = lane.step(ids, lengths, keep + columns - int(lengths.min()))
        first = kept.shape[1] - columns + lengths - keep
        return np.stack([row[start : start + keep] for row, start in zip(kept, first, strict=True)])

    def read(self) -> KvSnapshot | None:
        """The keys and values of `ids`, copied; None where no sequence is held."""
        return self.lane.read(len(self.ids)) if self.ids and self.lane else None

    def write(self, ids: list[int], snapshot: KvSnapshot) -> None:
        """Hold `ids` and no other tokens.

        Raises:
            InputError: the snapshot does not fit this graph; no sequence is held then.
        """
        self.ids, self._evicted, self._whole = [], False, 0
        self.open(1).write(snapshot)
        self.ids = list(ids)

    def _step_over(self, held: int, pending: int) -> int:
        """How many of the pending tokens a step over `held` ones takes."""
        if not self._several:
            return 1 if held else pending
        assert self._session, "a closed engine runs no steps"
        left, chunk = self._boundary - held, self._session.prefill_chunk
        if self._session.exact_steps and self._pace.soon(2 * chunk):
            chunk *= 2  # measured: a tenth faster where tiles multiply (AMX), no slower elsewhere
        return min(left, chunk) if left > 0 else chunk

    def _aligned(self, tokens: int) -> int:
        return tokens // self._chunk * self._chunk if self._fixed else tokens

    def _kept(self, shared: int) -> int:
        """How many of the first `shared` tokens another prompt may take over."""
        return self._aligned(min(shared, self._whole)) if self._fixed else shared

    def _worth_keeping(self, shared: int, total: int) -> bool:
        """Whether the rest of `total` tokens is best run over the `shared` ones that are held.

        Where it is measured, replies depend on how fast the machine was, which fixed steps rule out.
        """
        return self._several or (not self._fixed and self._pace.one_by_one(total - shared, total))

    def _end_of_start(self, start: list[int]) -> int:
        """The length of a start that is to be shared: one that is worth it, has to be run and is not stored yet."""
        start = start[: self._aligned(len(start))]
        if not self._prefixes or len(start) < max(_WORTH, len(self.ids) + 1):
            return 0
        return 0 if self._prefixes.covers(start) else len(start)


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids `a` and `b` have in common at their start."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
