"""Whether a graph computes on this machine what it computed at export: far closer than the checkpoint can tell.

A graph is held against its own golden, which was computed in float32: an attention that is off by some percent is
visible there, while rounding to int4 hides it from a comparison with the checkpoint. Knows sessions and own goldens.
Must not know how a provider is chosen.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from thinkport.runtime.artifact.goldens import Distance, Golden, OwnGolden
from thinkport.runtime.engine.session import LaneSource, Logits
from thinkport.runtime.providers.golden_check import Run, Span, check_ids, coarse_kl, one_by_one, stepped_rows

WIDEST = 192  # tokens of the widest step that is tried: what runs in steps of 64 and more runs in one of these too
NARROW = 31  # tokens of the widest step that every known device computes right; see deploy/docs/targets.md
BRIEF = 64  # tokens that the brief check prefills at once
_BRIEF_CONTINUED, _BRIEF_DECODED = 8, 4
KEPT = 24  # positions at a wide step's end that are compared: each brings a row of logits from the device

# float32 sums in another order. Measured over 3 layers against the CPU provider: 7e-7 on WebGPU, 5e-7 on ARM64 with an
# int8 KV cache. An error of 1 % in one of 4 heads is 4e-4 and more.
FLOOR = 5e-5
# Of the rounding that the graph itself asks for. Another machine rounds too, in its own way, and is as far from float32
# if it sums as exactly. Measured: of int8 activations 1.8 on ARM64 and 1.3 on WebGPU; of float16 2.4 on WebGPU, whose
# sums are float16. KL divergence grows with the square of an error.
SPREADS = 4.0
DIVERGED = 1e-3  # nats, in each row; a graph of float32 has less than 1e-9
_FLAT = 1e-6


@dataclass(frozen=True, kw_only=True)
class OwnResult:
    """How far a graph is from its own golden over so many positions; `fault` is None where that is near enough.

    `widest` is the most tokens of a step in which it was so; None where no step was right, or all of the graph's are.
    `narrowed` says what is wrong with wider steps, None where nothing is known to be.
    """

    distance: Distance
    rows: int
    fault: str | None
    widest: int | None = None
    narrowed: str | None = None


class OwnScorer:
    """Gathers squared differences of a graph's logits from an own golden, row by row."""

    def __init__(self, golden: Golden) -> None:
        self._golden = golden
        self._rows: list[NDArray[np.float64]] = []

    def add(self, at: int, found: Logits) -> None:
        """Take logits (vocabulary,) at the golden's row number `at`."""
        golden = self._golden
        check_ids(golden, len(found))
        expected = golden.sample_logits[at].astype(np.float64)
        apart = found[golden.sample_ids].astype(np.float64) - expected
        power = np.square(expected - expected.mean()).mean()
        top = golden.top_ids[at]
        kl = coarse_kl(golden.top_logprobs[at].astype(np.float64), found, top) if top.size else 0.0
        self._rows.append(np.array([np.square(apart - apart.mean()).mean(), power, kl]))

    def distance(self, rows: slice = slice(None)) -> Distance:
        """The distance over some of the rows that were added, at least one."""
        found = np.array(self._rows[rows])
        if not np.isfinite(found).all():
            return Distance(np.inf, np.inf)
        apart, power, _ = found.mean(axis=0)
        return Distance(float(np.sqrt(apart / max(power, _FLAT))), float(found[:, 2].max()))


def check_own(session: LaneSource, own: OwnGolden, widest: int, *, brief: bool = False) -> OwnResult:
    """Hold a graph against its own golden, in steps of up to `widest` tokens and, if these are wrong, in narrow ones.

    `brief` takes the first tokens only, which is what a CPU can do before a first reply.

    Raises:
        ArtifactError: the graph fails.
    """
    asked = shortened(own) if brief else whole(own)
    several = session.several_tokens_over_past
    first = min(widest, WIDEST) if several else asked.prefilled
    result = _held(session, asked, first)
    if not several:
        return result
    if result.fault is None:
        return replace(result, widest=widest if first == widest or widest <= session.prefill_chunk else first)
    if first <= NARROW:
        return result
    narrow = _held(session, asked, NARROW)
    if narrow.fault is not None:
        return result
    return replace(narrow, widest=NARROW, narrowed=f"steps of {min(first, asked.prefilled)} tokens are wrong here")


def in_float(own: OwnGolden) -> OwnGolden:
    """What a graph is held against whose matrix products round nothing to int8."""
    return replace(own, spread=own.float_spread)


def own_distance(session: LaneSource, own: OwnGolden, run: Run = one_by_one) -> Distance:
    """How far a graph is from its own golden over all rows of the whole check, in steps as wide as it takes.

    Raises:
        ArtifactError: the graph fails.
    """
    width = min(session.prefill_chunk, WIDEST) if session.several_tokens_over_past else own.prefilled
    return _score(session, whole(own), width, run).distance()


def shortened(own: OwnGolden) -> OwnGolden:
    """The first tokens of an own golden, in the same three kinds of steps."""
    prefilled = min(BRIEF, own.prefilled)
    tokens = min(prefilled + _BRIEF_CONTINUED + _BRIEF_DECODED, len(own.golden.ids))
    continued = min(_BRIEF_CONTINUED, tokens - prefilled)
    return replace(own, golden=_first(own.golden, tokens), prefilled=prefilled, continued=continued)


def whole(own: OwnGolden) -> OwnGolden:
    """An own golden without the rows that are only there for a shorter one: they would be far from a step's end."""
    return replace(own, golden=_kept(own.golden, own.golden.rows >= own.prefilled - KEPT))


def _first(golden: Golden, tokens: int) -> Golden:
    return replace(_kept(golden, golden.rows < tokens), ids=golden.ids[:tokens])


def _kept(golden: Golden, rows: NDArray[np.bool_]) -> Golden:
    """The golden with some of its rows."""
    return replace(
        golden,
        rows=golden.rows[rows],
        top_ids=golden.top_ids[rows],
        top_logprobs=golden.top_logprobs[rows],
        sample_logits=golden.sample_logits[rows],
    )


def own_steps(own: OwnGolden, width: int, *, several: bool) -> Iterator[Span]:
    """(start, stop) of each step: prefill, what goes on from it, and single tokens; none wider than `width`.

    Where not `several` tokens may follow others, all behind the prefill go one by one.
    """
    start, tokens = 0, len(own.golden.ids)
    ends = [own.prefilled, own.prefilled + own.continued] if several else [own.prefilled]
    for end, most in [*((end, width) for end in ends), (tokens, 1)]:
        while start < end:
            stop = min(start + most, end)
            yield start, stop
            start = stop


def _held(session: LaneSource, own: OwnGolden, width: int) -> OwnResult:
    with _as_wide_as(session, width):
        scorer = _score(session, own, width)
    distance = scorer.distance()
    return OwnResult(distance=distance, rows=len(own.golden.rows), fault=_fault(scorer, own, width))


@contextmanager
def _as_wide_as(session: LaneSource, width: int) -> Iterator[None]:
    """Let steps of `width` tokens run as they are asked for: lanes cut what is wider than a prompt's steps may be."""
    before = session.prefill_chunk
    session.prefill_chunk = max(before, width)
    try:
        yield
    finally:
        session.prefill_chunk = before


def _score(session: LaneSource, own: OwnGolden, width: int, run: Run = one_by_one) -> OwnScorer:
    scorer = OwnScorer(own.golden)

    def spans(_: Golden) -> Iterable[Span]:
        return own_steps(own, width, several=session.several_tokens_over_past)

    for _, at, found in stepped_rows(session, [own.golden], spans, run):
        scorer.add(at, found)
    return scorer


def _fault(scorer: OwnScorer, own: OwnGolden, width: int) -> str | None:
    """What is wrong, in words: each kind of step is held by itself, so that right ones dilute no wrong one."""
    most = FLOOR + SPREADS * own.spread.error
    diverged = max(DIVERGED, SPREADS**2 * own.spread.divergence)
    for name, rows in _kinds(own, width):
        found = scorer.distance(rows)
        if found.error > most:
            return f"its logits differ by {found.error:.2%} from the graph's own in {name}, expected at most {most:.2%}"
        if found.divergence > diverged:
            return (
                f"its likeliest tokens diverge {found.divergence:.2g} nats from the graph's own in {name}, expected at "
                f"most {diverged:.2g}"
            )
    return None


def _kinds(own: OwnGolden, width: int) -> Sequence[tuple[str, slice]]:
    """Each kind of step that has rows, in words, and which rows these are."""
    ends = [own.prefilled, own.prefilled + own.continued, len(own.golden.ids)]
    names = [
        f"steps of {min(width, own.prefilled)} tokens",
        f"{own.continued} tokens over {own.prefilled}",
        "single tokens",
    ]
    first, kinds = 0, []
    for name, end in zip(names, ends, strict=True):
        last = int((own.golden.rows < end).sum())
        if last > first:
            kinds.append((name, slice(first, last)))
        first = last
    return kinds
