"""A KV cache that survives stripped thoughts: what each turn has to run, by counting."""

import pytest

from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.thinking.thinking import Thinking

GREEDY = SamplingSettings(temperature=0)
THOUGHTFUL = "<think>\nhi on hi\n</think>\n\none"


def new_ids(model, chat, text: str, known: int) -> int:
    """Ids of a turn's prompt beyond the first `known` messages as history."""
    prompt = model.encode([*chat.messages, {"role": "user", "content": text}], chat.tools)
    return len(prompt) - len(model.history(chat.messages[:known], chat.tools))


@pytest.mark.parametrize("thinking", [True, False, None])
def test_a_settled_turn_is_paid_for_and_the_next_runs_only_what_was_said(new_model, thinking) -> None:
    model = new_model(THOUGHTFUL if thinking is not False else "one", "two")
    chat = model.chat(system="on", thinking=thinking, sampling=GREEDY)
    chat.send("hi")
    chat.settle()
    prompt = model.encode([*chat.messages, {"role": "user", "content": "again"}], None, thinking)
    model.session.steps.clear()
    end = chat.send("again")
    assert end.prefill.tokens == len(prompt) - len(model.history(chat.messages[:3]))
    assert end.cached_tokens + end.prefill.tokens == len(prompt)
    assert model.session.steps[0] <= model.session.prefill_chunk


def test_without_settling_the_answer_alone_is_run_again(new_model) -> None:
    model = new_model(THOUGHTFUL, "two")
    chat = model.chat(sampling=GREEDY, settle=False)
    first = chat.send("hi")
    answer = len(model.tokenizer.encode("one"))
    new = new_ids(model, chat, "again", known=2)
    second = chat.send("again")
    end_of_turn = len(model.history(chat.messages[:2])) - first.prompt_tokens - answer
    assert second.cached_tokens == first.prompt_tokens
    assert second.prefill.tokens == answer + end_of_turn + new


def test_a_regenerated_answer_runs_one_token_of_its_prompt(new_model) -> None:
    model = new_model(THOUGHTFUL)
    chat = model.chat(sampling=GREEDY, settle=False)
    chat.send("hi")
    again = chat.retry().end()
    assert again.prefill.tokens == 1
    assert [message["role"] for message in chat.messages] == ["user", "assistant"]


def test_a_regenerated_answer_of_a_settled_chat_runs_what_the_template_had_replaced(new_model) -> None:
    model = new_model(THOUGHTFUL)
    chat = model.chat(sampling=GREEDY)
    chat.send("hi")
    chat.settle()
    assert chat.retry().end().prefill.tokens == 1, "the prompt was kept: only the reply was fed anew"


def test_an_edited_history_is_kept_up_to_the_edit(new_model) -> None:
    model = new_model("one", "two", "three")
    chat = model.chat(system="on", sampling=GREEDY)
    for text in ("hi", "hi on"):
        chat.send(text)
    chat.settle()
    chat.messages[3]["content"] = "on hi"
    kept = len(model.history(chat.messages[:3]))
    end = chat.send("again")
    assert kept <= end.cached_tokens < len(model.history(chat.messages[:4]))


def test_undoing_a_turn_costs_nothing_that_came_before_it(new_model) -> None:
    model = new_model("one", "two", "three")
    chat = model.chat(sampling=GREEDY)
    chat.send("hi")
    chat.settle()
    held = len(model.history(chat.messages))
    chat.send("again")
    assert chat.undo() == "again"
    assert [message["content"] for message in chat.messages] == ["hi", "one"]
    assert chat.send("other").cached_tokens >= held


def test_chats_with_the_same_system_message_and_tools_share_its_tokens(new_model) -> None:
    tools = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
    model = new_model("one")
    alone, first, second = (
        model.chat(system="a long system message that is the same for all", tools=tools, sampling=GREEDY)
        for model in (new_model("one"), model, model)
    )
    assert first.send("hi").cached_tokens == 0
    end = second.send("on")
    prompt = model.encode(second.messages[:2], tools)
    shared = prompt.index(model.tokenizer.added["<|im_start|>"], 1)  # where the first turn begins
    assert end.cached_tokens == shared > 100
    assert end.answer == alone.send("on").answer


def test_a_prefix_cache_of_nothing_shares_nothing(new_model) -> None:
    model = new_model("one", prefix_cache_bytes=0)
    for _ in range(2):
        assert model.chat(system="the same for all of them", sampling=GREEDY).send("hi").cached_tokens == 0


def test_a_turn_waits_for_settling_no_longer_than_a_piece(new_model) -> None:
    """Whatever the idle time was enough for, the next turn's reply is the same."""
    model = new_model(THOUGHTFUL, "two")
    patient, hasty = model.chat(sampling=GREEDY), model.chat(sampling=GREEDY)
    for chat in (patient, hasty):
        chat.send("hi " * 100)
    patient.settle()
    assert hasty.send("again").answer == patient.send("again").answer == "two"


def test_a_switch_between_turns_keeps_the_history(new_model) -> None:
    model = new_model(THOUGHTFUL, "two", "three")
    chat = model.chat(sampling=GREEDY)
    chat.send("hi", thinking=True)
    chat.settle()
    held = len(model.history(chat.messages))
    assert chat.send("on", thinking=False).cached_tokens == held
    chat.settle()
    held = len(model.history(chat.messages))
    assert chat.send("again", thinking=Thinking(budget=0)).cached_tokens == held


def test_a_long_dead_chat_is_collected_with_its_settling(new_model) -> None:
    import gc
    import weakref

    model = new_model(THOUGHTFUL)
    chat = model.chat(sampling=GREEDY)
    chat.send("hi")
    dropped = weakref.ref(chat)
    del chat
    gc.collect()
    assert dropped() is None
