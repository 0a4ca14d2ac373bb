"""Messages that a template would leave out without a word are refused in words."""

import pytest

from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.messages import checked
from thinkport.runtime.thinking.thinking import Thinking
from thinkport.runtime.tools.response_format import JsonSchema

GREEDY = SamplingSettings(temperature=0)


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "no messages"),
        ("hi", "the messages are str"),
        ({"role": "user", "content": "hi"}, "the messages are dict"),
        (["hi"], "a message is 'hi'"),
        ([{"content": "hi"}], "expected a mapping with role"),
        ([{"role": "usr", "content": "hi"}], "role is 'usr', expected one of: system, user"),
        ([{"role": "user"}], "content of a user message is None"),
        ([{"role": "tool", "content": 3}], "content of a tool message is 3"),
        ([{"role": "user", "content": []}], "content of a user message is"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "a list of parts of text"),
    ],
)
def test_what_a_template_would_drop_is_refused(messages, says) -> None:
    with pytest.raises(InputError, match=says):
        checked(messages)


def test_parts_of_text_are_joined_and_a_call_without_text_has_an_empty_one(new_model) -> None:
    parts = [{"type": "text", "text": "hi "}, {"type": "text", "text": "on"}]
    assert checked([{"role": "user", "content": parts}]) == [{"role": "user", "content": "hi on"}]
    assert checked([{"role": "assistant", "content": None, "tool_calls": []}])[0]["content"] == ""
    model = new_model("one")
    assert model.encode([{"role": "user", "content": parts}]) == model.encode([{"role": "user", "content": "hi on"}])


@pytest.mark.parametrize("text", [None, 3, b"hi", {"role": "user"}])
def test_a_chat_takes_texts_only_and_loses_nothing_over_others(new_model, text) -> None:
    chat = new_model("one").chat(system="on")
    with pytest.raises(InputError):
        chat.send(text)
    assert chat.messages == [{"role": "system", "content": "on"}]


def test_a_system_message_is_a_text(new_model) -> None:
    with pytest.raises(InputError, match="the system message is int"):
        new_model("one").chat(system=3)


@pytest.mark.parametrize("form", [{"type": "json_object"}, "json", JsonSchema])
def test_another_interfaces_response_format_is_refused_in_words(new_model, form) -> None:
    with pytest.raises(InputError, match=r"response_format is .*, expected JsonSchema\(...\), Regex\(...\) or Choice"):
        new_model("one").generate("hi", sampling=GREEDY, response_format=form)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"temperature": 4}, "did you mean sampling={'temperature': ...}"),
        ({"temprature": 1}, "did you mean sampling={'temperature': ...}"),
        ({"max_token": 4}, "did you mean 'max_tokens'"),
        ({"xyz": 4}, "expected one of: thinking"),
    ],
)
def test_an_unknown_option_is_named_with_what_was_meant(new_model, options, says) -> None:
    with pytest.raises(TypeError, match=f"a turn has no option .*{says}"):
        new_model("one").chat().send("hi", **options)
    with pytest.raises(TypeError, match=f"a reply has no option .*{says}"):
        new_model("one").generate("hi", **options)


def test_a_turn_leaves_to_its_chat_what_a_single_reply_is_asked_with(new_model) -> None:
    with pytest.raises(TypeError, match="a turn has no option 'system'"):
        new_model("one").chat().send("hi", system="two")


@pytest.mark.parametrize(
    "values",
    [
        {"budget": "5"},
        {"budget": 1.5},
        {"budget": True},
        {"message": 3},
        {"stop_loops": "no"},
        {"answer_reserve": None},
    ],
)
def test_thinking_settings_of_another_type_are_refused(values) -> None:
    with pytest.raises(InputError, match=f"{next(iter(values))} is "):
        Thinking(**values)


@pytest.mark.parametrize("values", [{"temperature": "x"}, {"top_k": 1.5}, {"top_p": None}, {"min_p": True}])
def test_sampling_settings_of_another_type_are_refused(values) -> None:
    with pytest.raises(InputError, match=f"{next(iter(values))} is "):
        SamplingSettings(**values)


@pytest.mark.parametrize("limit", ["5", 5.0, True])
def test_a_limit_that_is_no_whole_number_is_refused(new_model, limit) -> None:
    with pytest.raises(InputError, match="max_tokens is"):
        new_model("one").chat().send("hi", max_tokens=limit)
