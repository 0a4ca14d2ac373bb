"""Fixed steps: what is run for a prompt does not depend on what was held before."""

from itertools import product

import pytest

from thinkport.runtime import Engine, Sampler, SamplingSettings
from thinkport.runtime.engine.prefix_cache import PrefixCache

GREEDY = SamplingSettings(temperature=0)
START = list(range(1, 60))
CHUNK = 8  # of the made-up session


def last_steps(session, engine, prompt, **options) -> list[tuple[int, int]]:
    """The steps of a reply of one token: (where it began, its width)."""
    session.steps.clear()
    reply = engine.generate(prompt, Sampler(GREEDY), max_tokens=1, **options)
    list(reply)
    at, found = reply.reused, []
    for width in session.steps:
        found.append((at, width))
        at += width
    return found


def histories():
    """What may have been held before a prompt: nothing, a start of it, another end, and a reply to a start."""
    return {
        "nothing": [],
        "an unaligned start": [START[:13]],
        "an aligned start": [START[:16]],
        "another end": [[*START[:21], 7, 7, 7]],
        "the prompt": [START],
        "two of them": [START[:30], [*START[:9], 3]],
    }


@pytest.mark.parametrize("name", histories())
@pytest.mark.parametrize("said", [1, 20])
def test_every_step_of_a_prompt_begins_at_a_multiple_of_its_width(new_session, name, said) -> None:
    session = new_session()
    engine = Engine(session, deterministic=True)
    for prompt in histories()[name]:
        list(engine.generate(prompt, Sampler(GREEDY), max_tokens=said))
    steps = last_steps(session, engine, START)
    assert all(at % CHUNK == 0 for at, _ in steps)
    assert [width for _, width in steps[:-1]] == [CHUNK] * (len(steps) - 1)
    assert steps[-1] == (56, 3), "the rest is run in one step"


def test_what_fixed_steps_ran_is_kept_and_what_a_reply_ran_is_not(new_session) -> None:
    session = new_session()
    engine = Engine(session, deterministic=True)
    list(engine.generate(START, Sampler(GREEDY), max_tokens=10))
    reply = engine.generate([*START, 9, 9], Sampler(GREEDY), max_tokens=1)
    list(reply)
    assert reply.reused == 56
    longer = engine.generate([*engine.ids, 9], Sampler(GREEDY), max_tokens=1)
    list(longer)
    assert longer.reused == 56


@pytest.mark.parametrize("shareable", [5, 16, 21])
def test_a_shared_start_is_kept_in_whole_steps(new_session, shareable) -> None:
    session, prefixes = new_session(), PrefixCache(1 << 20)
    list(
        Engine(session, prefixes, deterministic=True).generate(
            START, Sampler(GREEDY), shareable=shareable, max_tokens=1
        )
    )
    other = Engine(session, prefixes, deterministic=True)
    steps = last_steps(session, other, [*START[:shareable], 250, 251])
    assert all(at % CHUNK == 0 for at, _ in steps)


def test_nothing_is_guessed_ahead_and_exact_steps_lose_nothing(new_session) -> None:
    for exact, prompt in product((False, True), ([1, 2, 3, 4] * 6,)):
        session = new_session(lambda ids: ids[-1] % 4 + 1)
        session.exact_steps = exact
        engine = Engine(session, deterministic=True)
        reply = engine.generate(prompt, Sampler(GREEDY), max_tokens=60, drafts=True)
        list(reply)
        again = engine.generate([*engine.ids, 9], Sampler(GREEDY), max_tokens=1)
        list(again)
        assert exact or not reply.drafted
        assert again.reused == (len(engine.ids) - 1 if exact else 24)


def test_a_graph_of_one_token_over_a_past_runs_each_prompt_whole(new_session) -> None:
    session = new_session(several_tokens_over_past=False)
    engine = Engine(session, deterministic=True)
    list(engine.generate(START, Sampler(GREEDY), max_tokens=5))
    assert last_steps(session, engine, [*START, 5]) == [(0, 60)]


def test_a_restored_cache_is_computed_again(new_session) -> None:
    session = new_session()
    first, second = Engine(session, deterministic=True), Engine(session, deterministic=True)
    list(first.generate(START, Sampler(GREEDY), max_tokens=5))
    snapshot = first.snapshot()
    assert snapshot is not None
    second.restore(*snapshot)
    assert last_steps(session, second, START)[0] == (0, CHUNK)
