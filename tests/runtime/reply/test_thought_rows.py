"""Several thoughts about one prompt: which of them answers, and that all of them obey the reply's stop.

The fakes draw the first token of a thought among letters that are equally likely; the letter decides what follows.
"""

from threading import Event as Flag
from time import sleep
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.runtime.conftest import FakeLane

from thinkport.runtime import (
    AnswerPiece,
    ArtifactError,
    Choose,
    End,
    Finish,
    InputError,
    JsonSchema,
    Regex,
    RowSettings,
    Sampler,
    Speed,
    Thinking,
    ThinkingEnd,
    ThoughtEnd,
    ThoughtPiece,
    ThoughtsProgress,
)
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.reply.reply_request import ReplyRequest
from thinkport.runtime.reply.thought_rows import ThoughtRow
from thinkport.runtime.server.reply_plan import ReplyPlan

LONG, SHORT, MIDDLE = "a long thought, that says more</think>\n\n5", "b</think>\n\n42", "c and more</think>\n\n42.0"
CALL = 'd<tool_call>\n{"name": "l", "arguments": {}}\n</tool_call>'
LIGHT = {"name": "l", "parameters": {"type": "object", "additionalProperties": False}}


class BranchingLane(FakeLane):
    """A fake lane, several of whose tokens may be as likely; `session.before` hears of each step's ids before it."""

    def step(self, ids, lengths=None, keep=1):
        session: Any = self.session
        session.steps.append(ids.shape[1])
        row = self.rows[0]
        session.before([*row, *map(int, ids[0])])
        logits = np.zeros((1, ids.shape[1], session.vocab_size), np.float32)
        for column in range(ids.shape[1]):
            row.append(int(ids[0, column]))
            logits[0, column, session.next_ids(row)] = 40
        return logits[:, -keep:]


@pytest.fixture
def branching(new_model):
    """Makes a model whose thoughts are one of some texts, which begin with different letters."""

    def make(*texts: str, **options: Any):
        model = new_model(**options)
        encode, stop = model.tokenizer.encode, model.manifest.stop_ids[0]
        begin, replies = encode("<|im_start|>assistant\n<think>"), [[*encode(text), stop] for text in texts]

        def next_ids(held: list[int]) -> list[int]:
            starts = [at + len(begin) for at in range(len(held)) if held[at : at + len(begin)] == begin]
            if not starts:
                return [begin[-1]]
            said = held[starts[-1] :]
            found = [one[len(said)] for one in replies if one[: len(said)] == said and len(one) > len(said)]
            return found or encode("7") if len(said) < 400 else [stop]

        session: Any = model.session
        session.next_ids, session.before = next_ids, lambda ids: None
        session.open_lane = lambda batch=1: BranchingLane(session, batch)
        return model

    return make


def thinking(width: int = 4, **settings: Any) -> Thinking:
    return Thinking(enabled=True, width=width, stop_loops=False, **settings)


def singles(model, seed: int, width: int, **options: Any) -> list[End]:
    return [model.generate("hi", thinking=True, seed=seed + at, **options) for at in range(width)]


def seed_of(model, *letters: str) -> int:
    """A seed with which the rows' thoughts begin with these letters, in this order."""
    session: Any = model.session
    logits, prompt = np.zeros(session.vocab_size, np.float32), model.tokenizer.encode("<|im_start|>assistant\n<think>")
    logits[session.next_ids(prompt)] = 40
    first = ""
    while not first.endswith("".join(letters)):
        sampler = Sampler(model.sampling(None, thinks=True), seed=len(first))
        sampler.start(prompt)
        first += model.tokenizer.decode([sampler.draw(logits.copy())])
    return len(first) - len(letters)


def test_row_i_is_the_reply_with_seed_plus_i(branching):
    model = branching(LONG, SHORT, MIDDLE)
    alone = singles(model, 3, 4)
    assert len({end.thought for end in alone}) > 1
    end = model.generate("hi", thinking=thinking(choose="vote"), seed=3)
    found = [(one.thought, one.answer) for one in end.parallel.others]
    found.insert(end.parallel.chosen, (end.thought, end.answer))
    assert found == [(one.thought, one.answer) for one in alone]


def test_the_prompt_is_run_once(branching):
    model = branching(LONG, SHORT, MIDDLE)
    end = model.generate("hi there " * 40, thinking=thinking(choose="vote"), seed=3, drafts=False)
    written = end.parallel.tokens + end.thought_tokens + end.answer_tokens
    beside = 4 * 5  # of each row: the prompt's last token, the markers and what ends it
    assert 0 < sum(model.session.steps) - end.prompt_tokens - written <= beside < end.prompt_tokens
    assert (end.cached_tokens, end.prefill.tokens) == (0, end.prompt_tokens)


def test_the_shortest_thought_answers_and_the_others_stop(branching):
    model = branching(LONG, SHORT)
    seed = seed_of(model, "a", "b", "a")
    events = list(model.stream("hi", thinking=thinking(3), seed=seed))
    end = events[-1]
    assert (end.thought, end.answer, end.parallel.chosen, end.parallel.choose) == ("b", "42", 1, Choose.FIRST)
    assert end.parallel.reason == "the shortest of 3 thoughts"
    assert [other.answer for other in end.parallel.others] == [None, None]
    assert all("a long thought".startswith(other.thought[:14]) for other in end.parallel.others)
    assert "".join(event.text for event in events if isinstance(event, ThoughtPiece)) == end.thought
    assert "".join(event.text for event in events if isinstance(event, AnswerPiece)) == end.answer
    assert [event.reason for event in events if isinstance(event, ThoughtEnd)] == [ThinkingEnd.NATURAL]
    assert any(isinstance(event, ThoughtsProgress) and len(event.tokens) == 3 for event in events)


def test_a_slow_thread_does_not_lose_to_a_longer_thought(branching):
    model = branching(LONG, SHORT)
    seed, ended = seed_of(model, "a", "b"), Flag()
    short, long = model.tokenizer.encode("<think>b"), model.tokenizer.encode("says more")

    def before(ids: list[int]) -> None:
        if ids[-len(short) :] == short:
            assert ended.wait(20)
        elif ids[-len(long) :] == long:
            ended.set()

    model.session.before = before
    end = model.generate("hi", thinking=thinking(2), seed=seed)
    assert ended.is_set()
    assert (end.thought, end.parallel.chosen) == ("b", 1)


def test_of_equal_thoughts_the_lowest_number_answers(branching):
    model = branching(SHORT)
    for seed in range(5):
        assert model.generate("hi", thinking=thinking(), seed=seed).parallel.chosen == 0


def test_most_answers_win_whatever_their_words(branching):
    model = branching("a</think>\n\n5", "b and more</think>\n\n42", MIDDLE)
    seed = seed_of(model, "a", "b", "c")
    end = model.generate("hi", thinking=thinking(3, choose="vote"), seed=seed)
    assert (end.answer, end.parallel.chosen, end.parallel.agreed, end.parallel.answered) == ("42", 1, 2, 3)
    assert end.parallel.reason == "2 of 3 answers agree"
    assert [other.answer for other in end.parallel.others] == ["5", "42.0"]


def test_votes_of_other_units_are_for_another_answer(branching):
    model = branching("a</think>\n\n15 m", "b more</think>\n\n15 km", "c and more</think>\n\n15 kilometers (in 2024)")
    end = model.generate("hi", thinking=thinking(3, choose="vote"), seed=seed_of(model, "a", "b", "c"))
    assert (end.answer, end.parallel.reason) == ("15 km", "2 of 3 answers agree")


def test_ties_go_to_the_shortest_thought(branching):
    model = branching(LONG, SHORT)
    end = model.generate("hi", thinking=thinking(2, choose="vote"), seed=seed_of(model, "a", "b"))
    assert (end.answer, end.parallel.agreed, end.parallel.answered) == ("42", 1, 2)


def test_a_quorum_of_the_shortest_thoughts_answers(branching):
    model = branching(LONG, SHORT, MIDDLE)
    seed = seed_of(model, "a", "b", "c")
    end = model.generate("hi", thinking=thinking(3, choose="vote", quorum=2), seed=seed)
    assert (end.answer, end.parallel.agreed, end.parallel.answered) == ("42", 2, 2)
    assert [other.answer for other in end.parallel.others] == [None, "42.0"]


@pytest.mark.parametrize(
    "texts", [("a much longer</think>\n\nParis", "b</think>\n\nBerlin"), (LONG, "b</think>\n\n" + CALL[1:])]
)
def test_answers_that_can_not_be_compared_leave_it_to_the_shortest(branching, texts):
    model = branching("a much longer</think>\n\nParis", texts[1])
    seed = seed_of(model, "a", "b")
    end = model.generate("hi", thinking=thinking(2, choose="vote"), seed=seed, tools=[LIGHT])
    assert end.thought == "b"
    assert (end.parallel.agreed, end.parallel.answered) == (None, 2)
    assert end.parallel.reason == "the shortest of 2 thoughts: their answers can't be compared"


@pytest.mark.parametrize(
    ("form", "answers"),
    [
        (JsonSchema({}), ('{"a": 1, "b": 9}', '{"a": 2, "b": 9}', '{"b": 9, "a": 2}')),
        (Regex("[0-9]{4}-[0-9]{2}"), ("2023-05", "2024-05", "2024-05")),
    ],
)
def test_answers_of_a_given_form_agree_where_all_they_say_does(branching, form, answers):
    first, second, third = answers
    model = branching(f"a</think>\n\n{first}", f"b and more</think>\n\n{second}", f"c and more</think>\n\n{third}")
    seed = seed_of(model, "a", "b", "c")
    end = model.generate("hi", thinking=thinking(3, choose="vote"), seed=seed, response_format=form)
    assert (end.answer, end.parallel.agreed, end.parallel.answered) == (second, 2, 3)


@pytest.mark.parametrize("stream", [True, False])
def test_answers_are_compared_up_to_where_a_stop_string_ends_them(branching, stream):
    model = branching(
        "a</think>\n\n5. So 9", "b and more</think>\n\n42. So 9", "c and longer</think>\n\n42" + ". So 1" * 70
    )
    prepared = model.replies.prepare(
        ReplyRequest(
            messages=[{"role": "user", "content": "hi"}],
            call=thinking(3, choose="vote"),
            seed=seed_of(model, "a", "b", "c"),
            max_tokens=200,
        )
    )
    plan = ReplyPlan(maker=model.replies, prepared=prepared, stops=(" So",), stream=stream)
    *_, end = plan.begin(model.engine(), 0, Stop())
    assert isinstance(end, End)
    assert end.parallel is not None
    assert (end.answer, end.answer_end, end.stop_text) == ("42.", Finish.STOP, " So")
    assert (end.parallel.chosen, end.parallel.agreed, end.parallel.answered) == (1, 2, 3)
    assert [other.answer for other in end.parallel.others] == ["5.", "42."]


def test_answers_that_were_cut_off_do_not_vote(branching):
    model = branching("a</think>\n\n" + "1" * 90, "b longer</think>\n\n7", "c</think>\n\n" + "1" * 90)
    seed = seed_of(model, "a", "b", "c")
    end = model.generate("hi", thinking=thinking(3, choose="vote"), seed=seed, max_tokens=60)
    assert [other.answer for other in end.parallel.others] == ["1" * len(end.parallel.others[0].answer)] * 2
    assert (end.answer, end.parallel.agreed, end.parallel.answered) == ("7", 1, 3)


def test_each_thought_has_the_whole_budget(branching):
    model = branching(LONG)
    end = model.generate("hi", thinking=thinking(2, budget=6, choose="vote"), seed=1)
    assert (end.thinking_end, end.thought_tokens) == (ThinkingEnd.BUDGET, 6)
    assert [other.end for other in end.parallel.others] == [ThinkingEnd.BUDGET]


def test_a_thought_that_loops_comes_last(branching):
    model = branching("a" + "xy " * 100 + "</think>\n\n1", "b" + "".join(map(chr, range(65, 91))) * 3 + "</think>\n\n2")
    seed = seed_of(model, "a", "b")
    settings = Thinking(enabled=True, width=2)
    alone = [model.generate("hi", thinking=True, seed=seed + at) for at in range(2)]
    assert alone[0].thinking_end is ThinkingEnd.LOOP
    end = model.generate("hi", thinking=settings, seed=seed)
    assert end.thought == alone[1].thought


@pytest.mark.parametrize("choose", Choose)
def test_answer_now_closes_all_thoughts(branching, choose):
    model = branching("a" + "7" * 300)
    reply = model.stream("hi", thinking=thinking(3, choose=choose), seed=1)
    seen = []
    for event in reply:
        seen.append(event)
        if isinstance(event, ThoughtsProgress):
            reply.stop_thinking()
    assert seen[-1].thinking_end is ThinkingEnd.USER
    assert reply.thinking_end is ThinkingEnd.USER
    assert len(seen[-1].parallel.others) == 2


@pytest.mark.parametrize("choose", Choose)
def test_cancel_ends_all_thoughts_with_an_end(branching, choose):
    model = branching("a" + "7" * 300)
    reply = model.stream("hi", thinking=thinking(3, choose=choose), seed=1)
    assert isinstance(next(reply), ThoughtsProgress)
    reply.cancel()
    end = reply.end()
    assert (end.answer_end, end.thinking_end, end.answer) == (Finish.CANCELLED, ThinkingEnd.CANCELLED, "")
    assert len(end.parallel.others) == 2


@pytest.mark.parametrize("leave", ["close", "abandon"])
def test_a_reply_that_is_left_leaves_no_row_behind(branching, leave):
    model = branching("a" + "7" * 300, memory_limit=1 << 20)
    engine = model.engine()
    reply = model.stream("hi", thinking=thinking(), seed=1, engine=engine)
    assert isinstance(next(reply), ThoughtsProgress)
    getattr(reply, leave)()
    assert list(reply) == []
    assert model.generate("hi", thinking=True, seed=1, engine=engine, max_tokens=40).thought.startswith("a")


def test_the_error_of_a_row_ends_the_reply(branching):
    model = branching(LONG, SHORT + "!" * 40)
    seed = seed_of(model, "b", "a")
    more = model.tokenizer.encode("long")

    def before(ids: list[int]) -> None:
        if ids[-len(more) :] == more:
            raise ArtifactError("the graph fails")

    model.session.before = before
    with pytest.raises(ArtifactError, match="the graph fails"):
        model.generate("hi", thinking=thinking(2, choose="vote"), seed=seed)
    model.session.before = lambda ids: None
    assert model.generate("hi", thinking=thinking(2, choose="vote"), seed=seed).parallel.answered == 2


def test_rows_without_memory_are_left_out_and_the_reason_says_so(branching):
    each = branching(SHORT).session.kv_size.bytes(2)
    model = branching(SHORT, memory_limit=2 * each + 100, prefix_cache_bytes=0)
    end = model.generate("hi", thinking=thinking(4, choose="vote"), seed=1)
    assert end.answer == "42"
    assert end.parallel.asked == 4
    assert end.parallel.width == 2
    assert end.parallel.reason == "2 of 2 answers agree (there is no memory for 2 more)"


def test_more_thoughts_than_rows_are_refused(branching):
    model = branching(SHORT)
    with pytest.raises(InputError, match=r"width is 9, expected at most 8"):
        model.stream("hi", thinking=thinking(9))
    model.generate("hi", thinking=Thinking(enabled=False, width=9))


def test_a_model_whose_replies_would_have_more_thoughts_than_rows_is_not_loaded(new_model):
    with pytest.raises(InputError, match=r"width is 9, expected at most 8"):
        new_model(thinking=thinking(9))


def test_greedy_thoughts_would_be_the_same_so_there_is_one(branching):
    model = branching(SHORT)
    with pytest.warns(match="greedy"):
        end = model.generate("hi", thinking=thinking(), sampling={"temperature": 0})
    assert (end.parallel.asked, end.parallel.width, end.parallel.others) == (4, 1, ())
    assert end.parallel.reason == "one thought: the same as any other at temperature 0"


def test_a_reply_that_does_not_think_has_one_row(branching):
    model = branching(SHORT)
    assert model.generate("hi", thinking=Thinking(enabled=False, width=4)).parallel is None
    assert model.generate("hi", thinking=Thinking(enabled=True, budget=0, width=4)).parallel is None


def test_the_chosen_row_goes_on_in_the_conversation(branching):
    model = branching(LONG, SHORT)
    seed = seed_of(model, "a", "b", "a")
    chat = model.chat(thinking=thinking(3))
    first = chat.send("hi", seed=seed)
    assert first.parallel.chosen == 1
    chat.settle()
    second = chat.send("on", seed=seed)
    alone = model.chat(thinking=True)
    alone.send("hi", seed=seed + 1)
    alone.settle()
    assert second.cached_tokens == alone.send("on", seed=seed).cached_tokens > first.prompt_tokens
    assert chat.messages[1]["reasoning_content"] == "b"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"width": 0}, "width is 0, expected 1 to 64"),
        ({"width": True}, "width is True"),
        ({"choose": "best"}, "choose is 'best', expected first or vote"),
        ({"width": 4, "quorum": 2}, "a quorum is for choose='vote'"),
        ({"width": 4, "choose": "vote", "quorum": 5}, "quorum is 5, expected 1 to 4"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, said):
    with pytest.raises(InputError, match=said):
        Thinking(**settings)


def test_rows_that_share_a_step_are_the_limit(new_model):
    model = new_model()
    assert model.replies.max_rows == RowSettings().max_rows


def test_a_thread_that_ends_late_does_not_close_what_the_next_one_reads():
    answering, go_on = Flag(), Flag()

    def events(stop, on_end):
        yield ThoughtEnd(reason=ThinkingEnd.NATURAL, thinking=Speed(tokens=1, seconds=1))
        answering.set()
        assert go_on.wait(20)
        yield AnswerPiece(text="42")

    run: Any = SimpleNamespace(events=events, control=None)
    engine: Any = SimpleNamespace(close=lambda: None)
    row = ThoughtRow(1, run, engine, Stop(), lambda: None)
    with row._lock:  # its first thread is held up where it parks
        row.think()
        assert row.work
        assert row.work.wait(20)
        row.answer()
    assert answering.wait(20)
    sleep(0.1)  # by now the first thread has ended
    row.drop()
    go_on.set()
    assert row.work.wait(20)
    assert row.work.error is None


@pytest.mark.parametrize("leave", ["close", "abandon"])
def test_a_reply_that_is_left_within_its_answer_keeps_one_kv_cache(branching, leave):
    model = branching(LONG, SHORT)
    engine = model.engine()
    reply = model.stream("hi", thinking=thinking(2), seed=seed_of(model, "a", "b"), engine=engine)
    while not isinstance(next(reply), AnswerPiece):
        pass
    getattr(reply, leave)()
    assert list(reply) == []
    assert [one.reserved > 0 for one in model._pool.holders()].count(True) == 1
    engine.reset()
    assert model._pool.bytes == 0
