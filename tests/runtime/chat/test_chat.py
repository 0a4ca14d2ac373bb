"""Conversations over a model that says what the test wants: thought and answer, history, cache, figures."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.errors import InputError
from thinkport.runtime.events import AnswerPiece, End, ThoughtPiece
from thinkport.runtime.model import Model
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.reply.reply_splitter import ReplySplitter
from thinkport.runtime.thinking.thinking import ThinkingEnd
from thinkport.runtime.thinking.thinking_switch import Opening, Part, opening

GREEDY = SamplingSettings(temperature=0)
THOUGHTFUL = "<think>\nhi on\n\non\n</think>\n\nanswer\n🙂"


def shown(events, kind) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


def test_a_reply_is_split_into_thought_and_answer_without_the_templates_newlines(new_model) -> None:
    *pieces, end = new_model(THOUGHTFUL).chat().stream("hi", sampling=GREEDY)
    assert (end.thought, end.answer) == ("hi on\n\non", "answer\n🙂")
    assert (shown(pieces, ThoughtPiece), shown(pieces, AnswerPiece)) == (end.thought, end.answer)
    assert (end.thinking_end, end.answer_end) == (ThinkingEnd.NATURAL, Finish.STOP)


def test_the_end_counts_tokens_and_seconds_of_each_part(new_model, tokenizer) -> None:
    end = new_model(THOUGHTFUL).chat().send("hi", sampling=GREEDY)
    assert end.thought_tokens == len(tokenizer.encode("\nhi on\n\non\n"))
    assert end.answer_tokens == len(tokenizer.encode("\n\nanswer\n🙂"))
    assert end.prefill.tokens == end.prompt_tokens - end.cached_tokens > 0
    assert all(speed.tokens_per_second > 0 for speed in (end.prefill, end.thinking, end.answering))


@pytest.mark.parametrize(
    ("reply", "options", "ends"),
    [
        ("answer", {}, (ThinkingEnd.NONE, Finish.STOP)),
        ("<think>\nhi", {}, (ThinkingEnd.NATURAL, Finish.STOP)),
        (THOUGHTFUL, {"max_tokens": 3}, (ThinkingEnd.RESERVE, Finish.LENGTH)),
        (THOUGHTFUL, {"max_tokens": 12}, (ThinkingEnd.RESERVE, Finish.STOP)),
        (THOUGHTFUL, {"max_tokens": 32}, (ThinkingEnd.NATURAL, Finish.STOP)),
        ("answer", {"thinking": False}, (ThinkingEnd.OFF, Finish.STOP)),
    ],
)
def test_the_end_says_why_each_part_ended(new_model, reply, options, ends) -> None:
    end = new_model(reply).chat().send("hi", sampling=GREEDY, **options)
    assert (end.thinking_end, end.answer_end) == ends


def test_off_means_that_no_thought_marker_is_drawn(new_model) -> None:
    end = new_model("<think>\nhi</think>").chat(thinking=False).send("hi", sampling=GREEDY, max_tokens=20)
    assert (end.thought, end.thought_tokens, end.thinking_end) == ("", 0, ThinkingEnd.OFF)


def without_a_switch(new_model, reply: str, generation_prompt: str) -> Model:
    turns = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    template = ChatTemplate(turns + generation_prompt + "\n", {})  # Jinja takes the last newline away
    return new_model(reply, template=template)


def test_off_means_off_where_the_template_has_no_switch(new_model) -> None:
    model = without_a_switch(new_model, "<think>\nhi</think>", "<|im_start|>assistant\n")
    end = model.generate("hi", thinking=False, sampling=GREEDY, max_tokens=20)
    assert (end.thought, end.thought_tokens, end.thinking_end) == ("", 0, ThinkingEnd.OFF)
    assert model.generate("hi", sampling=GREEDY).thought == "hi"


def test_off_leaves_an_empty_thought_where_the_template_has_no_switch(new_model) -> None:
    model = without_a_switch(new_model, "<think>\n\n</think>\n\nanswer", "<|im_start|>assistant\n")
    engine = model.engine()
    prompt = model.encode([{"role": "user", "content": "hi"}])
    end = model.generate("hi", thinking=False, sampling=GREEDY, engine=engine)
    assert model.tokenizer.decode(engine.ids[len(prompt) :]).startswith("<think>\n\n</think>\n\n")
    assert (end.answer, end.thought) == ("answer", "")


def test_off_is_refused_where_the_template_always_opens_a_thought(new_model) -> None:
    model = without_a_switch(new_model, "hi</think>on", "<|im_start|>assistant\n<think>\n")
    with pytest.raises(InputError, match="has no switch"):
        model.stream("hi", thinking=False)


def test_history_holds_answers_and_thoughts_and_the_template_drops_old_thoughts(new_model) -> None:
    model = new_model(THOUGHTFUL, "more")
    chat = model.chat(system="on")
    chat.send("hi", sampling=GREEDY)
    chat.send("again", sampling=GREEDY)
    assert [message["role"] for message in chat.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert chat.messages[2] == {"role": "assistant", "content": "answer\n🙂", "reasoning_content": "hi on\n\non"}
    assert "<think>" not in model.render(chat.messages[:4])


def test_a_second_turn_prefills_only_what_is_new(new_model) -> None:
    model = new_model("<think>\nhi\n</think>\n\none", "two", prefix_cache_bytes=0)
    chat = model.chat(system="on", settle=False)
    first = chat.send("hi", sampling=GREEDY)
    second = chat.send("again", sampling=GREEDY)
    assert second.cached_tokens == first.prompt_tokens
    cold = model.generate([*chat.messages[:3], {"role": "user", "content": "again"}], sampling=GREEDY)
    assert (cold.cached_tokens, cold.answer) == (0, second.answer)


def test_a_cancelled_reply_keeps_what_came(new_model) -> None:
    chat = new_model("one two three").chat()
    events = []
    for event in chat.stream("hi", sampling=GREEDY):
        events.append(event)
        if len(events) == 3:
            chat.cancel()
    assert isinstance(events[-1], End)
    assert events[-1].answer_end is Finish.CANCELLED
    assert chat.messages[-1]["content"] == events[-1].answer == shown(events, AnswerPiece)


def test_a_reply_closed_before_its_end_leaves_the_history_as_it_was(new_model) -> None:
    chat = new_model("one two three").chat(system="on")
    events = chat.stream("hi", sampling=GREEDY)
    next(events)
    events.close()
    assert chat.messages == [{"role": "system", "content": "on"}]


def test_sampling_follows_the_mode_unless_the_caller_says_otherwise(new_model) -> None:
    model = new_model("hi")
    presets = model.manifest.sampling
    assert model.sampling(None, thinks=True) == SamplingSettings.from_preset(presets.thinking)
    assert model.sampling(None, thinks=False) == SamplingSettings.from_preset(presets.answering)
    assert model.sampling({"top_k": 3}, thinks=False).top_p == presets.answering.top_p
    assert model.sampling({"top_k": 3}, thinks=False).top_k == 3
    assert model.sampling(GREEDY, thinks=True) is GREEDY


def test_a_seed_repeats_a_reply(new_model) -> None:
    model = new_model()
    first, second = (model.generate("hi", seed=5, max_tokens=20, sampling={"temperature": 4.0}) for _ in range(2))
    assert first.answer == second.answer


def test_a_closed_model_says_so(new_model) -> None:
    with new_model("hi") as model:
        assert model.generate("hi", sampling=GREEDY).answer == "hi"
    with pytest.raises(InputError, match="closed"):
        model.chat()


def test_closing_a_model_ends_its_chats_and_lets_go_of_its_session(new_model) -> None:
    model = new_model("one two three")
    session, chat = weakref.ref(model.session), model.chat()
    begun = chat.stream("hi", sampling=GREEDY)
    next(begun)
    model.close()
    gc.collect()
    assert session() is None
    for use in (lambda: next(begun), lambda: chat.send("hi"), lambda: model.generate("hi")):
        with pytest.raises(InputError, match="the model is closed: load it again"):
            use()


def test_of_two_replies_begun_in_one_chat_the_first_is_refused_to_go_on(new_model) -> None:
    chat = new_model("one two three", "four").chat()
    first = chat.stream("hi", sampling=GREEDY)
    next(first)
    second = chat.stream("on", sampling=GREEDY)
    with pytest.raises(InputError, match="another reply was begun"):
        next(first)
    *_, end = second
    assert end.answer == "one two three"
    assert [message["content"] for message in chat.messages] == ["on", "one two three"]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("<|im_start|>assistant\n", Opening.FREE),
        ("<|im_start|>assistant\n<think>\n", Opening.THINKING),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", Opening.ANSWERING),
        ("<think>on</think>\n\nhi<|im_end|>\n<|im_start|>assistant\n", Opening.FREE),
    ],
)
def test_a_prompts_last_marker_says_how_the_reply_begins(tokenizer, thinking_ids, prompt, expected) -> None:
    assert opening(tokenizer.encode(prompt), thinking_ids, tokenizer) is expected


def test_a_model_without_thinking_only_answers(tokenizer) -> None:
    assert opening(tokenizer.encode("<think>"), None, tokenizer) is Opening.ANSWERING


TEXTS = st.text(st.sampled_from("a 🙂\né"), max_size=12)


@given(TEXTS, TEXTS, st.booleans())
def test_pieces_sum_to_the_parts_whatever_the_newlines(tokenizer, thinking_ids, thought, answer, opened) -> None:
    text = ("" if opened else "<think>") + f"\n{thought}\n</think>\n\n{answer}"
    splitter = ReplySplitter(tokenizer, thinking_ids, Opening.THINKING if opened else Opening.FREE)
    pieces = []
    for token in tokenizer.encode(text):
        part = splitter.part
        pieces += [(part, piece) for piece in splitter.feed(token)]
    pieces += [(splitter.part, piece) for piece in splitter.flush(Finish.STOP)]
    parts = {part: "".join(str(piece) for where, piece in pieces if where is part) for part in Part}
    assert parts == {Part.THOUGHT: thought.strip("\n"), Part.ANSWER: answer.lstrip("\n")}
