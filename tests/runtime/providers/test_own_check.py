"""A graph is held against what it gave itself: small errors are told from rounding, and wide steps from narrow ones."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from thinkport.runtime.artifact.goldens import Distance, Golden, OwnGolden
from thinkport.runtime.engine.kv_cache import KvSize, KvSnapshot
from thinkport.runtime.engine.session import Ids, Logits
from thinkport.runtime.providers.own_check import NARROW, WIDEST, check_own, own_steps, shortened, whole

VOCABULARY, TOKENS = 300, 272
RANDOM = np.random.default_rng(7)
MODEL = RANDOM.standard_normal((VOCABULARY, VOCABULARY)).astype(np.float32) * 3
NOISE = RANDOM.standard_normal((VOCABULARY, VOCABULARY)).astype(np.float32) * 3
Fault = Callable[[int, int], float]
"""How much noise is in the logits of steps of so many tokens over so many."""


class FakeSession:
    """Its logits after a token are a row of a matrix, with as much noise as `fault` says."""

    context_length, ragged_batches, kv_layout, vocab_size, batch = 1000, True, "none", VOCABULARY, 1
    kv_size = KvSize(token=1, in_place=True, context=1000)
    exact_steps = False
    lost: str | None = None

    def __init__(self, fault: Fault = lambda *_: 0.0, *, chunk: int = 128, several: bool = True):
        self.fault, self.prefill_chunk, self.several_tokens_over_past = fault, chunk, several
        self.length, self.taken = 0, list[int]()

    def open_lane(self, batch: int = 1) -> "FakeSession":
        self.length = 0
        return self

    def step(self, ids: Ids, lengths: Ids | None = None, keep: int = 1) -> Logits:
        whole = not self.several_tokens_over_past or ids.shape[1] <= self.prefill_chunk
        assert whole, "a lane would cut this step, and nothing be known of one so wide"
        self.taken.append(ids.shape[1])
        logits = MODEL[ids] + np.float32(self.fault(ids.shape[1], self.length)) * NOISE[ids]
        self.length += ids.shape[1]
        return np.asarray(logits[:, -keep:], np.float32)

    def expect(self, tokens: int) -> None:
        pass

    def trim(self, length: int) -> None:
        raise AssertionError("nothing is to be forgotten")

    def read(self, length: int) -> KvSnapshot:
        raise AssertionError("nothing is to be copied")

    def write(self, snapshot: KvSnapshot) -> None:
        raise AssertionError("nothing is to be copied")


def own_golden(spread: float = 0.0) -> OwnGolden:
    ids = RANDOM.integers(0, VOCABULARY, TOKENS)
    rows = np.array([*range(50, 76, 3), *range(180, TOKENS, 3)])
    logits = MODEL[ids[rows]]
    logprobs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    top, sample = np.argsort(-logits, 1)[:, :16], np.arange(0, VOCABULARY, 5)
    golden = Golden(
        name="12-long",
        ids=ids,
        rows=rows,
        top_ids=top,
        top_logprobs=np.take_along_axis(logprobs, top, 1),
        sample_ids=sample,
        sample_logits=logits[:, sample],
    )
    rounding = Distance(spread, 0.0)
    return OwnGolden(golden=golden, prefilled=200, continued=40, spread=rounding, float_spread=rounding)


def test_a_right_graph_is_right_in_its_own_steps() -> None:
    session = FakeSession()
    found = check_own(session, own_golden(), 128)
    assert (found.fault, found.widest, found.narrowed) == (None, 128, None)
    assert session.taken == [128, 72, 40, *[1] * 32]
    assert found.distance.error < 1e-6


def test_a_thousandth_of_noise_is_a_fault_in_float32_and_none_where_the_graph_rounds_so() -> None:
    noisy = FakeSession(lambda *_: 1e-3)
    assert "its logits differ by 0." in (check_own(noisy, own_golden(), 128).fault or "")
    assert check_own(noisy, own_golden(spread=5e-4), 128).fault is None


def test_a_device_whose_wide_steps_are_wrong_is_used_with_narrow_ones() -> None:
    session = FakeSession(lambda tokens, _: 0.06 * (tokens > NARROW))
    found = check_own(session, own_golden(), 128)
    assert (found.fault, found.widest) == (None, NARROW)
    assert found.narrowed == "steps of 128 tokens are wrong here"
    assert max(session.taken[35:]) == NARROW


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda tokens, past: past >= 240, "single tokens"),
        (lambda tokens, past: past >= 200 and tokens > 1, "40 tokens over 200"),
        (lambda tokens, past: past < 200, "steps of 31 tokens"),
    ],
)
def test_each_kind_of_step_is_held_by_itself(wrong: Fault, words: str) -> None:
    session = FakeSession(lambda tokens, past: 1e-3 * wrong(tokens, past), chunk=31)
    assert words in (check_own(session, own_golden(), 31).fault or "")


def test_wide_steps_that_are_only_wrong_over_a_past_are_narrowed_too() -> None:
    session = FakeSession(lambda tokens, past: 0.05 * (past >= 200 and tokens > NARROW))
    assert check_own(session, own_golden(), 128).widest == NARROW


def test_a_device_is_allowed_no_wider_steps_than_it_was_seen_right_with() -> None:
    proved = check_own(FakeSession(chunk=31), own_golden(), 512)
    assert (proved.fault, proved.widest) == (None, WIDEST)
    assert check_own(FakeSession(chunk=2048), own_golden(), 2048).widest == 2048  # nothing is known against them
    disproved = check_own(FakeSession(lambda tokens, _: 0.06 * (tokens > NARROW), chunk=31), own_golden(), 512)
    assert (disproved.fault, disproved.widest) == (None, NARROW)


def test_a_graph_of_one_wide_step_is_not_narrowed() -> None:
    session = FakeSession(several=False)
    assert (check_own(session, own_golden(), 1).widest, session.taken) == (None, [200, *[1] * 72])
    wrong = check_own(FakeSession(lambda tokens, _: 0.06 * (tokens > NARROW), several=False), own_golden(), 1)
    assert "steps of 200 tokens" in (wrong.fault or "")


def test_logits_that_are_not_numbers_are_a_fault() -> None:
    assert check_own(FakeSession(lambda *_: np.nan), own_golden(), 128).fault is not None


def test_one_row_that_chooses_otherwise_is_told_by_its_divergence() -> None:
    own = own_golden(spread=1)
    wrong = own.golden.top_logprobs.copy()
    wrong[-1] = np.roll(wrong[-1], 1)
    result = check_own(FakeSession(), replace(own, golden=replace(own.golden, top_logprobs=wrong)), 128)
    assert "likeliest tokens diverge" in (result.fault or "")


def test_the_brief_check_has_all_three_kinds_of_steps() -> None:
    session = FakeSession()
    assert check_own(session, own_golden(), 128, brief=True).fault is None
    assert session.taken == [64, 8, 1, 1, 1, 1]


@pytest.mark.parametrize("width", [1, 31, 128])
@pytest.mark.parametrize("several", [True, False])
def test_every_token_is_run_once_in_order(width: int, several: bool) -> None:
    for own in (own_golden(), shortened(own_golden()), whole(own_golden())):
        found = list(own_steps(own, width if several else own.prefilled, several=several))
        assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
        assert found[-1][1] == len(own.golden.ids)
