"""Budgets, reserves, loops and stops of a thought, over models that think what the test wants."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.errors import InputError
from thinkport.runtime.events import AnswerPiece, End, ThoughtPiece
from thinkport.runtime.thinking.thinking import QWEN_MESSAGE, Switch, Thinking, ThinkingEnd

GREEDY = SamplingSettings(temperature=0)


def forever(text: str):
    """A model that opens a thought, says `text` again and again, and answers `on` once the thought is closed."""

    def make(new_model, **options):
        model = new_model("x", **options)
        tokenizer, ids = model.tokenizer, model.manifest.thinking
        loop, stop = tokenizer.encode(text), model.manifest.stop_ids[0]
        answer = [*tokenizer.encode("on"), stop]
        breaks = set(tokenizer.encode("\n"))

        def next_id(held: list[int]) -> int:
            last = max((at for at, token in enumerate(held) if token in (ids.start, ids.end)), default=-1)
            if last < 0:
                return ids.start
            after = held[last + 1 :]
            if held[last] == ids.start:
                return loop[len(after) % len(loop)]
            said = [token for token in after if token not in breaks]
            return answer[min(len(said), len(answer) - 1)]

        model.session.next_id = next_id
        return model

    return make


def digits() -> str:
    """A text without a cycle or a line twice."""
    return " ".join(str(number * number) for number in range(400))


def test_at_the_budget_the_closing_message_is_forced_and_the_answer_comes(new_model) -> None:
    model = forever(digits())(new_model)
    *pieces, end = model.stream("hi", sampling=GREEDY, thinking=Thinking(budget=10))
    forced = "".join(piece.text for piece in pieces if isinstance(piece, ThoughtPiece) and piece.forced)
    thought = "".join(piece.text for piece in pieces if isinstance(piece, ThoughtPiece) and not piece.forced)
    assert (thought, forced.strip()) == (digits()[:10], QWEN_MESSAGE.strip())
    assert end.thought == thought + QWEN_MESSAGE.rstrip("\n")
    assert (end.answer, end.thinking_end, end.answer_end) == ("on", ThinkingEnd.BUDGET, Finish.STOP)
    assert end.thought_tokens == 10
    assert end.forced_tokens == len(model.tokenizer.encode(QWEN_MESSAGE)) + 3, "message, marker, two newlines"


def test_the_forced_ids_are_the_message_the_marker_and_a_blank_line(new_model) -> None:
    model = forever(digits())(new_model)
    engine = model.engine()
    end = model.generate("hi", sampling=GREEDY, thinking=Thinking(budget=4, message="\nEnough.\n"), engine=engine)
    reply = model.tokenizer.decode(engine.ids[end.prompt_tokens :])
    assert reply == f"<think>{digits()[:4]}\nEnough.\n</think>\n\non"


def test_a_message_that_spells_a_marker_stays_text(new_model) -> None:
    model = forever(digits())(new_model)
    end = model.generate("hi", sampling=GREEDY, thinking=Thinking(budget=4, message="</think><|im_end|>"))
    assert end.thought == digits()[:4] + "</think><|im_end|>"
    assert end.answer == "on"


def test_a_budget_of_nothing_is_an_empty_thought_sampled_as_without_thinking(new_model) -> None:
    model = forever(digits())(new_model)
    engine = model.engine()
    end = model.generate("hi", sampling=GREEDY, thinking=Thinking(budget=0), engine=engine)
    assert model.tokenizer.decode(engine.ids[end.prompt_tokens :]) == "<think>\n\n</think>\n\non"
    assert (end.thought, end.thought_tokens, end.thinking_end) == ("", 0, ThinkingEnd.BUDGET)


def test_a_thought_within_its_budget_is_left_alone(new_model) -> None:
    model = new_model(f"<think>\n{digits()}\n</think>\n\nanswer")
    end = model.generate("hi", sampling=GREEDY, thinking=Thinking(budget=3500))
    assert (end.thinking_end, end.forced_tokens, end.answer) == (ThinkingEnd.NATURAL, 0, "answer")


@pytest.mark.parametrize("limit", [{"max_tokens": 300}, {"context_length": 300}])
def test_what_the_answer_needs_is_kept_of_every_limit(new_model, limit) -> None:
    context = {key: value for key, value in limit.items() if key == "context_length"}
    call = {key: value for key, value in limit.items() if key == "max_tokens"}
    model = forever(digits())(new_model, **context)
    end = model.generate("hi", sampling=GREEDY, thinking=Thinking(answer_reserve=50, budget=1000), **call)
    room = limit.get("max_tokens") or 300 - end.prompt_tokens
    assert (end.thinking_end, end.answer, end.answer_end) == (ThinkingEnd.RESERVE, "on", Finish.STOP)
    assert end.thought_tokens + end.forced_tokens + 1 == room - 50, "and the marker that the model wrote"


def test_a_limit_too_small_for_the_message_closes_the_thought_without_it(new_model) -> None:
    model = forever(digits())(new_model)
    end = model.generate("hi", sampling=GREEDY, max_tokens=20)
    assert (end.thinking_end, end.answer) == (ThinkingEnd.RESERVE, "on")
    assert QWEN_MESSAGE.strip() not in end.thought


@given(st.integers(1, 60), st.integers(0, 60) | st.none(), st.integers(1, 60))
def test_no_limit_is_ever_passed(new_model, max_tokens, budget, reserve) -> None:
    model = forever(digits())(new_model)
    engine = model.engine()
    thinking = Thinking(enabled=True, budget=budget, answer_reserve=reserve, message=".\n")
    end = model.generate("hi", sampling=GREEDY, thinking=thinking, max_tokens=max_tokens, engine=engine)
    assert len(engine.ids) - end.prompt_tokens <= max_tokens
    assert end.thought_tokens <= min(max_tokens, max_tokens if budget is None else budget)
    if max_tokens >= 16 and reserve >= 3:
        assert end.answer == "on"


@pytest.mark.parametrize(
    "looping", ["round and ", "The very same line of thought again.\n", "ab", "one two\nthree four\n"]
)
def test_a_thought_that_repeats_itself_is_closed_the_same_way(new_model, looping) -> None:
    end = forever(looping)(new_model).generate("hi", sampling=GREEDY)
    assert (end.thinking_end, end.answer) == (ThinkingEnd.LOOP, "on")
    assert end.thought.endswith(QWEN_MESSAGE.strip())
    kept_on = forever(looping)(new_model).generate(
        "hi", sampling=GREEDY, thinking=Thinking(stop_loops=False), max_tokens=1500
    )
    assert kept_on.thinking_end is ThinkingEnd.RESERVE


def test_the_user_ends_the_thought_from_another_thread_and_the_answer_comes(new_model) -> None:
    model = forever(digits())(new_model)
    chat, events = model.chat(), []
    for event in chat.stream("hi", sampling=GREEDY):
        events.append(event)
        if len(events) == 5:
            thread = threading.Thread(target=chat.stop_thinking)
            thread.start()
            thread.join()
    end = events[-1]
    assert (end.thinking_end, end.answer, end.thought_tokens) == (ThinkingEnd.USER, "on", 6)
    assert chat.messages[-1]["content"] == "on"


def test_a_stop_before_the_thought_begins_leaves_it_empty_and_counts_for_one_reply(new_model) -> None:
    chat = forever(digits())(new_model).chat(thinking=Thinking(budget=5))
    reply = chat.stream("hi", sampling=GREEDY)
    chat.stop_thinking()
    assert (stopped := reply.end()).thinking_end is ThinkingEnd.USER
    assert (stopped.thought, stopped.answer) == ("", "on")
    assert chat.send("hi", sampling=GREEDY).thinking_end is ThinkingEnd.BUDGET


def test_a_stop_during_the_answer_does_nothing(new_model) -> None:
    chat = new_model("<think>\nhi\n</think>\n\na long answer").chat()
    for event in chat.stream("hi", sampling=GREEDY):
        if isinstance(event, AnswerPiece):
            chat.stop_thinking()
    assert (event.thinking_end, event.answer) == (ThinkingEnd.NATURAL, "a long answer")


def test_cancelling_within_a_thought_ends_the_turn(new_model) -> None:
    chat = forever(digits())(new_model).chat()
    reply = chat.stream("hi", sampling=GREEDY)
    next(reply)
    chat.cancel()
    end = reply.end()
    assert (end.thinking_end, end.answer_end) == (ThinkingEnd.CANCELLED, Finish.CANCELLED)


@pytest.mark.parametrize("cancelled", [False, True])
def test_what_closes_a_thought_stays_its_end_wherever_the_reply_ends(new_model, cancelled) -> None:
    chat, cut = forever(digits())(new_model).chat(), 0
    for most in range(1, 40):
        decided = None
        reply = chat.stream("hi", sampling=GREEDY, max_tokens=most, thinking=Thinking(budget=2, answer_reserve=1))
        for event in reply:
            if not isinstance(event, End):
                decided = decided or reply.thinking_end
                if decided and cancelled:
                    reply.cancel()
        assert reply.thinking_end in (None, event.thinking_end)
        assert decided in (None, event.thinking_end)
        cut += reply.thinking_end is not None and event.answer_end is not Finish.STOP
    assert cut


def test_a_model_that_would_end_the_reply_within_its_thought_ends_the_thought(new_model) -> None:
    end = new_model("<think>\nhi").generate("hi", sampling=GREEDY)
    assert (end.thought, end.thinking_end, end.answer_end) == ("hi", ThinkingEnd.NATURAL, Finish.STOP)


def test_a_reply_has_one_thought_and_an_answer_has_no_markers(new_model) -> None:
    model = new_model("<think>\nhi\n</think>\n\non <think>more</think>")
    engine = model.engine()
    end = model.generate("hi", sampling=GREEDY, max_tokens=60, engine=engine)
    markers = [
        token for token in engine.ids[end.prompt_tokens :] if token in model.manifest.thinking.model_dump().values()
    ]
    assert markers == [model.manifest.thinking.start, model.manifest.thinking.end]
    assert end.thought == "hi"


def test_pieces_count_the_tokens_so_far(new_model) -> None:
    *pieces, end = new_model("<think>\nhi on\n</think>\n\nanswer").stream("hi", sampling=GREEDY)
    assert [piece.tokens for piece in pieces if isinstance(piece, ThoughtPiece)][-1] <= end.thought_tokens
    counts = [piece.tokens for piece in pieces if isinstance(piece, AnswerPiece)]
    assert counts == sorted(counts)
    assert counts[-1] == end.answer_tokens


def test_a_soft_budget_closes_most_thoughts_before_the_cut_at_the_end_of_a_line(new_model) -> None:
    ends = []
    for seed in range(20):
        model = forever("".join(f"line {number}.\n" for number in range(100)))(new_model)
        ends.append(
            model.generate("hi", thinking=Thinking(budget=200, soft_from=0.5), seed=seed, sampling={"temperature": 0.6})
        )
    soft = [end for end in ends if end.thinking_end is ThinkingEnd.SOFT]
    assert len(soft) > 15
    assert all(100 < end.thought_tokens <= 200 for end in soft)
    assert all(end.thought.endswith(".") and end.forced_tokens == 0 for end in soft)
    assert len({end.thought_tokens for end in soft}) > 1


def test_a_soft_budget_changes_nothing_before_it_begins_or_within_a_line(new_model) -> None:
    model = forever(digits())(new_model)
    hard, soft = (
        model.generate("hi", thinking=Thinking(budget=200, soft_from=soft_from), seed=3, sampling={"temperature": 0.6})
        for soft_from in (None, 0.1)
    )
    assert (hard.thought, hard.thinking_end) == (soft.thought, soft.thinking_end)


def test_logits_that_are_never_drawn_from_are_left_as_they_are(new_model) -> None:
    """The engine's buffer is the lane's: shaping works on a copy."""
    model = forever(digits())(new_model)
    lane_logits = []
    step = type(model.session.open_lane()).step

    class Watching(type(model.session.open_lane())):  # type: ignore[misc]
        def step(self, *arguments, **options):
            lane_logits.append(step(self, *arguments, **options))
            return lane_logits[-1]

    model.session.open_lane = lambda batch=1: Watching(model.session, batch)
    model.generate("hi", thinking=Thinking(budget=5), sampling=GREEDY)
    assert lane_logits
    assert all(np.isfinite(logits).all() for logits in lane_logits)


def test_a_model_without_thoughts_only_answers(new_model) -> None:
    model = new_model("on", manifest={"thinking": None})
    end = model.generate("hi /think", sampling=GREEDY)
    assert (end.answer, end.thinking_end) == ("on", ThinkingEnd.OFF)


def test_thinking_on_is_refused_for_a_model_that_cannot(new_model) -> None:
    model = new_model("on", manifest={"thinking": None})
    with pytest.raises(InputError, match="can't think"):
        model.stream("hi", thinking=Switch.ON)
