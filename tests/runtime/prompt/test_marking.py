"""Marked strings answer as the strings they stand for, and what is cut out of them stays marked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.prompt.marking import Marked, Marks
from thinkport.runtime.prompt.tokenizer import Spellings

SPELLINGS = Spellings(["<think>", "</think>", "[INST]"])
TEXT = st.text(st.sampled_from("<>/[]think \nINSTa"), max_size=25) | st.lists(
    st.sampled_from(["<think>", "</think>", "[INST]", "\n", " ", "hi", "\u2028"]), max_size=6
).map("".join)
PART = st.sampled_from(["<think>", "</think>", "<", "[", "\n", "hi", "<a"])
ANSWERS = {
    "startswith": lambda text, part: text.startswith(part),
    "endswith": lambda text, part: text.endswith(part),
    "startswith several": lambda text, part: text.startswith((part, "x")),
    "find": lambda text, part: text.find(part),
    "rfind": lambda text, part: text.rfind(part),
    "find from": lambda text, part: text.find(part, 2, 9),
    "count": lambda text, part: text.count(part),
    "in": lambda text, part: part in text,
    "equals": lambda text, part: (text == part, part == text, text != part, part != text),
    "hash": lambda text, part: {part: 1}.get(text),
    "length": lambda text, part: len(text),
}
PIECES = {
    "strip": lambda text, part: [text.strip(part), text.strip()],
    "lstrip": lambda text, part: [text.lstrip(part), text.lstrip()],
    "rstrip": lambda text, part: [text.rstrip(part), text.rstrip()],
    "removeprefix": lambda text, part: [text.removeprefix(part)],
    "removesuffix": lambda text, part: [text.removesuffix(part)],
    "split": lambda text, part: [*text.split(part), *text.split(), *text.split(part, 1), *text.split(None, 1)],
    "rsplit": lambda text, part: [*text.rsplit(part), *text.rsplit(), *text.rsplit(part, 1), *text.rsplit(None, 1)],
    "splitlines": lambda text, part: [*text.splitlines(), *text.splitlines(True)],
    "partition": lambda text, part: [*text.partition(part)],
    "rpartition": lambda text, part: [*text.rpartition(part)],
    "replace": lambda text, part: [text.replace(part, "x"), text.replace(part, "", 1)],
    "slice": lambda text, part: [text[2:], text[:-1], text[::-1], *text],
    "add": lambda text, part: [text + "x", "x" + text, text + text],
    "text": lambda text, part: [str(text)],
}


def marked(text: str) -> tuple[Marks, str]:
    marks = Marks(SPELLINGS, text)
    return marks, marks.mark(text)


@pytest.mark.parametrize("ask", ANSWERS.values(), ids=ANSWERS)
@given(text=TEXT, part=PART)
def test_a_marked_string_answers_as_its_text(ask, text, part) -> None:
    assert ask(marked(text)[1], part) == ask(text, part)


@pytest.mark.parametrize("cut", PIECES.values(), ids=PIECES)
@given(text=TEXT, part=PART)
def test_what_is_cut_out_of_a_marked_string_is_the_marked_text(cut, text, part) -> None:
    marks, string = marked(text)
    pieces = cut(string, part)
    assert [marks.unmark(piece) for piece in pieces] == cut(text, part)
    assert all("<" not in str.__str__(piece) for piece in pieces)


@given(text=TEXT, part=PART)
def test_index_answers_or_raises_as_of_its_text(text, part) -> None:
    string = marked(text)[1]
    if part in text:
        assert (string.index(part), string.rindex(part)) == (text.index(part), text.rindex(part))
    else:
        with pytest.raises(ValueError, match="substring not found"):
            string.index(part)
        with pytest.raises(ValueError, match="substring not found"):
            string.rindex(part)


@given(st.lists(st.tuples(TEXT, st.booleans()), max_size=6))
def test_spellings_that_content_begins_are_told_from_all_others(parts) -> None:
    contents = [text for text, from_content in parts if from_content]
    marks = Marks(SPELLINGS, contents)
    rendered = "".join(str.__str__(marks.mark(text)) if from_content else text for text, from_content in parts)
    plain, by_content = "".join(text for text, _ in parts), [fc for text, fc in parts for _ in text]
    expected = [plain[start:end] for start, end in SPELLINGS.spans(plain) if by_content[start]]
    pieces = marks.split(rendered)
    assert "".join(piece for piece, _ in pieces) == plain
    assert [piece for piece, spelled in pieces if spelled] == expected


def test_text_without_a_first_letter_of_a_spelling_is_left_as_it_is() -> None:
    marks, string = marked("think>")
    assert not marks
    assert not isinstance(string, Marked)


def test_spellings_are_found_leftmost_then_longest() -> None:
    spellings = Spellings(["<a", "<a>", "b", ""])
    assert [*spellings.spans("<a><a.b")] == [(0, 3), (3, 5), (6, 7)]
    assert spellings.openings == {"<", "b"}
    assert not [*Spellings([]).spans("<a>")]
