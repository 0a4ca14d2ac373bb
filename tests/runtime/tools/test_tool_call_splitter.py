"""An answer's ids become its text and its calls: nothing lost, nothing taken back, no newline of the template shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.events import ToolCall
from thinkport.runtime.tools.tool_call_splitter import ToolCallSplitter
from thinkport.runtime.tools.toolbox import ToolBox

BOX = ToolBox([{"name": "note"}])
TEXTS = st.text() | st.sampled_from(
    ["\n", "\n\n", "天気は晴れ", "🙂", "a\n", "\nb", "<tool_call>", "</tool_call>", "</tool_"]
)


def split(tokenizer, ids: list[int], box: ToolBox | None = BOX, finish: Finish = Finish.STOP) -> list[Any]:
    splitter = ToolCallSplitter(tokenizer, box)
    return [piece for token in ids for piece in splitter.feed(token)] + splitter.flush(finish)


def told(pieces: list[Any]) -> list[str]:
    """Neighbouring pieces of text joined, calls by their text."""
    joined: list[str] = []
    for piece in pieces:
        if isinstance(piece, ToolCall):
            joined += [f"({piece.text})", ""]
        else:
            joined = [*joined[:-1], joined[-1] + piece] if joined else [piece]
    return [text for text in joined if text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hi", ["hi"]),
        ("hi\n", ["hi\n"]),
        ("\n\nhi\n\non", ["hi\n\non"]),
        ("<tool_call>x</tool_call>", ["(x)"]),
        ("hi\n<tool_call>x</tool_call>", ["hi", "(x)"]),
        ("\n\n<tool_call>x</tool_call>\n<tool_call>y</tool_call>\n", ["(x)", "(y)"]),
        ("hi<tool_call>x</tool_call>\n\non\n", ["hi", "(x)", "\n\non\n"]),
        ("hi</tool_call>", ["hi</tool_call>"]),
        ("<tool_call>x<tool_call>y</tool_call>", ["(x)", "(y)"]),
        ("<tool_call></tool_call>", ["()"]),
    ],
)
def test_an_answer_falls_into_text_and_calls(tokenizer, text, expected) -> None:
    assert told(split(tokenizer, tokenizer.encode(text))) == expected


def shown(texts: list[str]) -> str:
    """What is to be seen of the texts between, before and after calls: all but the newlines beside a call."""
    seen = ""
    for at, text in enumerate(texts):
        visible = text if seen else text.lstrip("\n")
        last = at == len(texts) - 1
        seen += visible if last and (at == 0 or visible.strip("\n")) else visible.rstrip("\n")
    return seen


@given(TEXTS, st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_any_text_and_any_calls_come_out_as_they_went_in(tokenizer, first, rest) -> None:
    """Tags spelled in text as plain ids are text, within calls and outside of them."""
    ids = tokenizer.encode_plain(first)
    for call, text in rest:
        body = tokenizer.encode_plain(call)
        ids += [tokenizer.added["<tool_call>"], *body, tokenizer.added["</tool_call>"], *tokenizer.encode_plain(text)]
    pieces = split(tokenizer, ids)
    assert [piece.text for piece in pieces if isinstance(piece, ToolCall)] == [call for call, _ in rest]
    texts = [piece for piece in pieces if isinstance(piece, str)]
    assert "".join(texts) == shown([first, *(text for _, text in rest)])
    assert all(texts)
    assert not any("\ufffd" in text for text in texts if "\ufffd" not in first + "".join(text for _, text in rest))


@given(st.lists(st.integers(0, 300), max_size=30), st.integers(0, 30), st.sampled_from(Finish))
def test_what_was_given_stays_whatever_comes_next(tokenizer, ids, cut, finish) -> None:
    splitter = ToolCallSplitter(tokenizer, BOX)
    early = [piece for token in ids[:cut] for piece in splitter.feed(token)]
    whole = split(tokenizer, ids, finish=finish)
    assert told(early) == [] or told(whole)[: len(told(early)) - 1] == told(early)[:-1]
    assert "".join(told(whole)).startswith("".join(told(early)))


@given(st.lists(st.integers(0, 300), max_size=30))
def test_without_tools_tags_are_text_as_any_other(tokenizer, ids) -> None:
    for box in (None, ToolBox([])):
        assert "".join(split(tokenizer, ids, box)) == tokenizer.decode(ids).lstrip("\n")


def test_text_comes_with_its_token_and_a_newline_with_the_text_after_it(tokenizer) -> None:
    splitter = ToolCallSplitter(tokenizer, BOX)
    assert [splitter.feed(token) for token in tokenizer.encode_plain("hi\nhi")] == [["hi"], [], ["\nhi"]]


def test_without_tools_a_newline_is_not_held(tokenizer) -> None:
    splitter = ToolCallSplitter(tokenizer, None)
    assert [splitter.feed(token) for token in tokenizer.encode_plain("hi\n")] == [["hi"], ["\n"]]


def test_half_a_character_before_a_tag_is_shown_as_a_replacement(tokenizer) -> None:
    ids = [*tokenizer.encode_plain("🙂")[:2], *tokenizer.encode("<tool_call>x</tool_call>")]
    assert told(split(tokenizer, ids)) == ["\ufffd", "(x)"]


@pytest.mark.parametrize("finish", [Finish.LENGTH, Finish.CONTEXT, Finish.CANCELLED])
def test_a_reply_cut_within_a_call_gives_a_call_that_says_so(tokenizer, finish) -> None:
    body = '\n{"name": "note", "arguments": {}}'
    (call,) = split(tokenizer, tokenizer.encode(f"<tool_call>{body}"), finish=finish)
    assert (call.name, call.arguments, call.text) == ("note", None, body)
    assert "cut off" in str(call.problem)


def test_a_model_that_stops_without_closing_its_call_has_made_it_all_the_same(tokenizer) -> None:
    (call,) = split(tokenizer, tokenizer.encode('<tool_call>\n{"name": "note", "arguments": {"x": 1}}'))
    assert (call.arguments, call.problem) == ({"x": 1}, None)


def test_a_call_is_told_as_soon_as_its_tag_closes(tokenizer) -> None:
    splitter = ToolCallSplitter(tokenizer, BOX)
    *body, end = tokenizer.encode('<tool_call>{"name": "note", "arguments": {}}</tool_call>')
    assert [piece for token in body for piece in splitter.feed(token)] == []
    (call,) = splitter.feed(end)
    assert isinstance(call, ToolCall)
    assert call.problem is None
