"""Whether a graph, as it runs on this machine, says what the checkpoint says: the check before a provider is trusted.

Knows sessions and goldens. Must not know how a provider is chosen, or what is done about a wrong one.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from thinkport.runtime.artifact.certificate import Figure, GoldenScore, VectorFigure
from thinkport.runtime.artifact.goldens import Golden
from thinkport.runtime.engine.session import Ids, Lane, LaneSource, Logits
from thinkport.runtime.errors import ArtifactError

CHUNK = 16  # tokens a step, so that a short prompt too is prefilled over a past
DECODED = 4  # tokens at a prompt's end that go one at a time
QUICK_TOKENS = 64  # of a prompt that the quick check takes
QUICK_PROMPTS = 4

# How far a score may be below the recorded one: another machine's kernels round otherwise, a wrong graph is off by far
# more. Measured on int4 graphs: the recorded score is met within a tenth of these.
_SLACK = 0.02
_SHARE = 0.5
_FLAT = 1e-6  # of the largest logit: nothing but rounding is left
_NOT_NUMBERS = 1e9  # nats; infinity has no place in JSON


class HasRows(Protocol):
    """A prompt and the positions whose logits are compared."""

    @property
    def ids(self) -> Ids:
        """The prompt, (tokens,)."""

    @property
    def rows(self) -> Ids:
        """The positions, (rows,), in order."""


Asked = TypeVar("Asked", bound=HasRows)


Span = tuple[int, int]
"""The first token of a step, and the one behind its last."""


class LaneStep(NamedTuple):
    """A step whose ids (1, tokens) are known in advance, and how many rows of its logits are wanted."""

    lane: Lane
    ids: Ids
    keep: int = 1


Run = Callable[[Iterable[LaneStep]], Iterator[Logits]]
"""Runs steps, those of one lane in order. Yields the logits (keep, vocabulary) of each, valid until the next."""


@dataclass(frozen=True, kw_only=True)
class GoldenResult:
    """What a graph scored and in what time; `fault` says what is wrong with it, None where nothing is."""

    score: GoldenScore
    seconds: float
    fault: str | None

    @property
    def right(self) -> bool:
        """Whether the graph may be used."""
        return self.fault is None


def check_goldens(session: LaneSource, goldens: Sequence[Golden], recorded: GoldenScore | None) -> GoldenResult:
    """Run goldens and hold the score against the one that was `recorded` at export; see `fault_of`.

    Raises:
        ArtifactError: the graph fails; the caller decides what that says of the provider.
    """
    begun = perf_counter()
    found = score(session, goldens)
    return GoldenResult(score=found, seconds=perf_counter() - begun, fault=fault_of(found, recorded))


def quick(goldens: Sequence[Golden]) -> list[Golden]:
    """The first few short ones: what is affordable before a first reply."""
    return [golden for golden in goldens if len(golden.ids) <= QUICK_TOKENS][:QUICK_PROMPTS]


def answered(goldens: Sequence[Golden], figure: Figure | VectorFigure | None) -> list[Golden]:
    """The goldens that a graph answered at export, which its recorded score is of; all where it has no figure."""
    return [golden for golden in goldens if figure is None or figure.prompts is None or golden.name in figure.prompts]


def score(session: LaneSource, goldens: Sequence[Golden]) -> GoldenScore:
    """How a graph's logits agree with the goldens, over every row of them.

    Raises:
        ArtifactError: the graph fails.
    """
    scorer = Scorer()
    for golden, at, row in golden_rows(session, goldens):
        scorer.add(golden, at, row)
    return scorer.score


class Scorer:
    """Gathers how a graph's logits agree with goldens, row by row."""

    def __init__(self) -> None:
        self._rows: list[NDArray[np.float64]] = []

    def add(self, golden: Golden, at: int, found: Logits) -> None:
        """Take a graph's logits (vocabulary,) at a golden's row number `at`."""
        self._rows.append(_compare(golden, at, found))

    @property
    def score(self) -> GoldenScore:
        """The means over what was added, at least one row; logits that are not numbers make the worst score."""
        rows = np.array(self._rows)
        if not np.isfinite(rows).all():
            return GoldenScore(rows=len(rows), correlation=-1.0, kl=_NOT_NUMBERS, top1=0.0)
        correlation, kl, top1 = rows.mean(axis=0).tolist()
        return GoldenScore(rows=len(rows), correlation=correlation, kl=kl, top1=top1)


def one_by_one(ahead: Iterable[LaneStep]) -> Iterator[Logits]:
    """Run each step when its logits are asked for.

    Raises:
        ArtifactError: the graph fails.
    """
    for lane, ids, keep in ahead:
        yield lane.step(ids, keep=keep)[0]


def golden_rows(
    session: LaneSource, prompts: Iterable[Asked], decoded: int = DECODED, run: Run = one_by_one, chunk: int = CHUNK
) -> Iterator[tuple[Asked, int, Logits]]:
    """Yield each prompt's rows in order: the prompt, the row's number, its logits (vocabulary,), valid until the next.

    A prompt goes the ways that the runtime has: prefill over a past in pieces of at most `chunk` tokens, where the
    graph takes that, then the last `decoded` tokens one at a time.

    Raises:
        ArtifactError: the graph fails.
    """

    def spans(prompt: Asked) -> Iterator[Span]:
        tokens = len(prompt.ids)
        return steps(tokens, chunk_of(session, tokens, chunk), decoded)

    return stepped_rows(session, prompts, spans, run)


def stepped_rows(
    session: LaneSource, prompts: Iterable[Asked], spans: Callable[[Asked], Iterable[Span]], run: Run = one_by_one
) -> Iterator[tuple[Asked, int, Logits]]:
    """As `golden_rows`, in the steps that `spans` gives of a prompt: (start, stop) of each, all its tokens in order.

    Raises:
        ArtifactError: the graph fails.
    """
    wanted: deque[list[tuple[Asked, int, int]]] = deque()  # of each step: prompt, row, place from the step's end

    def ahead() -> Iterator[LaneStep]:
        for prompt in prompts:
            lane = session.open_lane()
            for start, stop in spans(prompt):
                kept = [(prompt, row, at - stop) for row, at in enumerate(prompt.rows.tolist()) if start <= at < stop]
                wanted.append(kept)
                yield LaneStep(lane, prompt.ids[None, start:stop], keep=-kept[0][2] if kept else 1)

    for logits in run(ahead()):
        for prompt, row, at in wanted.popleft():
            yield prompt, row, logits[at]


def fault_of(found: GoldenScore, recorded: GoldenScore | None) -> str | None:
    """What is wrong with a score, in words; None if nothing is.

    The recorded score is that of the same graph over the same rows on the CPU at export, so a difference is the
    machine's. Without one, a graph must at least agree more than it disagrees.
    """
    least = 0.5 if recorded is None else recorded.correlation - _SLACK - _SHARE * (1 - recorded.correlation)
    most = None if recorded is None else recorded.kl * (1 + _SHARE) + _SLACK
    if found.correlation < least:
        return (
            f"its logits correlate {found.correlation:.3f} with the checkpoint's over {found.rows} positions, "
            f"expected at least {least:.3f}"
        )
    if most is not None and found.kl > most:
        return (
            f"its likeliest tokens diverge {found.kl:.3f} nats from the checkpoint's over {found.rows} positions, "
            f"expected at most {most:.3f}"
        )
    return None


def steps(tokens: int, chunk: int, decoded: int = DECODED) -> Iterator[Span]:
    """(start, stop) of every step over a prompt: chunks, then single tokens."""
    prefilled = max(1, tokens - decoded)
    return pairwise([*range(0, prefilled, chunk), *range(prefilled, tokens), tokens])


def chunk_of(session: LaneSource, tokens: int, chunk: int = CHUNK) -> int:
    """How many tokens a step takes of a checked prompt of `tokens` tokens, at most `chunk` where several may follow."""
    return min(chunk, session.prefill_chunk) if session.several_tokens_over_past else tokens


def correlation(expected: Logits, found: Logits) -> float:
    """Pearson's correlation of two vectors of logits; 1 where both are flat, 0 where only one is."""
    ours, theirs = _centred(expected), _centred(found)
    if ours is None or theirs is None:
        return float(ours is theirs)
    return float((ours * theirs).sum())  # BLAS wakes threads for so much: measured ten times slower beside a session


def _centred(row: Logits) -> NDArray[np.float64] | None:
    """A vector without its mean, of length 1; None if all of it is mean."""
    centred = row.astype(np.float64) - row.mean(dtype=np.float64)
    length = float(np.sqrt(np.square(centred).sum()))
    return None if length <= _FLAT * float(np.abs(row).max(initial=0)) else centred / length


def _compare(golden: Golden, at: int, found: Logits) -> NDArray[np.float64]:
    """(correlation, divergence, whether the likeliest token is the same) at one row; hidden states have no tokens."""
    top = golden.top_ids[at]
    check_ids(golden, len(found))
    alike = correlation(golden.sample_logits[at], found[golden.sample_ids])
    if not top.size:
        return np.array([alike, 0.0, 1.0])
    diverged = coarse_kl(golden.top_logprobs[at].astype(np.float64), found, top)
    return np.array([alike, diverged, float(top[0] == found.argmax())])


def check_ids(golden: Golden, columns: int) -> None:
    """Refuse a golden that speaks of ids which a graph's `columns` logits don't have.

    Raises:
        ArtifactError: with the largest id.
    """
    largest = max(golden.sample_ids.max(), golden.top_ids.max(initial=0))
    if largest >= columns:
        raise ArtifactError(
            f"the goldens speak of id {largest} and the graph gives {columns} numbers a token: they are of different "
            "models, export the artifact again"
        )


def coarse_kl(expected: NDArray[np.float64], found: Logits, top: NDArray[np.int64]) -> float:
    """KL divergence, in nats, over the likeliest tokens and one class for all others: at most that over all tokens."""
    shifted = found - found.max()
    logprobs = shifted[top] - np.log(np.exp(shifted).sum(dtype=np.float64))
    p, q = np.exp(expected), np.exp(logprobs)
    rest_p, rest_q = max(0.0, 1 - p.sum()), max(1e-12, 1 - q.sum())
    rest = rest_p * np.log(rest_p / rest_q) if rest_p > 1e-12 else 0.0
    return max(0.0, float(p @ (expected - logprobs) + rest))
