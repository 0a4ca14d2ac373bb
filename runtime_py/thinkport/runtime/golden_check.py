"""Whether a graph, as it runs on this machine, says what the checkpoint says: the check before a provider is trusted.

Knows sessions and goldens. Must not know how a provider is chosen, or what is done about a wrong one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from thinkport.runtime.goldens import Golden
from thinkport.runtime.manifest import GoldenScore
from thinkport.runtime.session import LaneSource, Logits

CHUNK = 16  # tokens a step, so that a short prompt too is prefilled over a past
DECODED = 4  # tokens at a prompt's end that go one at a time
QUICK_TOKENS = 64  # of a prompt that the quick check takes
QUICK_PROMPTS = 4

# How far a score may be below the recorded one: another machine's kernels round otherwise, a wrong graph is off by far
# more. Measured on int4 graphs: the recorded score is met within a tenth of these.
_SLACK = 0.02
_SHARE = 0.5


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


def score(session: LaneSource, goldens: Sequence[Golden]) -> GoldenScore:
    """How a graph's logits agree with the goldens, over every row of them.

    Raises:
        ArtifactError: the graph fails.
    """
    rows = [_compare(golden, at, row) for golden in goldens for at, row in enumerate(_rows(session, golden))]
    if not all(np.isfinite(row).all() for row in rows):
        return GoldenScore(rows=len(rows), correlation=float("-1"), kl=float("1e9"), top1=0.0)
    correlation, kl, top1 = np.mean(np.array(rows), axis=0).tolist()
    return GoldenScore(rows=len(rows), correlation=correlation, kl=kl, top1=top1)


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


def steps(tokens: int, chunk: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of every step over a prompt: chunks, then single tokens."""
    prefilled = max(1, tokens - DECODED)
    for start in range(0, prefilled, chunk):
        yield start, min(start + chunk, prefilled)
    for start in range(prefilled, tokens):
        yield start, start + 1


def correlation(expected: Logits, found: Logits) -> float:
    """Pearson's correlation of two vectors of logits; 1 where both are flat, 0 where one is."""
    ours, theirs = (row.astype(np.float64) - row.mean(dtype=np.float64) for row in (expected, found))
    lengths = np.linalg.norm(ours), np.linalg.norm(theirs)
    flat = [
        bool(length <= 1e-6 * max(1.0, float(np.abs(row).max())))
        for length, row in zip(lengths, (expected, found), strict=True)
    ]
    if any(flat):
        return float(all(flat))
    return float(ours @ theirs / (lengths[0] * lengths[1]))


def _rows(session: LaneSource, golden: Golden) -> Iterator[Logits]:
    """The graph's logits (vocabulary,) at the golden's rows, each valid until the next."""
    lane = session.open_lane()
    wanted = set(golden.rows.tolist())
    chunk = CHUNK if session.several_tokens_over_past else len(golden.ids)
    for start, stop in steps(len(golden.ids), chunk):
        kept = [at for at in range(start, stop) if at in wanted]
        keep = stop - kept[0] if kept else 1
        logits = lane.step(golden.ids[None, start:stop], keep=keep)[0]
        yield from (logits[at - stop] for at in kept)


def _compare(golden: Golden, at: int, found: Logits) -> NDArray[np.float64]:
    """(correlation, divergence, whether the likeliest token is the same) at one row."""
    top = golden.top_ids[at]
    return np.array(
        [
            correlation(golden.sample_logits[at], found[golden.sample_ids]),
            _coarse_kl(golden.top_logprobs[at].astype(np.float64), found, top),
            float(top[0] == found.argmax()),
        ]
    )


def _coarse_kl(expected: NDArray[np.float64], found: Logits, top: NDArray[np.int64]) -> float:
    """KL divergence, in nats, over the likeliest tokens and one class for all others: at most that over all tokens."""
    shifted = found.astype(np.float64) - float(found.max())
    logprobs = shifted[top] - np.log(np.exp(shifted).sum())
    p, q = np.exp(expected), np.exp(logprobs)
    rest_p, rest_q = max(0.0, 1 - p.sum()), max(1e-12, 1 - q.sum())
    rest = rest_p * np.log(rest_p / rest_q) if rest_p > 1e-12 else 0.0
    return max(0.0, float(p @ (expected - logprobs) + rest))
