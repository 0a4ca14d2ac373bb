"""The token loop over a made-up model whose every logit depends on every id before it."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.generation import Finish, Origin
from thinkport.runtime.engine.held_sequence import common_prefix
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings
from thinkport.runtime.errors import InputError

GREEDY = SamplingSettings(temperature=0)
PROMPT = list(range(20))


def run(engine, prompt=PROMPT, **options):
    return list(engine.generate(prompt, Sampler(GREEDY), **{"max_tokens": 5, **options}))


def ids_of(tokens):
    return [token.id for token in tokens]


def test_a_prompt_is_prefilled_in_pieces_and_each_token_takes_one_step(new_session) -> None:
    session = new_session()
    tokens = run(Engine(session))
    assert session.steps == [8, 8, 4, 1, 1, 1, 1]
    assert [token.finish for token in tokens] == [None] * 4 + [Finish.LENGTH]


def test_a_reply_is_the_one_that_the_model_gives_token_by_token(new_session) -> None:
    session, ids = new_session(), list(PROMPT)
    for _ in range(5):
        ids.append(session.next_id(ids) % session.vocab_size)
    assert ids_of(run(Engine(session))) == ids[len(PROMPT) :]


def test_a_stop_id_ends_the_reply_and_is_its_last_token(new_session) -> None:
    third = ids_of(run(Engine(new_session())))[2]
    tokens = run(Engine(new_session()), stop_ids={third})
    assert (len(tokens), tokens[-1].id, tokens[-1].finish) == (3, third, Finish.STOP)


def test_the_context_ends_a_reply_without_a_limit(new_session) -> None:
    tokens = run(Engine(new_session(context_length=24)), max_tokens=None)
    assert (len(tokens), tokens[-1].finish) == (4, Finish.CONTEXT)


def test_forced_ids_come_next_are_marked_and_change_what_follows(new_session) -> None:
    session, forced = new_session(), deque[int]()
    tokens = []
    for token in Engine(session).generate(PROMPT, Sampler(GREEDY), max_tokens=6, forced=forced, stop_ids={101}):
        tokens.append(token)
        if len(tokens) == 2:
            forced.extend([100, 101, 102])
    assert ids_of(tokens)[2:5] == [100, 101, 102]
    assert [token.origin for token in tokens] == [Origin.SAMPLED] * 2 + [Origin.FORCED] * 3 + [Origin.SAMPLED]
    assert tokens[5].id == session.next_id(PROMPT + ids_of(tokens)[:5]) % session.vocab_size
    assert session.steps[-1] == 4, "forced ids and the one before them are fed in one step"


def test_cancelling_ends_a_reply_before_its_next_token(new_session) -> None:
    engine = Engine(new_session())
    tokens = []
    reply = engine.generate(PROMPT, Sampler(GREEDY))
    for token in reply:
        tokens.append(token)
        if len(tokens) == 2:
            reply.cancel()
    assert [token.finish for token in tokens] == [None, None, Finish.CANCELLED]
    assert tokens[-1].id is None


def test_cancelling_ends_a_long_prompt_between_two_pieces(new_session) -> None:
    session = new_session()
    engine = Engine(session)
    reply = engine.generate(PROMPT, Sampler(GREEDY))
    reply.cancel()
    assert [token.finish for token in reply] == [Finish.CANCELLED]
    assert session.steps == []


def test_an_engine_whose_reply_was_cancelled_runs_again(new_session) -> None:
    engine = Engine(new_session())
    engine.generate(PROMPT, Sampler(GREEDY)).cancel()
    assert ids_of(run(engine)) == ids_of(run(Engine(new_session())))


@pytest.mark.parametrize(
    "use", [lambda engine: run(engine, [7, 8]), lambda engine: engine.logits([[7]]), lambda engine: engine.reset()]
)
@pytest.mark.parametrize("read", [0, 2], ids=["not yet read", "half read"])
def test_a_reply_does_not_go_on_over_what_another_use_left_in_the_cache(new_session, use, read) -> None:
    engine = Engine(new_session())
    reply = engine.generate(PROMPT, Sampler(GREEDY))
    for _ in range(read):
        next(reply)
    use(engine)
    with pytest.raises(InputError, match="end one reply first"):
        next(reply)


def test_what_a_prompt_shares_with_the_cache_is_not_run_again(new_session) -> None:
    session = new_session()
    engine = Engine(session)
    reply = ids_of(run(engine))
    session.steps.clear()
    again = engine.generate(PROMPT + reply[:3] + [200, 201], Sampler(GREEDY), max_tokens=1)
    list(again)
    assert (again.reused, session.steps) == (23, [2])


def test_the_same_prompt_again_runs_its_last_token_only(new_session) -> None:
    session = new_session()
    engine = Engine(session)
    first = run(engine)
    session.steps.clear()
    assert run(engine) == first
    assert session.steps[0] == 1


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=30), min_size=1, max_size=6), st.booleans())
def test_any_order_of_prompts_gives_what_a_fresh_engine_gives(new_session, prompts, several) -> None:
    engine = Engine(new_session(several_tokens_over_past=several))
    for prompt in prompts:
        assert run(engine, prompt, max_tokens=3) == run(Engine(new_session()), prompt, max_tokens=3)


def test_a_graph_without_several_tokens_over_a_past_gets_all_at_once_or_one_by_one(new_session) -> None:
    session = new_session(several_tokens_over_past=False)
    engine = Engine(session)
    run(engine, max_tokens=1)
    run(engine, [*PROMPT, 1, 2, 3], max_tokens=1)
    assert session.steps == [20, 1, 1, 1]


@pytest.mark.parametrize(
    ("prompt", "forced", "steps"),
    [
        (20, 16, [39]),  # at once: 20 of the prompt, 3 drawn ones, 16 forced
        (20, 15, [1] * 16),  # few
        (253, 16, [272]),  # 16 times the 17 that are missing
        (254, 16, [1] * 17),
    ],
)
def test_many_forced_ids_over_a_short_past_are_run_at_once_where_a_graph_takes_one_at_a_time(
    new_session, prompt, forced, steps
) -> None:
    def forced_after_three(session) -> list[int]:
        queue, engine, tokens = deque[int](), Engine(session), []
        for token in engine.generate([*range(prompt)], Sampler(GREEDY), max_tokens=forced + 6, forced=queue):
            tokens.append(token)
            if len(tokens) == 3:
                queue.extend(range(forced))
        assert engine.ids == [*range(prompt), *ids_of(tokens)[:-1]]
        return ids_of(tokens)

    session = new_session(several_tokens_over_past=False)
    assert forced_after_three(session) == forced_after_three(new_session())
    assert session.steps == [prompt, 1, 1, *steps, 1, 1]


def test_logits_of_rows_of_unequal_lengths_are_those_of_the_rows_alone(new_session) -> None:
    ids = np.array([[5, 6, 7, 8], [9, 10, 0, 0]])
    batched = Engine(new_session()).logits(ids, lengths=[4, 2], keep=2)
    alone = [Engine(new_session()).logits(row[None], keep=2)[0] for row in (ids[0], ids[1, :2])]
    assert np.array_equal(batched, np.stack(alone))


def test_a_right_padded_mask_says_the_same_as_lengths(new_session) -> None:
    ids, mask = np.array([[5, 6, 7], [9, 0, 0]]), np.array([[1, 1, 1], [1, 0, 0]])
    by_mask = Engine(new_session()).logits(ids, attention_mask=mask)
    assert np.array_equal(by_mask, Engine(new_session()).logits(ids, lengths=[3, 1]))


def test_a_batch_goes_on_a_token_a_row(new_session) -> None:
    engine = Engine(new_session())
    engine.logits([[5, 6, 7], [9, 0, 0]], lengths=[3, 1])
    assert np.array_equal(engine.logits([[1], [2]])[1], Engine(new_session()).logits([[9, 2]])[0])


def test_logits_belong_to_the_caller(new_session) -> None:
    engine = Engine(new_session())
    first = engine.logits([[1]])
    kept = first.copy()
    engine.logits([[2]])
    assert np.array_equal(first, kept)


@pytest.mark.parametrize(
    ("prompt", "options", "says"),
    [
        ([], {}, "empty"),
        ([1, 300], {}, "id 300 is outside the vocabulary of 300"),
        ([-1], {}, "id -1 is outside"),
        ([1] * 4096, {}, "4096 tokens, the model's maximum context length is 4096"),
        ([0.5], {}, "whole numbers"),
        ([1], {"max_tokens": 0}, "max_tokens is 0"),
    ],
)
def test_a_prompt_that_cannot_run_is_refused_on_the_call(new_session, prompt, options, says) -> None:
    with pytest.raises(InputError, match=says):
        Engine(new_session()).generate(prompt, Sampler(GREEDY), **options)


@pytest.mark.parametrize(
    ("ids", "options", "says"),
    [
        ([1, 2], {}, "expected \\(batch, sequence\\)"),
        ([[1, 2]], {"attention_mask": [[0, 1]]}, "left padding"),
        ([[1, 2]], {"attention_mask": [[1]]}, "expected \\(1, 2\\)"),
        ([[1, 2]], {"attention_mask": [[1, 1]], "lengths": [2]}, "leave one out"),
        ([[1, 2]], {"lengths": [3]}, "expected 1 numbers from 1 to 2"),
        ([[1, 2]], {"keep": 3}, "keep is 3"),
        ([[1, 2]], {"lengths": [1], "keep": 2}, "keep is 2"),
        ([[300]], {}, "outside the vocabulary"),
        ([[1] * 4097], {}, "context is 4096"),
    ],
)
def test_a_batch_that_cannot_run_is_refused(new_session, ids, options, says) -> None:
    with pytest.raises(InputError, match=says):
        Engine(new_session()).logits(ids, **options)


@pytest.mark.parametrize(
    ("ids", "options", "says"),
    [
        ([[1, 2], [3, 4]], {}, "several|batched past"),
        ([[1], [2], [3]], {}, "3 rows over a KV cache of 2"),
    ],
)
def test_a_batched_past_takes_one_token_a_row(new_session, ids, options, says) -> None:
    engine = Engine(new_session())
    engine.logits([[1, 2], [3, 4]])
    with pytest.raises(InputError, match=says):
        engine.logits(ids, **options)
    engine.reset()
    assert engine.logits(ids).shape == (len(ids), 1, 300)


def test_padding_over_a_past_is_refused(new_session) -> None:
    engine = Engine(new_session())
    engine.logits([[1, 2]])
    with pytest.raises(InputError, match="non-empty KV cache"):
        engine.logits([[1, 2]], lengths=[1])


def test_a_common_prefix_ends_at_the_first_difference() -> None:
    assert common_prefix([1, 2, 3], [1, 2, 4, 5]) == 2
    assert common_prefix([1, 2], [1, 2, 3]) == 2
    assert common_prefix([], [1]) == 0
