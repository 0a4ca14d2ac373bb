"""A prompt's text is that of transformers: on a seeded set, on odd conversations, and on what hypothesis finds."""

import itertools
import random
import unicodedata
from collections import UserDict
from enum import Enum, IntEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.prompt.conversations import ODD, conversation, harmless, seeded, tool

from thinkport.runtime.prompt.prompt import PromptEncoder

SEEDED = 400
OPTIONS: dict[str, list[Any]] = {
    "tools": [None, [], [tool(random.Random(1))], [tool(random.Random(seed)) for seed in (2, 3)]],
    "enable_thinking": [None, True, False],
    "add_generation_prompt": [True, False],
}
ANY_OPTIONS = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in OPTIONS.items()})
ANY_CONVERSATION = st.randoms(use_true_random=False).map(conversation)


def test_hundreds_of_seeded_conversations_render_as_by_transformers(both, capsys) -> None:
    texts = set()
    for messages, options in seeded(SEEDED):
        expected = both.by_transformers(messages, **options)
        assert both.rendered(messages, **options) == expected, (messages, options)
        texts.add(expected)
    with capsys.disabled():
        print(f"\n{both.name}: {len(texts - {None})} different prompts equal transformers'")
    assert len(texts - {None}) >= 200


@pytest.mark.parametrize("messages", ODD.values(), ids=ODD)
def test_an_odd_conversation_renders_as_by_transformers_or_is_refused_as_there(both, messages) -> None:
    for values in itertools.product(*OPTIONS.values()):
        options = dict(zip(OPTIONS, values, strict=True))
        assert both.rendered(messages, **options) == both.by_transformers(messages, **options), options


def test_most_odd_conversations_are_not_refused(both) -> None:
    refused = [name for name, messages in ODD.items() if both.rendered(messages) is None]
    assert len(refused) <= len(ODD) // 4, refused


@given(ANY_CONVERSATION, ANY_OPTIONS)
@settings(max_examples=250)
def test_any_conversation_renders_as_by_transformers(both, messages, options) -> None:
    assert both.rendered(messages, **options) == both.by_transformers(messages, **options)


@given(st.lists(st.text(), min_size=4, max_size=4), ANY_OPTIONS)
def test_any_text_renders_as_by_transformers(both, texts, options) -> None:
    system, question, thought, answer = texts
    messages = [
        {"role": "system", "content": system},
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer, "reasoning_content": thought},
    ]
    assert both.rendered(messages, **options) == both.by_transformers(messages, **options)


class Role(str, Enum):  # noqa: UP042 - not StrEnum, whose str() is its text
    USER = "user"


class Size(IntEnum):
    TWO = 2


class Ratio(float):
    def __repr__(self) -> str:
        return "a ratio"

    __str__ = __repr__


def test_enums_and_other_kinds_of_text_and_numbers_render_as_what_they_are(both) -> None:
    arguments = {Role.USER: [Role.USER, Size.TWO, Ratio(0.5)], Size.TWO: ()}
    call = {"function": {"name": Role.USER, "arguments": arguments}}
    messages = [{"role": Role.USER, "content": Role.USER}, {"role": "assistant", "content": "", "tool_calls": [call]}]
    expected = both.by_transformers(messages)
    assert "a ratio" not in expected
    assert "Role.USER" not in expected
    assert both.rendered(messages) == expected


def test_mappings_that_are_no_dictionaries_render_as_dictionaries(both) -> None:
    call = UserDict(function=UserDict(name="f", arguments=UserDict(x=1)))
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "", "tool_calls": [call]}]
    assert both.rendered(messages) == both.by_transformers(messages)


def test_rendering_leaves_the_messages_as_they_were(both) -> None:
    for messages, options in seeded(20):
        before = repr((messages, options))
        both.rendered(messages, **options)
        PromptEncoder(both.tokenizer, both.template).encode(messages, **options)
        assert repr((messages, options)) == before


def test_ids_of_seeded_conversations_are_those_of_transformers_where_nothing_spells_a_marker(both, capsys) -> None:
    compared = 0
    for messages, options in harmless(list(seeded(SEEDED))):
        rendered = both.by_transformers(messages, **options)
        expected = both.theirs(rendered, add_special_tokens=False)["input_ids"]
        assert PromptEncoder(both.tokenizer, both.template).encode(messages, **options).ids == expected
        compared += 1
    with capsys.disabled():
        print(f"\n{both.name}: the ids of {compared} prompts equal transformers'")
    assert compared == SEEDED


@given(ANY_CONVERSATION, ANY_OPTIONS)
def test_ids_spell_the_rendered_text_whatever_a_message_spells(both, messages, options) -> None:
    rendered = both.rendered(messages, **options)
    if rendered is not None:
        ids = PromptEncoder(both.tokenizer, both.template).encode(messages, **options).ids
        assert unicodedata.normalize("NFC", both.tokenizer.decode(ids)) == unicodedata.normalize("NFC", rendered)
