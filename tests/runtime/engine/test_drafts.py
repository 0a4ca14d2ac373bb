"""Guessing ahead: the same tokens by the same draws, in fewer steps, over a cache that never keeps a wrong guess."""

from collections import Counter, deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.engine.draft_policy import DraftPolicy
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.engine.prompt_lookup import PromptLookup
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings

PERIOD = 7


class Always(DraftPolicy):
    """Guesses so many tokens wherever anything matches."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def drafts(self, matched, most):
        return min(self.size, most) if matched else 0

    def ran(self, drafted, accepted, seconds):
        """Nothing is learned."""


def repeating(ids):
    """Counts to PERIOD over and over, and leaves the row at each third round."""
    return 50 if len(ids) % (3 * PERIOD) == 0 else len(ids) % PERIOD


def blurred(session, spread=4):
    """The session, with logits that leave several tokens nearly as likely as the likeliest."""
    open_lane = session.open_lane

    def open_blurred(batch=1):
        lane = open_lane(batch)
        step = lane.step
        lane.step = lambda *a, **k: blur(step(*a, **k), spread)
        return lane

    session.open_lane = open_blurred
    return session


def blur(logits, spread):
    return sum(np.roll(logits, shift, axis=-1) * (1 - 0.05 * shift) for shift in range(spread))


def reply(session, *, size=4, drafts=True, seed=1, temperature=0.5, prompt=range(30), sampler=None, **options):
    engine = Engine(session, policy=Always(size))
    sampler = sampler or Sampler(SamplingSettings(temperature=temperature, presence_penalty=0.5), seed=seed)
    said = engine.generate(list(prompt), sampler, drafts=drafts, **{"max_tokens": 60, **options})
    tokens = list(said)
    return said, tokens


@given(st.integers(0, 2**32), st.integers(1, 15), st.sampled_from([0.0, 0.4, 1.5]))
def test_drafts_change_no_token_whatever_the_draws(new_session, seed, size, temperature) -> None:
    options = {"seed": seed, "temperature": temperature, "prompt": [at % PERIOD for at in range(30)]}
    _, plain = reply(blurred(new_session(repeating)), drafts=False, **options)
    assert reply(blurred(new_session(repeating)), size=size, **options)[1] == plain


def test_what_repeats_takes_fewer_steps_and_is_counted(new_session) -> None:
    session = new_session(lambda ids: len(ids) % PERIOD)
    said, tokens = reply(session, temperature=0, sampler=Sampler(SamplingSettings(temperature=0)))
    assert len(tokens) == 60
    assert len(session.steps) < 30
    assert 40 < said.accepted <= said.drafted


@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([set(), {3}, {50}]))
def test_the_cache_holds_the_reply_and_no_wrong_guess(new_session, seed, limit, stops) -> None:
    prompt = [at % PERIOD for at in range(30)]
    session = blurred(new_session(repeating))
    said, tokens = reply(session, seed=seed, prompt=prompt, stop_ids=stops, max_tokens=limit)
    whole = prompt + [token.id for token in tokens]
    held = said._loop.use._uses.held
    assert held.ids in (whole, whole[:-1])
    assert held.lane.rows == [held.ids]


def test_no_more_is_guessed_than_the_reply_may_have(new_session) -> None:
    session = new_session(lambda ids: len(ids) % PERIOD, context_length=40)
    said, tokens = reply(session, size=15, temperature=0, prompt=[at % PERIOD for at in range(30)], max_tokens=None)
    assert (len(tokens), tokens[-1].finish) == (10, Finish.CONTEXT)
    assert said._loop.use._uses.held.lane.length <= 40


def test_forced_ids_in_the_middle_of_a_guess_take_its_place(new_session) -> None:
    def run(drafts):
        engine, forced, came = Engine(new_session(repeating), policy=Always(6)), deque[int](), []
        sampler = Sampler(SamplingSettings(temperature=0))
        prompt = [at % PERIOD for at in range(30)]
        for token in engine.generate(prompt, sampler, drafts=drafts, forced=forced, max_tokens=40):
            came.append(token)
            if len(came) == 8:
                forced.extend([100, 101])
        return came

    assert run(True) == run(False)
    assert [token.id for token in run(True)][8:10] == [100, 101]


def test_cancelling_in_the_middle_of_a_guess_ends_the_reply_at_its_next_token(new_session) -> None:
    engine, came = Engine(new_session(lambda ids: len(ids) % PERIOD), policy=Always(6)), []
    prompt = [at % PERIOD for at in range(30)]
    tokens = engine.generate(prompt, Sampler(SamplingSettings(temperature=0)), drafts=True)
    for token in tokens:
        came.append(token.id)
        if len(came) == 3:
            tokens.cancel()
    assert came[3:] == [None]
    assert engine.ids == (prompt + came[:3])[: len(engine.ids)]


def test_a_graph_without_several_tokens_over_a_past_guesses_nothing(new_session) -> None:
    session = new_session(lambda ids: len(ids) % PERIOD, several_tokens_over_past=False)
    said, _ = reply(session, temperature=0)
    assert said.drafted == 0
    assert set(session.steps[1:]) == {1}


def test_the_distribution_is_that_of_plain_sampling(new_session) -> None:
    """Chi-squared over pairs of tokens, where guesses are right about half of the time; fresh draws each run."""

    def pairs(drafts):
        found = Counter[tuple[int, int]]()
        engine = Engine(blurred(new_session(lambda ids: ids[-1] % 2), 3), policy=Always(3))
        for _ in range(60):
            sampler = Sampler(SamplingSettings(temperature=0.7))
            tokens = list(engine.generate([0, 1, 0, 1, 0], sampler, drafts=drafts, max_tokens=60))
            ids = [token.id for token in tokens]
            found.update(zip(ids[::2], ids[1::2], strict=True))  # type: ignore[arg-type]  # none was cancelled
        return found

    plain, drafted = pairs(False), pairs(True)
    kinds = [pair for pair in plain | drafted if plain[pair] + drafted[pair] >= 20]
    statistic = sum((plain[k] - drafted[k]) ** 2 / (plain[k] + drafted[k]) for k in kinds)
    freedom = len(kinds) - 1
    assert freedom > 5
    assert statistic < freedom + 6 * np.sqrt(2 * freedom)  # six sigma: a right program fails once in many thousands


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.integers(1, 12), st.integers(0, 80))
def test_a_guess_goes_on_as_the_longest_earlier_match_did(ids, most, split) -> None:
    lookup = PromptLookup(ids[:split])
    for token in ids[split:]:
        lookup.append(token)
    guess = lookup.guess(most)
    earlier = {tuple(ids[at : at + 2]) for at in range(len(ids) - 2)}
    assert bool(guess) == (tuple(ids[-2:]) in earlier and len(ids) > 2)
    if guess:
        assert len(guess) == most
        context = [*ids[-2:], guess[0]]
        assert any(ids[at : at + 3] == context for at in range(len(ids) - 2))


def test_a_guess_that_runs_into_the_end_repeats_itself() -> None:
    assert PromptLookup([1, 2, 3, 1, 2, 3, 1, 2]).guess(7) == [3, 1, 2, 3, 1, 2, 3]


def replay(policy, cost, rate, tokens=2000, matched=6, seed=0):
    """Seconds that a made-up reply takes: `cost(size)` a step, guesses right with probability `rate`."""
    random, seconds, count = np.random.default_rng(seed), 0.0, 0
    while count < tokens:
        drafted = policy.drafts(matched, 40)
        right = random.random(drafted) < rate
        accepted = int(np.argmin([*right, False]))
        for at in range(min(accepted + 1, drafted) or 1):
            policy.guessed(matched, bool(right[at]) if drafted else bool(random.random() < rate))
        policy.ran(drafted, accepted, cost(drafted + 1))
        seconds += cost(drafted + 1)
        count += accepted + 1
    return seconds / count


COSTS = {
    "AVX2": {1: 1, 2: 1.24, 4: 2.0, 8: 3.66, 16: 7.0}.__getitem__,
    "AVX-512": {1: 1, 2: 1.24, 4: 1.76, 8: 2.76, 16: 4.9}.__getitem__,
    "no gain": float,
}


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("machine", COSTS)
def test_guesses_that_fail_or_steps_that_cost_too_much_lose_less_than_three_percent(machine, rate) -> None:
    assert replay(DraftPolicy(), COSTS[machine], rate, seed=None) < 1.03


@pytest.mark.parametrize(("machine", "gain"), [("AVX2", 1.8), ("AVX-512", 2.2)])
def test_copying_is_worth_what_the_machine_allows(machine, gain) -> None:
    assert replay(DraftPolicy(), COSTS[machine], 0.99, matched=40) < 1 / gain


def test_guessing_switches_itself_off_and_comes_back_when_it_pays() -> None:
    policy = DraftPolicy()
    replay(policy, COSTS["AVX2"], 0.0)
    assert policy.drafts(6, 40) == 0
    replay(policy, COSTS["AVX2"], 1.0, tokens=400)
    assert policy.drafts(6, 40) > 0


def test_nothing_is_guessed_before_a_plain_step_was_timed() -> None:
    assert DraftPolicy().drafts(100, 40) == 0
