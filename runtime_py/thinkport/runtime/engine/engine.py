"""An engine: ids in, ids out, over one KV cache.

Checks requests and begins uses of the cache. Must not know text, templates or thoughts.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence

import numpy.typing as npt

from thinkport.runtime.engine.argument_checks import (
    check_batch,
    check_fits,
    check_keep,
    check_lengths,
    check_limit,
    check_prompt,
    check_scored,
)
from thinkport.runtime.engine.draft_policy import Drafter, DraftPolicy
from thinkport.runtime.engine.generation import Finish, Generation, LogprobRecorder, TokenLogprob, TokenLoop
from thinkport.runtime.engine.kv_cache import KvSnapshot, KvStart
from thinkport.runtime.engine.kv_uses import KvPool, KvUses, Use
from thinkport.runtime.engine.last_row import last_row
from thinkport.runtime.engine.next_start import NextStart
from thinkport.runtime.engine.pace import Pace
from thinkport.runtime.engine.prefix_cache import PrefixCache
from thinkport.runtime.engine.sampling import Sampler
from thinkport.runtime.engine.session import LaneSource, Logits
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import CacheLostError, InputError

ROWS = 64  # of logits a step: 39 MB of a vocabulary of 152,000


class Engine:
    """One sequence (or batch) with its KV cache; make one a conversation.

    Use it from one thread; what ends a reply, and `close`, may come from any. A use that begins while another one goes
    on, in whatever thread, ends it at its next step: a reply raises `CacheLostError`, a prefill returns False.
    """

    def __init__(
        self,
        session: LaneSource,
        prefixes: PrefixCache | None = None,
        pace: Pace | None = None,
        policy: DraftPolicy | None = None,
        memory: KvPool | None = None,
        *,
        deterministic: bool = False,
    ):
        """`prefixes` gives and takes starts of prompts, `pace` knows how long steps take on this machine.

        Engines of the same graph may have both in common, and `memory`, which all of their KV caches have to fit into.
        `policy` says how many tokens a reply with drafts guesses. `deterministic` makes replies independent of what the
        KV cache held before, to the bit: see `Model.load`.
        """
        self._uses = KvUses(session, prefixes, pace, memory or KvPool(), fixed=deterministic)
        self._fixed = deterministic
        self._policy = policy or DraftPolicy()

    def sibling(self) -> "Engine":
        """Another engine over the same graph and memory, with nothing in its KV cache."""
        uses = self._uses
        return Engine(self.session, uses.prefixes, uses.pace, self._policy, memory=uses.pool, deterministic=self._fixed)

    def exchange(self, other: "Engine") -> None:
        """Take over the KV cache of a sibling, and the reply in progress over it, for one's own."""
        self._uses, other._uses = other._uses, self._uses

    @property
    def session(self) -> LaneSource:
        """The graph that it runs.

        Raises:
            InputError: the engine was closed.
        """
        return self._uses.session

    @property
    def context_length(self) -> int:
        """The most tokens that a sequence can have: the model's context, or what of it the memory has room for."""
        return self._uses.pool.fits(self.session.kv_size)

    @property
    def ids(self) -> list[int]:
        """What the KV cache holds of the one sequence that `generate` and `prefill` run."""
        return list(self._uses.held.ids)

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
        stop: Stop | None = None,
        following: NextStart | None = None,
        start: KvStart | None = None,
    ) -> Generation:
        """The reply's tokens as they come, the last with the reason why it is the last.

        What the KV cache shares with the start of `prompt` is kept and the rest prefilled. Ids that the caller puts
        into `forced` between two tokens come next, in place of sampled ones; they count as tokens but never stop.
        Other conversations are likely to begin with the first `shareable` ids: they are run as pieces of their own
        and go to the prefix cache. `following` is run beside the reply, and takes its place in the KV cache at its end,
        where the graph's KV cache allows. `start`, ids with their keys and values as `snapshot` gives them, takes the
        place of what the KV cache holds before the prompt is run. `stop` ends the reply from any thread, before its
        first token too. Any later use of the engine ends this reply: to go on with it is a `CacheLostError`.

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
        loop = TokenLoop(
            use=self._uses.begin(stop),
            prompt=prompt_ids,
            sampler=sampler,
            drafter=Drafter(prompt_ids, self._policy if drafts and self._may_draft else None),
            limit=limit,
            last=Finish.LENGTH if limit == max_tokens else Finish.CONTEXT,
            stop_ids=frozenset(stop_ids),
            forced=deque() if forced is None else forced,
            shareable=shareable,
            following=following if self._rewrites_ends else None,
            start=start,
        )
        return Generation(loop)

    @property
    def _may_draft(self) -> bool:
        """Whether steps of several tokens are the graph's and, where that has to be, the same to the bit."""
        session = self.session
        return session.several_tokens_over_past and (session.exact_steps or not self._fixed)

    @property
    def _rewrites_ends(self) -> bool:
        return self.session.several_tokens_over_past and self.session.kv_size.ends_are_rewritten

    @property
    def settles_beside(self) -> bool:
        """Whether `following` costs little: 9 % of a long reply with thinkport's own kernels, 20 to 45 % on others."""
        return self._rewrites_ends and self.session.exact_steps

    def make_room(self, tokens: int) -> None:
        """Make room in the memory for a KV cache of so many tokens, as the first step of a reply does.

        Raises:
            UnavailableError: replies in progress leave too little memory.
        """
        self._uses.pool.reserve(self._uses, self.session.kv_size.bytes(tokens))

    def prefill(self, ids: Sequence[int], *, stop: Stop | None = None) -> bool:
        """Make the KV cache hold exactly `ids`, so that a prompt that begins with them pays only for its rest.

        False if it does not hold them: `stop` was cancelled or a later use began, where what was run is kept; or
        nothing is done, since the graph takes several tokens over an empty cache only and too many are missing, or
        since others have the memory.

        Raises:
            InputError: ids that can't be a prompt, or the engine is closed, be it meanwhile.
        """
        wanted = check_prompt(ids, self.session).tolist()
        use = self._uses.begin(stop, ahead=True)
        try:
            return not use.stop.cancelled and use.reserve_free(len(wanted)) and _prefill(use, wanted)
        except CacheLostError:
            return False

    def snapshot(self) -> KvStart | None:
        """The ids that the KV cache holds and a copy of their keys and values; None where it holds no sequence.

        A reply or prefill in progress goes on.

        Raises:
            InputError: the engine is closed.
        """
        with self._uses.lock:
            self._uses.session  # noqa: B018 - raises where there is none
            kept = self._uses.held.read()
            return (self.ids, kept) if kept else None

    def restore(self, ids: Sequence[int], snapshot: KvSnapshot) -> None:
        """Make the KV cache hold `ids` by a snapshot of them, from an engine of the same graph.

        Raises:
            InputError: ids that can't be a prompt, or a snapshot of other tokens or of another KV layout.
        """
        wanted = check_prompt(ids, self.session).tolist()
        if len(wanted) != snapshot.length:
            raise InputError(f"{len(wanted)} ids and a KV snapshot of {snapshot.length} tokens, expected as many")
        use = self._uses.begin()
        check_fits(len(wanted), self.context_length)
        with use.holding():
            use.reserve(len(wanted))
            with use.step() as held:
                held.write(wanted, snapshot)

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
            CacheLostError: other conversations needed the memory of what this call goes on from; `reset` begins anew.
            InputError: whatever the model or GroupQueryAttention can't take, such as left padding.
        """
        held = self._uses.held
        past, lane = held.past, held.lane
        array = check_batch(ids, past, lane.batch if lane else None, self.session)
        real = check_lengths(array, past, lengths, attention_mask, self.session)
        check_keep(keep, real)
        use = self._uses.begin()
        with use.holding():
            use.reserve(past + array.shape[1], len(array))
            with use.step() as held:
                return held.run_batch(array, real, keep, past)

    def scores(
        self, ids: Sequence[int], *, first: int = 1, top: int = 0, stop: Stop | None = None
    ) -> Iterator[TokenLogprob]:
        """How likely the model finds ids from number `first` on, each after those before it, as it is computed.

        Beside each are the `top` likeliest ones. What the KV cache shares with the start of `ids` is kept, but for what
        `first` needs. A cancelled `stop` ends it early; any later use of the engine ends it with a `CacheLostError`.

        Raises:
            InputError: on the call, fewer than two ids, ids that are not of this vocabulary or, but for the last, more
                than the context, or a `first` that nothing comes before.
        """
        known = check_scored(ids, first, self.context_length, self.session).tolist()
        session = self.session
        several, chunk = session.several_tokens_over_past, session.prefill_chunk
        return scores(self._uses.begin(stop), known, first, top, chunk=chunk, several=several)

    def last_row(self, ids: Sequence[int], *, shared: int = 0, stop: Stop | None = None) -> Logits | None:
        """The logits behind the last of `ids`, float32 (vocabulary,), or of a graph that embeds the hidden state there.

        The first `shared` ids are run apart and kept for the next call that begins with them, where the graph can go on
        from them; nothing else is kept, so the same call gives the same row. None where `stop` was cancelled first.

        Raises:
            InputError: ids that can't be a prompt, or too little memory for them.
        """
        wanted = check_prompt(ids, self.session).tolist()
        check_fits(len(wanted), self.context_length)
        shared = min(shared, len(wanted) - 1) if self.session.several_tokens_over_past else 0
        return last_row(self._uses.begin(stop), wanted, shared)

    def reset(self) -> None:
        """Forget every token and free the KV cache."""
        self._uses.clear()

    def close(self) -> None:
        """Let go of the KV cache and of the session once the step in progress ends; the engine can't be used any more.

        From any thread: a reply or prefill in another one ends with an `InputError`.
        """
        self._uses.close()


def _prefill(use: Use, wanted: list[int]) -> bool:
    with use.step() as held:
        if not held.in_reach(wanted):
            return False
        shared = held.rewind(wanted, len(wanted))
        pieces = held.pieces(wanted[shared:])
    for piece in pieces:
        if use.stop.cancelled:
            return False
        with use.step() as held:
            held.run(piece)
    return True


def scores(use: Use, ids: list[int], first: int, top: int, *, chunk: int, several: bool) -> Iterator[TokenLogprob]:
    """Run `ids` but the last over what the KV cache shares with them; yield those from `first` on as they are known.

    A step takes `chunk` tokens before `first`, `ROWS` from there on, and one where a graph takes no more over others.
    Beside each id are the `top` likeliest ones at its place. A cancelled stop ends it early.

    Raises:
        CacheLostError: a later use has the KV cache.
        UnavailableError: replies in progress leave too little memory.
    """
    recorder, wanted, needed = LogprobRecorder(top), ids[:-1], first - 1
    with use.holding():
        use.reserve(len(wanted))
        with use.step() as held:
            at = held.rewind(wanted, needed)
        while at < len(wanted) and not use.stop.cancelled:
            most = 1 if at and not several else chunk if at < needed else ROWS
            end = min(at + most, needed if at < needed else len(wanted))
            found = []
            with use.step() as held:
                if at < needed:
                    held.run(wanted[at:end])
                else:
                    rows = held.run(wanted[at : at + 1], wanted[at + 1 : end])
                    for row, token in zip(rows, ids[at + 1 : end + 1], strict=True):
                        recorder.record(row, token)
                        found.append(recorder.take())
            yield from (one for one in found if one is not None)
            at = end
