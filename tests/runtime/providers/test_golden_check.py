"""A graph is held against goldens both ways it runs, and a wrong one is told from one that only rounds otherwise."""

from dataclasses import replace

import numpy as np
import pytest

from thinkport.runtime.artifact.goldens import Golden
from thinkport.runtime.engine.kv_cache import KvSize, KvSnapshot
from thinkport.runtime.engine.session import Ids, Logits
from thinkport.runtime.providers.golden_check import (
    CHUNK,
    DECODED,
    QUICK_PROMPTS,
    QUICK_TOKENS,
    check_goldens,
    correlation,
    golden_rows,
    quick,
    score,
    steps,
)

VOCABULARY = 300
MODEL = np.random.default_rng().standard_normal((VOCABULARY, VOCABULARY)).astype(np.float32) * 3


class FakeSession:
    """Its logits after a token are a row of a matrix; remembers how many tokens every step had."""

    context_length, prefill_chunk, ragged_batches, kv_layout = 1000, 128, True, "none"
    vocab_size, batch, length = VOCABULARY, 1, 0
    kv_size = KvSize(token=1, in_place=True, context=1000)
    exact_steps = False
    lost: str | None = None

    def __init__(self, weights: Logits = MODEL, *, several_tokens_over_past: bool = True):
        self.weights, self.several_tokens_over_past = weights, several_tokens_over_past
        self.taken: list[int] = []

    def open_lane(self, batch: int = 1) -> "FakeSession":
        return self

    def step(self, ids: Ids, lengths: Ids | None = None, keep: int = 1) -> Logits:
        self.taken.append(ids.shape[1])
        return self.weights[ids][:, -keep:]

    def expect(self, tokens: int) -> None:
        pass

    def trim(self, length: int) -> None:
        raise AssertionError("nothing is to be forgotten")

    def read(self, length: int) -> KvSnapshot:
        raise AssertionError("nothing is to be copied")

    def write(self, snapshot: KvSnapshot) -> None:
        raise AssertionError("nothing is to be copied")


def golden_of(tokens: int, weights: Logits = MODEL) -> Golden:
    ids = np.random.default_rng().integers(0, VOCABULARY, tokens)
    logits = weights[ids]
    logprobs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    top, sample = np.argsort(-logits, 1)[:, :16], np.arange(0, VOCABULARY, 5)
    return Golden(
        name="00-any",
        ids=ids,
        rows=np.arange(tokens),
        top_ids=top,
        top_logprobs=np.take_along_axis(logprobs, top, 1),
        sample_ids=sample,
        sample_logits=logits[:, sample],
    )


def noisy(scale: float) -> FakeSession:
    return FakeSession(MODEL + scale * np.random.default_rng().standard_normal(MODEL.shape).astype(np.float32))


@pytest.mark.parametrize("tokens", [1, 2, DECODED, DECODED + 1, 25, 48])
def test_every_token_is_run_once_in_order(tokens: int) -> None:
    found = list(steps(tokens, CHUNK))
    assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
    assert found[-1][1] == tokens


@pytest.mark.parametrize(("several", "taken"), [(True, [16, 16, 4]), (False, [36])])
def test_a_prompt_is_prefilled_the_way_the_graph_takes_and_then_decoded(several: bool, taken: list[int]) -> None:
    session = FakeSession(several_tokens_over_past=several)
    list(golden_rows(session, [golden_of(40)]))
    assert session.taken == [*taken, *[1] * DECODED]


@pytest.mark.parametrize("rows", [[39], [0], [3, 17, 30, 37, 39], list(range(40))])
def test_the_rows_that_were_asked_for_come_in_order(rows: list[int]) -> None:
    goldens = [replace(golden_of(40), name=name, rows=np.array(rows)) for name in ("first", "second")]
    found = [(golden.name, at, row.copy()) for golden, at, row in golden_rows(FakeSession(), goldens)]
    assert [(name, at) for name, at, _ in found] == [(golden.name, at) for golden in goldens for at in range(len(rows))]
    np.testing.assert_array_equal(
        [row for *_, row in found], MODEL[[golden.ids[rows] for golden in goldens]].reshape(-1, VOCABULARY)
    )


def test_the_checkpoints_own_logits_score_full_marks() -> None:
    found = score(FakeSession(), [golden_of(30), golden_of(7)])
    assert (found.rows, found.top1) == (37, 1)
    assert found.correlation == pytest.approx(1)
    assert found.kl == pytest.approx(0, abs=1e-5)


def test_a_rounded_graph_meets_what_it_scored_at_export() -> None:
    golden = golden_of(60)
    recorded = score(noisy(0.5), [golden])
    assert recorded.correlation < 0.99
    assert check_goldens(noisy(0.5), [golden], recorded).fault is None


@pytest.mark.parametrize("recorded", [True, False])
def test_a_graph_that_computes_something_else_is_told(recorded: bool) -> None:
    golden = golden_of(60)
    before = score(noisy(0.5), [golden]) if recorded else None
    other = FakeSession(np.random.default_rng().permutation(MODEL))
    result = check_goldens(other, [golden], before)
    assert result.fault is not None
    assert "logits correlate" in result.fault


def test_a_graph_whose_likeliest_tokens_are_others_is_told() -> None:
    golden = golden_of(60)
    sharpened = MODEL.copy()
    sharpened[np.arange(VOCABULARY), MODEL.argmax(1)] -= 6
    result = check_goldens(FakeSession(sharpened), [golden], score(FakeSession(), [golden]))
    assert result.fault is not None
    assert "nats" in result.fault


def test_logits_that_are_not_numbers_are_a_fault() -> None:
    golden = golden_of(20)
    broken = MODEL.copy()
    broken[golden.ids[11]] = np.nan
    assert not check_goldens(FakeSession(broken), [golden], None).right


def test_flat_logits_correlate_with_flat_ones_only() -> None:
    flat, slope = np.full(9, 4, np.float32), np.arange(9, dtype=np.float32)
    assert correlation(flat, flat * 0) == 1
    assert correlation(flat, slope) == correlation(slope, flat) == 0
    assert correlation(slope, 1 - slope) == pytest.approx(-1)


def test_the_quick_check_takes_a_few_short_prompts() -> None:
    goldens = [golden_of(tokens) for tokens in [QUICK_TOKENS + 1, 5, 6, 7, 8, 9, 10]]
    assert [len(golden.ids) for golden in quick(goldens)] == [5, 6, 7, 8]
    assert len(quick(goldens[2:3])) == 1 < QUICK_PROMPTS
