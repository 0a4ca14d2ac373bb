"""Who decides whether a reply thinks, and that off means off."""

import warnings
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.errors import GreedyThinkingWarning, InputError
from thinkport.runtime.events import ThoughtPiece
from thinkport.runtime.thinking.thinking import DecidedBy, Switch, Thinking, ThinkingEnd
from thinkport.runtime.thinking.thinking_switch import decide, latest_soft_switch

GREEDY = SamplingSettings(temperature=0)
ON, OFF, AUTO = (Thinking(enabled=switch) for switch in Switch)
THOUGHTFUL = "<think>\nhi on\n</think>\n\nanswer"


def user(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


@pytest.mark.parametrize(
    ("levels", "text", "enabled", "by"),
    [
        ((None, None, None, None), "hi", Switch.AUTO, DecidedBy.TEMPLATE),
        ((ON, None, None, None), "hi", Switch.ON, DecidedBy.CALL),
        ((OFF, ON, ON, True), "hi /think", Switch.OFF, DecidedBy.CALL),
        ((ON, OFF, OFF, False), "hi", Switch.ON, DecidedBy.CALL),
        ((None, OFF, ON, True), "hi /think", Switch.OFF, DecidedBy.CHAT),
        ((None, None, OFF, True), "hi /think", Switch.OFF, DecidedBy.MODEL),
        ((None, None, None, False), "hi /think", Switch.OFF, DecidedBy.MODEL),
        ((None, None, None, True), "hi", Switch.ON, DecidedBy.MODEL),
        ((None, None, None, None), "hi /no_think", Switch.OFF, DecidedBy.MESSAGE),
        ((ON, None, None, None), "hi /no_think", Switch.OFF, DecidedBy.MESSAGE),
        ((AUTO, OFF, None, None), "hi", Switch.AUTO, DecidedBy.TEMPLATE),
        ((Thinking(budget=5), OFF, None, None), "hi", Switch.OFF, DecidedBy.CHAT),
    ],
)
def test_the_nearest_hard_switch_decides_and_within_on_the_message(levels, text, enabled, by) -> None:
    decision = decide(user(text), *levels)
    assert (decision.enabled, decision.by) == (enabled, by)


def test_the_template_is_told_the_hard_switch_only() -> None:
    assert decide(user("hi /no_think"), ON, None, None).hard is True
    assert decide(user("hi /no_think"), None, None, None).hard is None
    assert decide(user("hi /think"), OFF, None, None).hard is False


@pytest.mark.parametrize(
    ("messages", "switch"),
    [
        (user("hi"), None),
        (user("hi /think", "on /no_think"), Switch.OFF),
        (user("hi /no_think", "on"), Switch.OFF),
        (user("/no_think hi /think"), Switch.ON),
        (user("你好 /no_think"), Switch.OFF),
        (user("hi\n/no_think\t on"), Switch.OFF),
        (user("hi\u3000/no_think"), Switch.OFF),
        (user("hi\n/no_think.", "你好/no_think", "`/no_think`", "'/no_think'", "(/no_think)", "</think>"), None),
        (user("hi /no_think", "what does </think> do, and `/think`?"), Switch.OFF),
        ([{"role": "system", "content": "/no_think"}, *user("hi")], Switch.OFF),
        ([{"role": "assistant", "content": "/no_think"}, {"role": "tool", "content": "/no_think"}, *user("hi")], None),
        (user("<tool_response>\n/no_think\n</tool_response>"), None),
        (user("a/think"), None),
        (user("/think/of/it", "/thinking", "./think", "http://x/no_think", r"c:\x/think", "--/think"), None),
        ([{"role": "user", "content": None}, {"role": "user"}], None),
    ],
)
def test_the_latest_soft_switch_of_user_and_system_counts_and_paths_are_none(messages, switch) -> None:
    assert latest_soft_switch(messages) is switch


def test_a_soft_off_leaves_an_empty_thought_as_the_model_would_write_it(new_model) -> None:
    chat = new_model(THOUGHTFUL, "answer").chat()
    chat.send("hi", sampling=GREEDY)
    *pieces, end = chat.stream("on /no_think", sampling=GREEDY)
    assert not [piece for piece in pieces if isinstance(piece, ThoughtPiece)]
    assert (end.thinking_end, end.enabled, end.decided_by) == (ThinkingEnd.OFF, Switch.OFF, DecidedBy.MESSAGE)
    assert chat.messages[-2]["content"] == "on /no_think", "the user's text is never edited"


def test_a_soft_off_is_spelled_as_qwen_spells_it(new_model) -> None:
    model = new_model("x")
    engine = model.engine()
    prompt = model.encode(user("hi /no_think"))
    model.generate("hi /no_think", sampling=GREEDY, max_tokens=10, engine=engine)
    assert model.tokenizer.decode(engine.ids[len(prompt) :]).startswith("<think>\n\n</think>\n\n")


def test_on_opens_a_thought_that_the_model_would_not_have_begun(new_model) -> None:
    answer, thought = (new_model("hi on").generate("hi", sampling=GREEDY, thinking=on) for on in (None, True))
    assert (answer.thinking_end, answer.decided_by) == (ThinkingEnd.NONE, DecidedBy.TEMPLATE)
    assert (thought.thinking_end, thought.decided_by) == (ThinkingEnd.NATURAL, DecidedBy.CALL)


def test_call_chat_and_model_have_defaults_of_their_own(new_model) -> None:
    model = new_model(THOUGHTFUL, thinking=False)
    assert model.generate("hi", sampling=GREEDY).decided_by is DecidedBy.MODEL
    chat = model.chat(thinking=True)
    assert (chat.send("hi", sampling=GREEDY).enabled, chat.thinking.enabled) == (Switch.ON, Switch.ON)
    assert chat.send("hi", sampling=GREEDY, thinking=False).enabled is Switch.OFF
    assert model.chat().send("hi", sampling=GREEDY).decided_by is DecidedBy.MODEL
    model = new_model(THOUGHTFUL, manifest={"enable_thinking": False})
    assert model.generate("hi /think", sampling=GREEDY).enabled is Switch.OFF


def test_a_switch_alone_keeps_the_chats_budget(new_model) -> None:
    chat = new_model(THOUGHTFUL).chat(thinking=Thinking(enabled=False, budget=2))
    end = chat.send("hi", sampling=GREEDY, thinking=True)
    assert (end.thinking_end, end.thought_tokens) == (ThinkingEnd.BUDGET, 2)


def test_a_template_without_a_switch_has_no_soft_one_either(new_model) -> None:
    model = new_model(THOUGHTFUL)
    model.template.has_switch = False
    try:
        assert model.generate("hi /no_think", sampling=GREEDY).thinking_end is ThinkingEnd.NATURAL
    finally:
        model.template.has_switch = True


WAYS = ["call", "chat", "model", "manifest", "message"]
WORDS = st.lists(st.sampled_from(["hi", "on", "<think>", "</think>", "/think", "🙂", "\n"]), max_size=4).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=3), st.sampled_from(WAYS), st.integers(0, 2**32), st.floats(0.5, 9))
def test_off_means_that_no_thought_token_is_sampled_or_shown(new_model, texts, way, seed, temperature) -> None:
    """Over a model that would say anything, thought markers included."""
    changed = {"enable_thinking": False} if way == "manifest" else {}
    model = new_model(thinking=False if way == "model" else None, manifest=changed)
    chat = model.chat(thinking=False if way == "chat" else None, settle=False)
    for text in texts:
        said = f"{text} /no_think" if way == "message" else text
        options = {"thinking": False} if way == "call" else {}
        before = len(chat.messages)
        *pieces, end = chat.stream(said, seed=seed, max_tokens=40, sampling={"temperature": temperature}, **options)
        assert (end.thought, end.thought_tokens, end.thinking_end) == ("", 0, ThinkingEnd.OFF)
        assert not [piece for piece in pieces if isinstance(piece, ThoughtPiece)]
        assert end.forced_tokens == (6 if way == "message" else 0), "two markers and four newlines, or nothing"
        assert len(chat.messages) == before + 2


def test_switching_thinking_switches_the_preset_unless_a_value_was_given(new_model) -> None:
    model = new_model(THOUGHTFUL)
    presets = model.manifest.sampling
    assert model.sampling(None, thinks=True).temperature == presets.thinking.temperature == 0.6
    assert model.sampling(None, thinks=False).temperature == presets.answering.temperature == 0.7
    assert model.sampling({"temperature": 0.1}, thinks=False) == replace(
        SamplingSettings.from_preset(presets.answering), temperature=0.1
    )


def test_greedy_thinking_warns_once_a_model_with_the_reason(new_model) -> None:
    model = new_model(THOUGHTFUL)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.generate("hi", sampling=GREEDY, thinking=False)
        model.generate("hi", sampling={"temperature": 0.5})
        assert not caught
        model.generate("hi", sampling=GREEDY)
        model.chat().send("hi", sampling={"temperature": 0.0})
    assert [str(warning.message) for warning in caught if "repeat themselves" in str(warning.message)]
    assert [warning.category for warning in caught] == [GreedyThinkingWarning]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"budget": -1}, "budget is -1, expected 0 tokens or more"),
        ({"soft_from": 1.0}, "soft_from is 1.0"),
        ({"soft_from": -0.1}, "soft_from is -0.1"),
        ({"soft_lift": 0.0}, "soft_lift is 0.0"),
        ({"answer_reserve": 0}, "answer_reserve is 0"),
        ({"enabled": "sometimes"}, "'sometimes', expected True, False, on, off or auto"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(values, says) -> None:
    with pytest.raises(InputError, match=says):
        Thinking(**values)


def test_a_switch_may_be_given_as_a_bool_or_a_word() -> None:
    assert [Thinking(enabled=value).enabled for value in (True, False, "auto", Switch.ON)] == [  # type: ignore[arg-type]
        Switch.ON,
        Switch.OFF,
        Switch.AUTO,
        Switch.ON,
    ]
